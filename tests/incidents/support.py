"""A world for the runner: signals that follow from what was injected, and a clock that does not wait."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from incidents.model import Alert, Compares, Evidence, Incident, Kind, Login, LookAlike, Oracle, Repeat, Signal, Step
from incidents.runner.engine import Engine
from incidents.runner.operations import Operations
from incidents.runner.problems import UnreachableError
from incidents.runner.settings import RunnerSettings
from incidents.runner.state import State

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pytest

    from incidents.runner.events import Event
    from incidents.runner.gateway import Sample

PRESENTER, OWNER = "the-presenter", "the-owner"


def piece(signal: Signal, query: str, compares: Compares | None = None) -> Evidence:
    return Evidence(
        signal=signal, name=f"{query} shows", query=query, shows="It does.", compares=compares or Compares.rises(2)
    )


def make_incident(folder: Path, name: str = "things-lost", **changes: Any) -> Incident:
    folder.mkdir(parents=True, exist_ok=True)
    for file in ("inject.sql", "recover.sql"):
        (folder / file).write_text(f"SELECT '{name} {file}';", encoding="utf-8")
    fields: dict[str, Any] = {
        "name": name,
        "title": "Things are lost",
        "rank": 1,
        "summary": "Something happens.",
        "steps": (Step(file="inject.sql", login=Login.MIGRATION),),
        "evidence": (
            piece(Signal.METRICS, "metric"),
            piece(Signal.LOGS, "line"),
            piece(Signal.TRACES, "{ duration > $slow }"),
            piece(Signal.TRACES, "{ duration > $long }"),
        ),
        "alert": Alert(name="ThingsLost"),
        "oracle": Oracle(sql="SELECT fixed", says="things are found.", settings={"counter_shards": 8}),
        "proof_seconds": 1,
        "recovery_seconds": 1,
        "folder": folder,
    }
    return Incident(**(fields | changes))


@dataclass
class World:
    """What is the case, for the fakes to tell."""

    injected: set[str] = field(default_factory=set[str])
    shows: bool = True
    alert_fires: bool = True
    sticks: bool = False
    database_gone: bool = False
    gateway_gone: bool = False
    not_ready: str | None = None
    success: float = 1.0
    latency: float = 0.02
    firing: list[str] = field(default_factory=list[str])
    fixed: bool = False
    unhealthy: list[float] = field(default_factory=list[float])
    latencies: list[float] = field(default_factory=lambda: [0.02])
    asked: list[str] = field(default_factory=list[str])
    settings: dict[str, Any] = field(default_factory=lambda: {"counter_shards": 1})

    @property
    def loud(self) -> bool:
        return bool(self.injected) and self.shows


class FakeGateway:
    def __init__(self, world: World) -> None:
        self._world = world

    def _check(self) -> None:
        if self._world.gateway_gone:
            raise UnreachableError("The gateway does not answer.")

    async def ready(self) -> str | None:
        self._check()
        return self._world.not_ready

    async def promql(self, query: str) -> list[Sample]:
        self._check()
        world = self._world
        world.asked.append(query)
        if query.startswith("payment:client_success"):
            return [({}, world.success)]
        if query.startswith("payment:client_latency"):
            return [({}, world.latency)]
        if query.startswith("ALERTS"):
            names = [*world.firing, *(["ThingsLost"] if world.injected and world.alert_fires else [])]
            return [({"alertname": name}, 1.0) for name in names if "alertname" not in query or f'"{name}"' in query]
        return [({}, 10.0 if world.loud else 1.0)]

    async def promql_range(self, query: str, seconds: float) -> list[float]:
        self._check()
        assert seconds > 0
        if "bool" in query:
            most = float(query.split("> bool ")[1].partition(")")[0])
            slow = [float(latency > most) for latency in self._world.latencies]
            return [1.0, *self._world.unhealthy, *slow, 0.0, 0.0]
        return self._world.latencies if query.startswith("payment:") else [1.0, 0.9]

    async def logql(self, query: str) -> list[Sample]:
        self._check()
        assert query
        return [({}, 5.0)] if self._world.loud else []

    async def logql_range(self, query: str, seconds: float) -> list[float]:
        assert query
        assert seconds > 0
        return [1.0]

    async def traceql(self, query: str, start: float, end: float, *, most: int = 50) -> int:
        self._check()
        assert start < end
        self._world.asked.append(query)
        return min(most, 9) if self._world.loud else 0


class FakeSession:
    def __init__(self, world: World, login: Login) -> None:
        self._world = world
        self._closed = False
        self.login = login

    async def execute(self, statement: str) -> str:
        if self._world.database_gone:
            raise ConnectionResetError("connection reset by peer")
        if "inject" in statement:
            self._world.injected.add(statement.split()[1].strip("'"))
        return "SELECT 1"

    def is_closed(self) -> bool:
        return self._closed

    def terminate(self) -> None:
        self._closed = True


class FakeDatabase:
    def __init__(self, world: World) -> None:
        self._world = world
        self.ended: list[Login] = []
        self.scripts: list[str] = []
        self.put_back = 0

    async def open(self, login: Login) -> FakeSession:
        if self._world.database_gone:
            raise UnreachableError("The database does not answer: connection refused.")
        return FakeSession(self._world, login)

    async def run(self, _login: Login, file: Path) -> None:
        await self.open(Login.OPERATOR)
        self.scripts.append(file.name)
        if not self._world.sticks:
            self._world.injected.clear()

    async def end_sessions(self, logins: Any) -> int:
        await self.open(Login.OPERATOR)
        self.ended += list(logins)
        return 0

    async def put_back_settings(self) -> None:
        await self.open(Login.OPERATOR)
        self.put_back += 1

    async def ask(self, _sql: str) -> object:
        return self._world.fixed


class FakeApp:
    def __init__(self, world: World) -> None:
        self._world = world

    async def read(self) -> dict[str, Any]:
        return dict(self._world.settings)

    async def change(self, values: dict[str, Any]) -> dict[str, Any]:
        self._world.settings |= values
        return await self.read()


class FakeLeaks:
    found: tuple[str, ...] = ()
    error: UnreachableError | None = None

    async def look(self, run: str) -> list[str]:
        assert run
        if self.error is not None:
            raise self.error
        return list(self.found)


@dataclass
class Runner:
    """Everything of one runner."""

    world: World
    settings: RunnerSettings
    state: State
    engine: Engine
    operations: Operations
    database: FakeDatabase
    leaks: FakeLeaks
    events: list[Event] = field(default_factory=list["Event"])

    @property
    def incident(self) -> Incident:
        return self.engine.incidents["things-lost"]

    def report(self, event: Event) -> None:
        self.events.append(event)


def make_runner(folder: Path, monkeypatch: pytest.MonkeyPatch, world: World | None = None, **changes: Any) -> Runner:
    """A runner on a state file of this folder; made twice, it is one that was restarted."""
    for name, content in (
        ("presenter", PRESENTER), ("owner", OWNER), ("gateway", "x"), ("app", "one"), ("app-2", "two"),
    ):  # fmt: skip
        (folder / name).write_text(content, encoding="utf-8")
    settings = RunnerSettings(
        state_file=folder / "state.sqlite",
        presenter_token_file=folder / "presenter",
        owner_token_file=folder / "owner",
        gateway_token_file=folder / "gateway",
        app_password_file=folder / "app",
        alert_seconds=10,
    )
    for module in ("proving", "engine", "health", "operations", "scoring"):
        monkeypatch.setattr(f"incidents.runner.{module}._POLL_SECONDS", 0.01)
    monkeypatch.setattr("incidents.runner.engine._QUIET_SECONDS", 0.05)
    monkeypatch.setattr("incidents.runner.engine._LOOK_BACK_SECONDS", 0)
    monkeypatch.setattr("incidents.runner.recovery._RETRY_SECONDS", 0.05)
    monkeypatch.setattr("incidents.runner.injection._REOPEN_SECONDS", 0.01)
    world = world or World()
    incident = make_incident(folder / "things_lost", **changes)
    other = make_incident(
        folder / "things_hidden",
        "things-hidden",
        rank=2,
        kind=Kind.INCIDENT,
        steps=(
            Step(file="inject.sql", login=Login.OPERATOR, held=True),
            Step(file="inject.sql", login=Login.BATCH, repeat=Repeat(pause_seconds=0.01)),
        ),
        look_alikes=(
            LookAlike(other="things-lost", because="Both.", tells=piece(Signal.METRICS, "m", Compares.rises(100))),
        ),
    )
    state, database = State(settings.state_file), FakeDatabase(world)
    engine = Engine(
        settings,
        {one.name: one for one in (incident, other)},
        state,
        cast("Any", database),
        cast("Any", FakeApp(world)),
        cast("Any", FakeGateway(world)),
    )
    leaks = FakeLeaks()
    return Runner(world, settings, state, engine, Operations(engine, cast("Any", leaks)), database, leaks)


async def until(holds: Callable[[], bool], *, seconds: float = 5) -> None:
    """Wait for a condition; fails when it does not come."""
    async with asyncio.timeout(seconds):
        while not holds():  # noqa: ASYNC110  # what is waited for is another task's state
            await asyncio.sleep(0.01)
