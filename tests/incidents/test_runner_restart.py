"""A runner that was killed: it knows what is active, and cleans up what died with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from incidents.model import Login
from incidents.runner.operations import Caller
from incidents.runner.state import Phase
from tests.incidents.support import make_runner

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio
ANNA = Caller("anna@laptop", owner=False)


async def test_what_only_changed_data_stays_active_and_can_be_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = make_runner(tmp_path, monkeypatch)
    await first.operations.start(first.incident, ANNA, first.report, concurrent=False)
    second = make_runner(tmp_path, monkeypatch, first.world)
    await second.operations.resume()
    assert [(one.name, one.phase) for one in second.state.active()] == [("things-lost", Phase.ACTIVE)]
    await second.operations.stop([], second.report)
    assert second.state.active() == []
    assert first.world.injected == set()


async def test_what_lived_in_sessions_is_reported_as_ended_and_recovered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = make_runner(tmp_path, monkeypatch)
    await first.operations.start(first.engine.incidents["things-hidden"], ANNA, first.report, concurrent=False)
    await first.engine.close()  # its sessions die with it
    second = make_runner(tmp_path, monkeypatch, first.world)
    await second.operations.resume()
    assert second.state.active() == []
    last = second.state.last_run()
    assert last is not None
    assert last["outcome"] == "ended with the runner, and recovered"
    assert set(second.database.ended) == {Login.OPERATOR, Login.BATCH}
    assert second.database.scripts == ["recover.sql"]


@pytest.mark.parametrize("phase", [Phase.INJECTING, Phase.RECOVERING])
async def test_a_kill_in_the_middle_is_cleaned_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, phase: Phase
) -> None:
    first = make_runner(tmp_path, monkeypatch)
    first.state.begin("things-lost", "run-1", "anna", {"counter_shards": 1})
    first.state.set_phase("things-lost", phase)
    first.world.injected.add("things-lost")
    second = make_runner(tmp_path, monkeypatch, first.world)
    await second.operations.resume()
    assert second.state.active() == []
    assert second.world.injected == set()


async def test_a_cleanup_that_fails_leaves_it_in_the_list_for_a_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = make_runner(tmp_path, monkeypatch)
    first.state.begin("things-lost", "run-1", "anna", {"counter_shards": 1})
    first.world.database_gone = True
    second = make_runner(tmp_path, monkeypatch, first.world)
    await second.operations.resume()
    assert "could not be ended" in second.state.active()[0].note
    first.world.database_gone = False
    await second.operations.stop([], second.report)
    assert second.state.active() == []
