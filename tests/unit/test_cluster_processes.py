"""Starting, finding and stopping processes: real ones, but small."""

import json
import sys
from pathlib import Path

import psutil
import pytest

from cluster.layout import Layout
from cluster.lifecycle import repair
from cluster.processes import Part, find, start, stop, wait_ready
from infra.errors import DemoError

pytestmark = [
    pytest.mark.processes,
    pytest.mark.skipif(sys.platform != "linux", reason="the lab cluster runs on Linux"),
]


def make_part(code: str, *, ready: str = "", seconds: float = 5) -> Part:
    return Part(name="part", command=(sys.executable, "-c", code), ready=lambda: ready, seconds=seconds)


SLEEPER = make_part("import time; print('up', flush=True); time.sleep(60)")


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(tmp_path)


def silent(_: str) -> None:
    """Say nothing."""


def test_a_part_is_found_again_and_stopped(layout: Layout) -> None:
    started = start(layout, SLEEPER)
    assert find(layout, "part") == started
    assert started.memory_mib > 0
    stop(layout, "part")
    assert find(layout, "part") is None
    stop(layout, "part")


def test_a_part_is_in_a_session_of_its_own_without_the_machines_proxy(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example")
    started = start(layout, SLEEPER)
    process = psutil.Process(started.pid)
    assert "HTTPS_PROXY" not in process.environ()
    assert process.terminal() is None
    stop(layout, "part")


def test_another_process_with_the_same_number_is_not_the_part(layout: Layout) -> None:
    started = start(layout, SLEEPER)
    record = layout.run / "part.json"
    document = json.loads(record.read_text())
    record.write_text(json.dumps({**document, "started": "another boot 1"}))
    assert find(layout, "part") is None
    record.write_text(json.dumps(document))
    assert find(layout, "part") == started
    stop(layout, "part")


def test_a_part_that_ignores_the_request_is_killed(layout: Layout) -> None:
    deaf = make_part(
        "import signal, time; signal.signal(15, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)"
    )
    start(layout, deaf)
    while "deaf" not in layout.log("part").read_text():
        assert find(layout, "part")
    stop(layout, "part", grace_seconds=0.2)
    assert find(layout, "part") is None


def test_a_part_that_ends_is_named_with_its_last_lines(layout: Layout) -> None:
    part = make_part("print('no such flag'); raise SystemExit(2)", ready="it does not answer")
    start(layout, part)
    with pytest.raises(DemoError, match=r"part ended; the last lines of .*part\.log:\n    no such flag\nMend"):
        wait_ready(layout, part, silent)


def test_a_part_that_never_serves_is_named_with_the_reason(layout: Layout) -> None:
    part = make_part("import time; time.sleep(60)", ready="it does not answer", seconds=0.2)
    start(layout, part)
    with pytest.raises(DemoError, match=r"does not serve in time \(it does not answer\)"):
        wait_ready(layout, part, silent)
    stop(layout, "part")


def test_a_program_that_is_not_there_is_one_sentence(layout: Layout) -> None:
    part = Part(name="part", command=("/no/such/program",), ready=lambda: "")
    with pytest.raises(DemoError, match=r"part cannot be started \(/no/such/program\): No such file"):
        start(layout, part)


def test_repair_leaves_a_part_that_serves_alone(layout: Layout) -> None:
    started = start(layout, SLEEPER)
    assert not repair(layout, SLEEPER, silent)
    assert find(layout, "part") == started
    stop(layout, "part")


def test_repair_starts_a_killed_part_again(layout: Layout) -> None:
    started = start(layout, SLEEPER)
    process = psutil.Process(started.pid)
    process.kill()
    process.wait(timeout=5)
    assert repair(layout, SLEEPER, silent)
    again = find(layout, "part")
    assert again
    assert again.pid != started.pid
    stop(layout, "part")


def test_repair_replaces_a_part_that_was_started_with_something_else(layout: Layout) -> None:
    old = start(layout, make_part("import time; time.sleep(50)"))
    assert repair(layout, SLEEPER, silent)
    assert not psutil.pid_exists(old.pid) or psutil.Process(old.pid).status() == psutil.STATUS_ZOMBIE
    stop(layout, "part")
