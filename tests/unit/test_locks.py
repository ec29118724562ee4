"""Pulumi's lock files: whose they are, and whether that process still lives."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from stubs import always

from cli.locks import dead_lock


def lock(state: Path, stack: str = "airgap", *, name: str = "1", text: str | None = None, **owner: object) -> None:
    folder = state / ".pulumi" / "locks" / "organization" / "compass-demo" / stack
    folder.mkdir(parents=True, exist_ok=True)
    document = {"pid": os.getpid(), "hostname": socket.gethostname(), **owner}
    (folder / f"{name}.json").write_text(json.dumps(document) if text is None else text)


@pytest.fixture(scope="module")
def ended() -> int:
    """A process that was here a moment ago."""
    process = subprocess.Popen([sys.executable, "-S", "-c", ""])
    process.wait()
    return process.pid


@pytest.fixture
def we_are_pulumi(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psutil.Process, "name", always("pulumi"))


def test_without_a_lock_nothing_is_dead(tmp_path: Path) -> None:
    assert not dead_lock(tmp_path, "airgap")


def test_a_lock_of_a_process_that_ended_is_dead(tmp_path: Path, ended: int) -> None:
    lock(tmp_path, pid=ended)
    assert dead_lock(tmp_path, "airgap")


@pytest.mark.usefixtures("we_are_pulumi")
def test_a_lock_of_a_pulumi_that_runs_is_alive(tmp_path: Path) -> None:
    lock(tmp_path)
    assert not dead_lock(tmp_path, "airgap")


def test_a_lock_whose_process_number_another_program_has_now_is_dead(tmp_path: Path) -> None:
    lock(tmp_path)
    assert dead_lock(tmp_path, "airgap")


@pytest.mark.usefixtures("we_are_pulumi")
def test_one_living_lock_among_dead_ones_is_enough(tmp_path: Path, ended: int) -> None:
    lock(tmp_path, name="1", pid=ended)
    lock(tmp_path, name="2")
    assert not dead_lock(tmp_path, "airgap")


def test_a_lock_of_another_machine_is_alive_as_far_as_can_be_told(tmp_path: Path, ended: int) -> None:
    lock(tmp_path, pid=ended, hostname="another-machine")
    assert not dead_lock(tmp_path, "airgap")


@pytest.mark.parametrize("text", ["", "{", '{"pid": 1}', '{"hostname": "x"', "not json"])
def test_a_lock_that_is_being_written_is_alive(tmp_path: Path, text: str) -> None:
    lock(tmp_path, text=text)
    assert not dead_lock(tmp_path, "airgap")


def test_a_process_that_we_may_not_look_at_is_alive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_self: psutil.Process) -> str:
        raise psutil.AccessDenied

    monkeypatch.setattr(psutil.Process, "status", refuse)
    lock(tmp_path)
    assert not dead_lock(tmp_path, "airgap")


def test_a_dead_lock_of_another_stack_is_none_of_ours(tmp_path: Path, ended: int) -> None:
    lock(tmp_path, "airgap2", pid=ended)
    assert not dead_lock(tmp_path, "airgap")
