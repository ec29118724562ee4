"""Start, stop, verify: what is proven, what is refused, and what is left when something fails on the way."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from incidents.model import Compares, Kind, Login, Signal, Step
from incidents.runner.operations import Caller
from incidents.runner.problems import NotProvenError, NotRecoveredError, RefusedError, UnreachableError
from incidents.runner.state import Phase
from tests.incidents.support import make_runner, piece, until

if TYPE_CHECKING:
    from pathlib import Path

    from incidents.runner.measuring import Baseline
    from tests.incidents.support import Runner

pytestmark = pytest.mark.anyio

ANNA, BEN = Caller("anna@laptop", owner=False), Caller("ben@laptop", owner=False)


async def baseline(runner: Runner) -> Baseline:
    return await runner.engine.take_baseline(list(runner.incident.evidence), runner.report)


async def start(runner: Runner, *, concurrent: bool = False, name: str = "things-lost") -> dict[str, object]:
    incident = runner.engine.incidents[name]
    return await runner.operations.start(incident, ANNA, runner.report, concurrent=concurrent)


async def test_a_start_proves_each_signal_and_leaves_the_incident_active(runner: Runner) -> None:
    result = await start(runner)
    assert result["proven"]
    assert set(dict(result["seconds"])) == {"metrics", "logs", "traces"}  # pyright: ignore[reportArgumentType, reportCallIssue, reportUnknownArgumentType]
    assert [one.phase for one in runner.state.active()] == [Phase.ACTIVE]
    seen = [event["name"] for event in runner.events if event["event"] == "seen"]
    assert sorted(seen) == sorted(piece.name for piece in runner.incident.evidence)


async def test_a_query_for_slow_things_measures_against_the_baseline(runner: Runner) -> None:
    await start(runner)
    assert {"{ duration > 100ms }", "{ duration > 50ms }"} <= set(runner.world.asked)


async def test_what_does_not_show_is_ended_and_named(runner: Runner) -> None:
    runner.world.shows = False
    with pytest.raises(NotProvenError, match=r"metrics: metric shows; logs: line shows; traces: .* baseline was back"):
        await start(runner)
    assert runner.state.active() == []
    assert runner.database.scripts == ["recover.sql"]


async def test_what_ought_to_stay_quiet_is_missing_when_it_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quiet = piece(Signal.LOGS, "q", Compares.stays(2))
    runner = make_runner(tmp_path, monkeypatch, evidence=(piece(Signal.METRICS, "metric"), quiet))
    with pytest.raises(NotProvenError, match="logs: q shows"):
        await start(runner)


async def test_stop_brings_the_baseline_back_and_may_be_repeated(runner: Runner) -> None:
    await start(runner)
    runner.world.settings["counter_shards"] = 8  # a fix did that
    result = await runner.operations.stop([], runner.report)
    assert result["stopped"] == ["things-lost"]
    assert runner.world.settings["counter_shards"] == 1
    assert (await runner.operations.stop([], runner.report))["stopped"] == []
    assert (await runner.operations.stop(["things-lost"], runner.report))["stopped"] == ["things-lost"]


async def test_a_baseline_that_does_not_come_back_is_told_and_can_be_tried_again(runner: Runner) -> None:
    await start(runner)
    runner.world.sticks = True
    with pytest.raises(NotRecoveredError, match="still there: metrics: metric shows"):
        await runner.operations.stop([], runner.report)
    assert [one.phase for one in runner.state.active()] == [Phase.RECOVERING]
    assert "metric shows" in runner.state.active()[0].note
    runner.world.sticks = False
    await runner.operations.stop([], runner.report)
    assert runner.state.active() == []


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"not_ready": "loki"}, "not every service answers: loki"),
        ({"success": 0.9}, "90.0% of payments succeed"),
        ({"latency": 0.5}, "p95 500 ms"),
        ({"firing": ["DeadTuples"]}, "DeadTuples fires"),
    ],
)
async def test_a_degraded_stack_is_refused(runner: Runner, change: dict[str, object], sentence: str) -> None:
    for name, value in change.items():
        setattr(runner.world, name, value)
    with pytest.raises(RefusedError, match=sentence):
        await start(runner)
    assert runner.state.active() == []
    assert runner.world.injected == set()


async def test_a_baseline_is_taken_of_healthy_seconds_only(runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("incidents.runner.engine._QUIET_SECONDS", 15)
    monkeypatch.setattr("incidents.runner.engine._PATIENCE_SECONDS", 0.1)
    with pytest.raises(RefusedError, match="the service level never held for 15 s"):
        await baseline(runner)
    monkeypatch.setattr("incidents.runner.engine._QUIET_SECONDS", 10)
    assert (await baseline(runner)).slow_ms == 100


async def test_a_stack_that_was_slower_a_moment_ago_is_waited_for_but_not_for_ever(
    runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner.world.latencies = [0.13, 0.13, 0.13]
    monkeypatch.setattr("incidents.runner.engine._QUIET_SECONDS", 10)
    monkeypatch.setattr("incidents.runner.engine._PATIENCE_SECONDS", 0.1)
    with pytest.raises(RefusedError, match="never held for 10 s"):
        await baseline(runner)
    monkeypatch.setattr("incidents.runner.engine._SETTLING_SECONDS", 0)
    assert (await baseline(runner)).slow_ms == 520


async def test_one_slow_moment_does_not_decide_what_is_slow(runner: Runner) -> None:
    runner.world.latencies = [0.29, 0.03, 0.03, 0.04]
    assert (await runner.engine.measuring.baseline([], 60)).slow_ms == 140


async def test_one_at_a_time_unless_asked_for_several(runner: Runner) -> None:
    await start(runner)
    with pytest.raises(RefusedError, match="things-lost is active already"):
        await start(runner)
    with pytest.raises(RefusedError, match="stop it first, or start both with --concurrent"):
        await start(runner, name="things-hidden")
    await start(runner, name="things-hidden", concurrent=True)
    assert [one.name for one in runner.state.active()] == ["things-lost", "things-hidden"]
    await runner.operations.stop([], runner.report)
    assert runner.state.active() == []


async def test_one_s_end_would_end_the_sessions_of_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runner = make_runner(tmp_path, monkeypatch, steps=(Step(file="inject.sql", login=Login.BATCH),))
    await start(runner)
    with pytest.raises(RefusedError, match="works in sessions like those of things-lost: one's end would end both"):
        await start(runner, name="things-hidden", concurrent=True)


async def test_what_is_not_active_is_not_ended_beside_what_is(runner: Runner) -> None:
    runner.operations.check_stoppable(["things-hidden"])
    await start(runner)
    runner.operations.check_stoppable(["things-lost"])
    runner.operations.check_stoppable([])
    with pytest.raises(RefusedError, match="things-hidden is not active, things-lost is; stop that, or all"):
        runner.operations.check_stoppable(["things-hidden"])


async def test_what_a_fix_has_set_is_taken_back_unless_it_may_be_another_incident_s(runner: Runner) -> None:
    await start(runner)
    await start(runner, name="things-hidden", concurrent=True)
    runner.world.settings |= {"counter_shards": 8, "pool_max_size": 30}
    await runner.operations.stop(["things-hidden"], runner.report)
    assert (runner.world.settings["counter_shards"], runner.database.put_back) == (1, 0)
    runner.world.settings |= {"counter_shards": 8}
    await runner.operations.stop(["things-lost"], runner.report)
    assert (runner.world.settings["counter_shards"], runner.database.put_back) == (1, 1)


async def test_an_injection_that_hangs_is_undone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def hangs(_login: Login) -> None:
        await asyncio.sleep(60)

    runner = make_runner(tmp_path, monkeypatch, proof_seconds=1)
    monkeypatch.setattr(runner.database, "open", hangs)
    monkeypatch.setattr(runner.database, "put_back_settings", _nothing)
    monkeypatch.setattr(runner.database, "end_sessions", _nothing)
    monkeypatch.setattr(runner.database, "run", _nothing)
    with pytest.raises(RefusedError, match=r"could not be injected: It took longer than 1 s\. What was done"):
        await start(runner)
    assert runner.state.active() == []


async def _nothing(*_: object) -> None:
    """Stands for what takes no time."""


async def test_one_late_answer_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runner = make_runner(tmp_path, monkeypatch, kind=Kind.DECOY, alert=None)
    runner.world.alert_fires = False
    health, answers = runner.engine.health, iter(["late", None, "late", "late"])
    fault = health.fault

    async def sometimes_late() -> str | None:
        if next(answers, None) == "late":
            raise UnreachableError("The gateway does not answer.")
        return await fault()

    monkeypatch.setattr(health, "fault", sometimes_late)
    assert await health.until_healthy(5) is None
    assert await health.until_healthy(5) is None
    monkeypatch.setattr("incidents.runner.engine._QUIET_SECONDS", 0.5)
    answers = iter([None, "late", None] * 1000)
    await start(runner)


async def test_a_gateway_that_never_answers_is_no_sign_of_health(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner = make_runner(tmp_path, monkeypatch, kind=Kind.DECOY, alert=None)
    fault = runner.engine.health.fault

    async def gone() -> str | None:
        if runner.state.active():
            raise UnreachableError("The gateway does not answer.")
        return await fault()

    monkeypatch.setattr(runner.engine.health, "fault", gone)
    with pytest.raises(NotProvenError, match=r"no harm, since The gateway does not answer\."):
        await start(runner)


async def test_a_database_that_goes_during_the_injection_leaves_nothing(runner: Runner) -> None:
    runner.world.database_gone = True
    task = asyncio.create_task(start(runner))
    await asyncio.sleep(0.3)
    runner.world.database_gone = False
    with pytest.raises(RefusedError, match=r"could not be injected: The database does not answer.* is undone"):
        await task
    assert runner.state.active() == []


async def test_a_database_that_stays_away_is_told_with_what_is_left(runner: Runner) -> None:
    runner.world.database_gone = True
    with pytest.raises(NotRecoveredError, match="could not be ended: The database does not answer"):
        await start(runner)
    assert [one.phase for one in runner.state.active()] == [Phase.RECOVERING]


async def test_verify_goes_from_baseline_to_baseline(runner: Runner) -> None:
    result = await runner.operations.verify(runner.incident, ANNA, runner.report, shared=True)
    assert result["fault"] is None
    assert (result["proven"], result["recovered"], result["alert"]) == (True, True, "ThingsLost")
    assert set(result["seconds"]) == {"metrics", "logs", "traces", "alert", "recovery", "healthy"}
    assert runner.state.active() == []


async def test_verify_tells_an_alert_that_does_not_fire(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runner = make_runner(tmp_path, monkeypatch)
    monkeypatch.setattr(runner.engine, "settings", runner.settings.model_copy(update={"alert_seconds": 0}))
    runner.world.alert_fires = False
    result = await runner.operations.verify(runner.incident, ANNA, runner.report, shared=False)
    assert "alert: ThingsLost" in result["fault"]
    assert result["recovered"]


async def test_verify_tells_leaks_and_look_alikes(runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    runner.leaks.found = ("Loki: 1 lines match",)
    result = await runner.operations.verify(runner.incident, ANNA, runner.report, shared=False)
    assert result["leaks"] == ["Loki: 1 lines match"]
    hidden = runner.engine.incidents["things-hidden"]
    runner.leaks.found = ()
    monkeypatch.setattr(runner.world, "firing", [])
    result = await runner.operations.verify(hidden, ANNA, runner.report, shared=False)
    assert result["confused_with"] == ["'m shows' does not tell it from things-lost"]
    assert result["fault"]


async def test_verify_ends_again_what_did_not_recover(runner: Runner) -> None:
    runner.world.sticks = True
    result = await runner.operations.verify(runner.incident, ANNA, runner.report, shared=False)
    assert not result["recovered"]
    assert result["fault"].count("things-lost was ended. After") == 1
    assert result["fault"].endswith("Ended again, it is still there.")
    assert [one.name for one in runner.state.active()] == ["things-lost"]


async def test_what_recovers_late_keeps_no_other_from_starting(runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    async def recovers_the_second_time(_login: Login, file: Path) -> None:
        runner.database.scripts.append(file.name)
        if len(runner.database.scripts) > 1:
            runner.world.injected.clear()

    monkeypatch.setattr(runner.database, "run", recovers_the_second_time)
    result = await runner.operations.verify(runner.incident, ANNA, runner.report, shared=False)
    assert not result["recovered"]
    assert "Ended again, the baseline was back after" in result["fault"]
    assert runner.state.active() == []


async def test_a_store_that_cannot_be_searched_is_a_fault_and_the_incident_is_ended(runner: Runner) -> None:
    runner.leaks.error = UnreachableError("Loki does not answer.")
    result = await runner.operations.verify(runner.incident, ANNA, runner.report, shared=False)
    assert result["fault"] == "Leaks could not be looked for: Loki does not answer."
    assert result["recovered"]
    assert runner.state.active() == []


async def test_a_decoy_that_does_harm_is_no_decoy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runner = make_runner(tmp_path, monkeypatch, kind=Kind.DECOY, alert=None)
    with pytest.raises(NotProvenError, match="no harm, since ThingsLost fires"):
        await start(runner)
    runner.world.alert_fires = False
    await start(runner)


async def test_a_stop_interrupts_what_is_being_proven(runner: Runner) -> None:
    runner.world.shows = False
    task = asyncio.create_task(runner.operations.run(ANNA, "start things-lost", lambda: start(runner)))
    await until(lambda: bool(runner.state.active()))
    with pytest.raises(RefusedError, match="busy with: start things-lost"):
        await runner.operations.run(ANNA, "stop", lambda: runner.operations.stop([], runner.report))
    await runner.operations.interrupt(ANNA)
    with pytest.raises(RefusedError, match="was interrupted"):
        await task
    assert len(runner.state.active()) == 1
    await runner.operations.run(ANNA, "stop", lambda: runner.operations.stop([], runner.report))
    assert runner.state.active() == []


async def test_two_presenters_do_not_run_incidents_over_each_other(runner: Runner) -> None:
    async def nothing() -> dict[str, object]:
        return {}

    await runner.operations.run(ANNA, "start", lambda: start(runner))
    with pytest.raises(RefusedError, match="anna@laptop runs incidents on this stack until"):
        await runner.operations.run(BEN, "stop", nothing)
    with pytest.raises(RefusedError, match="Only the owner's token takes over from anna@laptop"):
        await runner.operations.run(Caller("ben@laptop", owner=False, take_over=True), "stop", nothing)
    await runner.operations.run(Caller("ben@laptop", owner=True, take_over=True), "stop", nothing)
    with pytest.raises(RefusedError, match="ben@laptop runs incidents"):
        await runner.operations.run(ANNA, "stop", nothing)
    await runner.operations.run(BEN, "stop", lambda: runner.operations.stop([], runner.report))
    # Nothing is active, so there is nothing to keep anybody from.
    await runner.operations.run(ANNA, "start", nothing)


async def test_who_takes_over_is_not_refused_what_they_took_over(runner: Runner) -> None:
    owner = Caller("ben@laptop", owner=True, take_over=True)
    runner.world.shows = False
    task = asyncio.create_task(runner.operations.run(ANNA, "start things-lost", lambda: start(runner)))
    await until(lambda: bool(runner.state.active()))
    with pytest.raises(RefusedError, match="busy with"):
        await runner.operations.run(owner, "start", lambda: start(runner))
    runner.operations.check(ANNA)
    await runner.operations.interrupt(owner)
    with pytest.raises(RefusedError, match="was interrupted"):
        await task
    with pytest.raises(RefusedError, match="ben@laptop runs incidents"):
        runner.operations.check(ANNA)


async def test_who_cannot_say_their_name_keeps_nobody_away(runner: Runner) -> None:
    nobody = Caller("trigger-incident", owner=False, leases=False)
    await runner.operations.run(ANNA, "stop", lambda: runner.operations.stop([], runner.report))
    await runner.operations.run(nobody, "start", lambda: start(runner))
    runner.operations.check(nobody)
    await runner.operations.run(BEN, "stop", lambda: runner.operations.stop([], runner.report))


async def test_nothing_is_found_where_nothing_is(runner: Runner) -> None:
    result = await runner.operations.watch_nothing(0.05, runner.report)
    assert result["false_proofs"] == []


async def test_what_shows_without_an_injection_is_a_false_proof(runner: Runner) -> None:
    runner.world.alert_fires = False
    watching = asyncio.create_task(runner.operations.watch_nothing(0.5, runner.report))
    await until(lambda: any(event.get("phase") == "watching nothing" for event in runner.events))
    runner.world.injected.add("something else")
    assert (await watching)["false_proofs"] == ["things-lost", "things-hidden"]
