"""The runner on the running stack: who may talk to it, what it refuses, what a kill leaves, what a fix is worth."""

import json
import subprocess
from collections.abc import Generator
from typing import Any

import httpx
import pytest
from eventually import eventually
from live_stack import KIND, Stack

from incidents.catalog import catalog
from incidents.model import Fix, Incident, Kind

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

QUICK = "abandoned-slot"
"""An incident that disturbs no payments, so that the next one need not wait."""


@pytest.fixture(autouse=True)
def _ended(stack: Stack) -> Generator[None]:  # pyright: ignore[reportUnusedFunction] - a fixture
    yield
    stack.demo("incident", "stop", "--stack", stack.name)


def incident(stack: Stack, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return stack.demo("incident", *arguments, "--stack", stack.name, timeout=600)


def active(stack: Stack) -> list[dict[str, Any]]:
    return list(json.loads(incident(stack, "status", "--json").stdout)["active"])


def runner_url(stack: Stack) -> str:
    return f"http://127.0.0.1:{8070 + stack.offset}"


def test_agents_do_not_reach_it(stack: Stack) -> None:
    token = stack.settings["GRAFANA_TOKEN"]
    for path in ("/incidents", "/status", f"/incidents/{QUICK}?answer=true"):
        answer = httpx.get(runner_url(stack) + path, headers={"Authorization": f"Bearer {token}"}, trust_env=False)
        assert answer.status_code == 401
        assert QUICK not in answer.text


def test_no_setting_of_agents_names_it(stack: Stack) -> None:
    settings = json.dumps(dict(stack.settings)) + json.dumps(stack.json("env", stack.name, "--inside"))
    assert "runner" not in settings
    assert str(8070 + stack.offset) not in settings


def test_the_gateway_does_not_know_of_it(stack: Stack) -> None:
    url, token = stack.settings["GRAFANA_UI_URL"], stack.settings["GRAFANA_TOKEN"]
    for path in ("/", "/ready/stack", "/api/health"):
        answer = httpx.get(url + path, headers={"Authorization": f"Bearer {token}"}, trust_env=False)
        assert answer.is_success
        assert "incident" not in answer.text.lower()


def test_an_unknown_name_is_told_with_the_nearest_ones(stack: Stack) -> None:
    result = incident(stack, "start", "idnex-lost")
    assert result.returncode == 1
    assert "index-lost" in result.stderr


def test_a_start_while_one_is_active_is_refused_and_a_stop_may_be_repeated(stack: Stack) -> None:
    assert incident(stack, "start", QUICK).returncode == 0
    refused = incident(stack, "start", "hot-row")
    assert refused.returncode == 1
    assert f"{QUICK} is active; stop it first" in refused.stderr
    assert "is active already" in incident(stack, "start", QUICK).stderr
    assert incident(stack, "stop", QUICK).returncode == 0
    assert incident(stack, "stop", QUICK).returncode == 0
    assert active(stack) == []


@pytest.mark.skipif(KIND != "airgap", reason="kills a container by its name")
def test_a_runner_that_was_killed_recovers_what_died_with_it(stack: Stack) -> None:
    started = stack.start("incident", "start", "forgotten-transaction", "--stack", stack.name)
    eventually(lambda: active(stack), seconds=180)
    subprocess.run(["docker", "kill", stack.container("incident-runner")], check=True, capture_output=True)
    output, _ = started.communicate(timeout=180)
    assert started.returncode == 1, output
    subprocess.run(["docker", "start", stack.container("incident-runner")], check=True, capture_output=True)
    eventually(lambda: incident(stack, "status").returncode == 0 and not active(stack), seconds=120, poll=1)
    last = json.loads(incident(stack, "status", "--json").stdout)["last_run"]
    assert last["name"] == "forgotten-transaction"
    assert last["outcome"] == "ended with the runner, and recovered"


@pytest.mark.skipif(KIND != "airgap", reason="pauses a container by its name")
def test_a_database_that_is_gone_is_one_sentence_and_nothing_is_left(stack: Stack) -> None:
    database = stack.container("postgres")
    subprocess.run(["docker", "pause", database], check=True, capture_output=True)
    try:
        refused = incident(stack, "start", QUICK)
        assert refused.returncode == 1
        assert "Traceback" not in refused.stderr
        assert len([line for line in refused.stderr.splitlines() if line.startswith("demo:")]) == 1
    finally:
        subprocess.run(["docker", "unpause", database], check=True, capture_output=True)
    incident(stack, "stop")
    assert active(stack) == []
    eventually(
        lambda: json.loads(incident(stack, "status", "--json").stdout)["stack"]["fault"] is None, seconds=300, poll=2
    )


def test_compass_s_own_way_of_asking_is_forwarded(stack: Stack) -> None:
    url = f"{stack.settings['SAMPLE_APP_URL']}/trigger-incident"
    answer = httpx.post(url, json={"incident_type": "missing_index"}, timeout=30, trust_env=False)
    assert answer.status_code == 200, answer.text
    assert answer.json()["incident_mode"] == "missing_index"
    eventually(lambda: [one["name"] for one in active(stack)] == ["index-lost"], seconds=180)
    answer = httpx.post(url, params={"incident_type": "normal"}, timeout=30, trust_env=False)
    assert answer.json()["previous_mode"] == "missing_index"
    eventually(lambda: not active(stack), seconds=120, poll=1)


# --- fixes: a right one and an unsafe one for each incident, some three minutes each


def _fixes() -> list[Any]:
    return [
        pytest.param(one, fix, right, id=f"{one.name}-{fix.folder}")
        for one in catalog().values()
        for right, fixes in ((True, one.right_fixes), (False, one.unsafe_fixes))
        for fix in fixes
        if one.kind is Kind.INCIDENT and fix.folder
    ]


@pytest.mark.thorough
@pytest.mark.parametrize(("broken", "fix", "right"), _fixes())
def test_a_fix_is_judged(stack: Stack, broken: Incident, fix: Fix, right: bool) -> None:
    eventually(
        lambda: json.loads(incident(stack, "status", "--json").stdout)["stack"]["fault"] is None, seconds=300, poll=2
    )
    started = incident(stack, "start", broken.name)
    assert started.returncode == 0, started.stderr
    result = incident(stack, "score", broken.name, "--fix", str(broken.folder / (fix.folder or "")), "--json")
    verdict = json.loads(result.stdout)
    print(verdict)
    assert verdict["passed"] is right, verdict
    assert result.returncode == (0 if right else 1)
    stopped = incident(stack, "stop")
    assert stopped.returncode == 0, stopped.stderr
