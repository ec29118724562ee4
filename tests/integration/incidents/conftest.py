"""Incidents need a stack that has been healthy for a while, which one that has just come up has not."""

import json

import pytest
from chosen import SECOND_ATTEMPTS, choose
from eventually import eventually
from live_stack import Stack


def pytest_report_header() -> str:
    """Which incidents, and why those."""
    choice = choose()
    return f"incidents: {', '.join(one.name for one in choice.incidents)}\nwhy those: {choice.why}"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Which incidents were tried twice: one that often needs it is not to be relied on."""
    terminalreporter.section("incidents that were tried twice")
    for name, fault in SECOND_ATTEMPTS.items():
        terminalreporter.line(f"{name}: {fault}")
    terminalreporter.line(f"{len(SECOND_ATTEMPTS)} in this run")


@pytest.fixture(scope="session", autouse=True)
def _settled(stack: Stack) -> None:  # pyright: ignore[reportUnusedFunction] - a fixture
    def healthy() -> bool:
        answer = stack.demo("incident", "status", "--json", "--stack", stack.name)
        return answer.returncode == 0 and json.loads(answer.stdout)["stack"]["fault"] is None

    eventually(healthy, seconds=180, poll=2)
