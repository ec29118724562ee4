"""The Automation API without its questions: the program runs quietly, and the outputs come from the events."""

from collections.abc import Callable

import pytest
from pulumi import log

from cli import engine_stack
from cli.engine_stack import open_stack, run_quietly


def program(monkeypatch: pytest.MonkeyPatch, action: Callable[[], None]) -> None:
    monkeypatch.setattr(engine_stack, "run", action)


def test_the_program_runs_without_debug_messages_which_are_back_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    messages: list[str] = []
    monkeypatch.setattr(log, "debug", messages.append)

    def talk() -> None:
        messages.append("ran")
        log.debug("inside")

    program(monkeypatch, talk)
    run_quietly()
    log.debug("outside")
    assert messages == ["ran", "outside"]


def test_debug_messages_are_back_after_a_program_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    debug = log.debug

    def fail() -> None:
        assert log.debug is not debug
        raise ValueError("broken")

    program(monkeypatch, fail)
    with pytest.raises(ValueError, match="broken"):
        run_quietly()
    assert log.debug is debug


def test_the_outputs_that_the_events_told_are_not_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    told: dict[str, str] = {}
    stack = open_stack("airgap", lambda: told)
    told["GRAFANA_URL"] = "http://127.0.0.1:3000"
    assert {name: output.value for name, output in stack.outputs().items()} == told
    assert stack.info().result == "succeeded"
