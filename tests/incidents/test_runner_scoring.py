"""Judging a fix: the cause, the service level for a minute, and the harm."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from incidents.runner.operations import Caller
from incidents.runner.problems import RefusedError
from incidents.runner.scoring import GivenFix, Scoring

if TYPE_CHECKING:
    from types import TracebackType

    from tests.incidents.support import Runner

pytestmark = pytest.mark.anyio
RIGHT = GivenFix("", {"counter_shards": 8})


class NoDamage:
    """Stands for what watches the database; tests/sample_app judges the real one."""

    unsafe: tuple[str, ...] = ()

    def __init__(self, *_: object) -> None:
        """Takes what the real one takes."""

    async def __aenter__(self) -> NoDamage:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing to stop."""

    async def found(self) -> list[str]:
        return list(self.unsafe)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:  # pyright: ignore[reportUnusedFunction] - a fixture
    monkeypatch.setattr("incidents.runner.scoring.Damage", NoDamage)
    monkeypatch.setattr("incidents.runner.scoring.HELD_SECONDS", 0.2)
    monkeypatch.setattr("incidents.runner.scoring._LIMIT_SECONDS", 1.0)


async def score(runner: Runner, fix: GivenFix | None) -> dict[str, Any]:
    await runner.operations.start(runner.incident, Caller("anna", owner=False), runner.report, concurrent=False)
    return await Scoring(runner.engine).score(runner.incident, fix, runner.report)


async def test_a_right_fix_passes(runner: Runner) -> None:
    result = await score(runner, RIGHT)
    assert result["passed"]
    assert (result["cause_fixed"], result["service_level_held"], result["unsafe"]) == (True, True, [])
    assert result["seconds_to_recovery"] < 1


async def test_a_fix_of_something_else_does_not_pass(runner: Runner) -> None:
    result = await score(runner, GivenFix("", {"counter_shards": 2}))
    assert not result["passed"]
    assert (result["cause_fixed"], result["service_level_held"]) == (False, False)


async def test_a_cause_that_is_gone_is_not_enough(runner: Runner) -> None:
    await runner.operations.start(runner.incident, Caller("anna", owner=False), runner.report, concurrent=False)
    runner.world.latency = 0.9
    result = await Scoring(runner.engine).score(runner.incident, RIGHT, runner.report)
    assert result["cause_fixed"]
    assert not result["service_level_held"]
    assert not result["passed"]


async def test_harm_is_a_reason_not_to_pass(runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(NoDamage, "unsafe", ("3 rows of payments are gone",))
    result = await score(runner, RIGHT)
    assert not result["passed"]
    assert result["unsafe"] == ["3 rows of payments are gone"]


async def test_a_fix_by_hand_is_judged_too(runner: Runner) -> None:
    scoring = asyncio.create_task(score(runner, None))
    await asyncio.sleep(0.3)
    runner.world.fixed = True
    assert (await scoring)["passed"]


async def test_an_incident_that_is_not_active_cannot_be_fixed(runner: Runner) -> None:
    with pytest.raises(RefusedError, match="is not active; start it first"):
        await Scoring(runner.engine).score(runner.incident, RIGHT, runner.report)


@pytest.mark.parametrize(("sql", "settings"), [("", ""), (" ; -- nothing", ""), ("", "# nothing")])
def test_an_empty_fix_is_refused(sql: str, settings: str) -> None:
    with pytest.raises(RefusedError, match="The fix is empty"):
        GivenFix.parse(sql, settings)
