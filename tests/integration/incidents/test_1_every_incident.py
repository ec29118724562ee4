"""Every incident on the running stack, from the baseline to the baseline: proven, recovered, told apart, not leaking.

COMPASS_TEST_INCIDENTS names those to run, with commas between; all of them without it.
"""

import json
import os
from typing import Any

import pytest
from live_stack import Stack

from incidents.catalog import catalog, find
from incidents.model import Incident, Kind

pytestmark = [pytest.mark.integration, pytest.mark.timeout(3600)]

CHOSEN = [find(name) for name in os.environ.get("COMPASS_TEST_INCIDENTS", ",".join(catalog())).split(",")]
ALL = len(CHOSEN) == len(catalog())
MEDIAN_SECONDS, MOST_SECONDS = 45, 120


@pytest.fixture(scope="module")
def results(stack: Stack) -> dict[str, dict[str, Any]]:
    """By name, what ``incident verify`` says; its table of seconds is shown as it comes."""
    names = ["--all"] if ALL else [one.name for one in CHOSEN]
    ran = stack.demo("incident", "verify", *names, "--json", "--stack", stack.name, timeout=3500)
    print(ran.stderr)
    assert ran.stdout.startswith("["), ran.stderr
    return {result["name"]: result for result in json.loads(ran.stdout)}


@pytest.mark.parametrize("incident", CHOSEN, ids=lambda one: one.name)
def test_it_is_proven_recovered_and_leaks_nothing(results: dict[str, dict[str, Any]], incident: Incident) -> None:
    result = results[incident.name]
    assert result["fault"] is None
    assert (result["proven"], result["recovered"], result["leaks"]) == (True, True, [])
    print(incident.name, result["seconds"])
    if incident.kind is Kind.INCIDENT:
        assert {"metrics", "logs", "traces", "alert", "recovery"} <= set(result["seconds"])
        assert result["seconds"]["alert"] <= MOST_SECONDS
        assert result["seconds"]["recovery"] <= incident.recovery_seconds


def test_the_stack_is_healthy_afterwards(results: dict[str, dict[str, Any]], stack: Stack) -> None:
    assert results
    status = json.loads(stack.demo("incident", "status", "--json", "--stack", stack.name).stdout)
    assert status["active"] == []
    assert status["stack"]["fault"] is None
