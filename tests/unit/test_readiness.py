"""Waiting for containers: what ends it, and what a person is told."""

import asyncio
from dataclasses import replace
from typing import Any, cast

import pytest
from fake_engine import FakeEngine, container

from infra.errors import DemoError
from infra.targets.docker import readiness as readiness_module
from infra.targets.docker.readiness import Readiness
from infra.topology.model import ExecProbe, Image, Service, Task
from toolchain.engine import Engine

IMAGE = Image(repository="x", version="1")
PROBE = ExecProbe(command=("ready",), deadline_seconds=5)
SERVICE = Service(name="db", image=IMAGE, probe=PROBE, memory_mib=1, cpus=1, user=1)
TASK = Task(name="schema", image=IMAGE, memory_mib=1, cpus=1, user=1, deadline_seconds=5)


class Clock:
    """Time that passes when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(readiness_module, "time", clock)
    monkeypatch.setattr(readiness_module, "sleep", clock.sleep)
    return clock


def make(engine: FakeEngine) -> Readiness:
    return Readiness(cast("Engine", engine), "test")


def add(engine: FakeEngine, service: str, **changes: Any) -> None:
    engine.states[service] = container("test", service, **changes)


def test_it_returns_as_soon_as_the_probe_succeeds(clock: Clock) -> None:
    engine = FakeEngine(probe_answers=[(1, "no"), (1, "no"), (0, "")])
    waiting = make(engine)
    add(engine, "db")
    asyncio.run(waiting.wait_until_ready(SERVICE, PROBE))
    assert clock.now < 1


def test_a_service_that_never_gets_ready_is_stopped_and_explained_with_its_log() -> None:
    engine = FakeEngine(probe_answers=[(1, "no route")] * 100, log_lines=["starting", "cannot open /data"])
    waiting = make(engine)
    add(engine, "db")
    with pytest.raises(DemoError) as raised:
        asyncio.run(waiting.wait_until_ready(SERVICE, PROBE))
    assert "db is not ready after 5 seconds (no route)" in str(raised.value)
    assert "cannot open /data" in str(raised.value)
    assert "./demo up" in str(raised.value)
    assert engine.stopped == ["id-db"]


@pytest.mark.parametrize("changes", [{"status": "exited", "exit_code": 3}, {"status": "restarting"}, {"restarts": 1}])
def test_another_service_that_dies_ends_the_wait_at_once(clock: Clock, changes: dict[str, Any]) -> None:
    engine = FakeEngine(probe_answers=[(1, "")] * 100, log_lines=["bad flag"])
    waiting = make(engine)
    add(engine, "db")
    add(engine, "loki", **changes)
    with pytest.raises(DemoError, match=r"loki died while it was starting. Its last log lines:\n    bad flag"):
        asyncio.run(waiting.wait_until_ready(SERVICE, PROBE))
    assert clock.now == 0


def test_what_was_down_before_this_start_is_not_its_fault() -> None:
    engine = FakeEngine(probe_answers=[(0, "")])
    add(engine, "loki", status="exited", exit_code=137)
    add(engine, "prometheus", restarts=4)
    waiting = make(engine)
    add(engine, "db")
    asyncio.run(waiting.wait_until_ready(SERVICE, PROBE))


def test_a_new_restart_of_an_old_container_is() -> None:
    engine = FakeEngine(probe_answers=[(1, "")] * 100)
    add(engine, "prometheus", restarts=4)
    waiting = make(engine)
    add(engine, "db")
    add(engine, "prometheus", restarts=5)
    with pytest.raises(DemoError, match="prometheus died"):
        asyncio.run(waiting.wait_until_ready(SERVICE, PROBE))


def test_a_task_that_ends_well_is_done() -> None:
    engine = FakeEngine()
    waiting = make(engine)
    add(engine, "schema", status="exited", restarts_always=False)
    asyncio.run(waiting.wait_until_done(TASK))
    assert engine.stopped == []


def test_a_task_that_fails_is_explained_with_its_log() -> None:
    engine = FakeEngine(log_lines=["relation does not exist"])
    waiting = make(engine)
    add(engine, "schema", status="exited", exit_code=2, restarts_always=False)
    with pytest.raises(DemoError, match=r"The task schema ended with exit code 2(.|\n)*relation does not exist"):
        asyncio.run(waiting.wait_until_done(TASK))


def test_a_task_that_takes_too_long_is_stopped() -> None:
    engine = FakeEngine()
    waiting = make(engine)
    add(engine, "schema", restarts_always=False)
    with pytest.raises(DemoError, match="schema is not done after 5 seconds"):
        asyncio.run(waiting.wait_until_done(TASK))
    assert engine.stopped == ["id-schema"]


def test_a_container_that_somebody_removes_meanwhile_is_a_sentence() -> None:
    engine = FakeEngine()
    with pytest.raises(DemoError, match="was removed while it was starting"):
        asyncio.run(make(engine).wait_until_done(TASK))


def test_a_silent_container_is_said_to_be_silent() -> None:
    engine = FakeEngine()
    waiting = make(engine)
    add(engine, "schema", status="exited", exit_code=1, restarts_always=False)
    with pytest.raises(DemoError, match="it wrote nothing"):
        asyncio.run(waiting.wait_until_done(replace(TASK, deadline_seconds=1)))
