from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.observability.promtool import OBSERVABILITY

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

SCRIPT = OBSERVABILITY / "postgres" / "prune-logs.sh"
BOUND = 10_000
pytestmark = [
    pytest.mark.processes,
    pytest.mark.skipif(
        sys.platform != "linux" or shutil.which("bash") is None, reason="the script runs in PostgreSQL's Linux image"
    ),
]


def _environment(directory: Path, **extra: str) -> dict[str, str]:
    return {
        **os.environ,
        "LOG_DIRECTORY": str(directory / "logs"),
        "LOG_MAX_BYTES": str(BOUND),
        "LOG_PRUNE_INTERVAL": "0.05",
        "LOG_PRUNE_HEARTBEAT": str(directory / "alive"),
        **extra,
    }


@contextmanager
def _watcher(directory: Path) -> Generator[subprocess.Popen[str]]:
    (directory / "logs").mkdir(exist_ok=True)
    with subprocess.Popen(
        ["bash", str(SCRIPT)], env=_environment(directory), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        try:
            yield process
        finally:
            process.terminate()


def _write(directory: Path, name: str, size: int, age: float) -> None:
    path = directory / "logs" / name
    path.write_bytes(b"x" * size)
    moment = time.time() - age
    os.utime(path, (moment, moment))


def _wait_until_pruned(directory: Path) -> set[str]:
    """Wait for a round that began after now, and return the names that are left."""
    for _ in range(2):
        (directory / "alive").unlink(missing_ok=True)
        deadline = time.monotonic() + 10
        while not (directory / "alive").exists():
            assert time.monotonic() < deadline, "no round within 10 s"
            time.sleep(0.01)
    return {path.name for path in (directory / "logs").iterdir()}


def test_the_oldest_closed_files_go_until_the_rest_is_below_the_bound(tmp_path: Path) -> None:
    with _watcher(tmp_path):
        for index in range(6):
            _write(tmp_path, f"postgresql-2026-11-21_00000{index}.json", 3_000, 60 - index)
        assert _wait_until_pruned(tmp_path) == {f"postgresql-2026-11-21_00000{index}.json" for index in (3, 4, 5)}


def test_below_the_bound_nothing_is_deleted(tmp_path: Path) -> None:
    with _watcher(tmp_path):
        for index in range(3):
            _write(tmp_path, f"postgresql-2026-11-21_00000{index}.json", 3_000, 60 - index)
        assert len(_wait_until_pruned(tmp_path)) == 3


def test_a_file_that_is_being_written_stays_however_large_it_is(tmp_path: Path) -> None:
    with _watcher(tmp_path):
        _write(tmp_path, "postgresql-2026-11-21_000000.json", 100, 60)
        _write(tmp_path, "postgresql-2026-11-21_000001.json", 5 * BOUND, 1)
        _write(tmp_path, "postgresql-2026-11-21_000001.log", 100, 3600)
        left = _wait_until_pruned(tmp_path)
    assert left == {"postgresql-2026-11-21_000001.json", "postgresql-2026-11-21_000001.log"}


def test_a_clock_that_jumped_back_does_not_cost_the_file_being_written(tmp_path: Path) -> None:
    with _watcher(tmp_path):
        _write(tmp_path, "postgresql-2026-11-21_120000.json", BOUND, 60)  # newest by name, from before the jump
        _write(tmp_path, "postgresql-2026-11-21_090000.json", BOUND, 1)  # newest by time: PostgreSQL writes here
        _write(tmp_path, "postgresql-2026-11-21_080000.json", BOUND, 90)
        left = _wait_until_pruned(tmp_path)
    assert left == {"postgresql-2026-11-21_120000.json", "postgresql-2026-11-21_090000.json"}


def test_other_files_and_folders_are_not_touched(tmp_path: Path) -> None:
    with _watcher(tmp_path):
        (tmp_path / "logs" / ".reader").mkdir()
        _write(tmp_path, ".reader/receiver_file_log_", 3 * BOUND, 600)
        _write(tmp_path, "notes.txt", 3 * BOUND, 600)
        _write(tmp_path, "postgresql-2026-11-21_000000.json", BOUND + 1, 60)
        _write(tmp_path, "postgresql-2026-11-21_000001.json", 1, 1)
        left = _wait_until_pruned(tmp_path)
    assert left == {".reader", "notes.txt", "postgresql-2026-11-21_000001.json"}
    assert (tmp_path / "logs" / ".reader" / "receiver_file_log_").exists()


def test_a_signal_ends_it_at_once(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    environment = _environment(tmp_path, LOG_PRUNE_INTERVAL="60")
    with subprocess.Popen(["bash", str(SCRIPT)], env=environment) as process:
        while not (tmp_path / "alive").exists():
            assert process.poll() is None
            time.sleep(0.01)
        began = time.monotonic()
        process.terminate()
        assert process.wait(5) == 0
        assert time.monotonic() - began < 1


def test_the_health_check_follows_the_rounds(tmp_path: Path) -> None:
    alive = ["bash", str(SCRIPT), "--alive"]
    assert subprocess.run(alive, env=_environment(tmp_path), check=False).returncode == 1
    with _watcher(tmp_path):
        _wait_until_pruned(tmp_path)
        assert subprocess.run(alive, env=_environment(tmp_path), check=False).returncode == 0
    os.utime(tmp_path / "alive", (time.time() - 60, time.time() - 60))
    assert subprocess.run(alive, env=_environment(tmp_path), check=False).returncode == 1


@pytest.mark.parametrize(
    ("name", "value"), [("LOG_MAX_BYTES", "100MB"), ("LOG_MAX_BYTES", "0"), ("LOG_PRUNE_INTERVAL", "soon")]
)
def test_a_mistyped_setting_is_refused_in_one_sentence(name: str, value: str, tmp_path: Path) -> None:
    done = subprocess.run(
        ["bash", str(SCRIPT)],
        env=_environment(tmp_path, **{name: value}),
        capture_output=True,
        text=True,
        check=False,
        timeout=5,
    )
    assert done.returncode == 2
    assert value in done.stderr
    assert done.stderr.count("\n") == 1
