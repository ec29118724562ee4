"""The stack's life: nothing to change, drift, healing."""

import json
import subprocess

import pytest
from eventually import eventually
from live_stack import Stack, Telemetry, files_of, what_is_left

from toolchain.engine import Engine

pytestmark = pytest.mark.integration


def test_a_second_up_changes_nothing(stack: Stack) -> None:
    assert stack.json("up", stack.name)["changes"] == {}


def test_a_preview_shows_nothing_to_change(stack: Stack) -> None:
    assert stack.json("preview", stack.name)["changes"] == {}


def test_plain_pulumi_sees_the_same_stack(stack: Stack) -> None:
    refreshed = stack.pulumi("refresh", "--yes", "--skip-preview")
    assert refreshed.returncode == 0, refreshed.stdout + refreshed.stderr
    previewed = stack.pulumi("preview", "--expect-no-changes", "--diff")
    assert previewed.returncode == 0, previewed.stdout + previewed.stderr


def test_every_service_is_up_and_within_its_memory(stack: Stack) -> None:
    status = stack.json("status", stack.name)
    assert status["ready"]
    assert {one["name"] for one in status["services"] if not one["ok"]} == set()
    assert all(one["memory_mib"] < one["memory_limit_mib"] for one in status["services"])
    assert sum(one["restarts"] for one in status["services"]) == 0


def test_secrets_are_masked_in_plain_outputs_and_absent_from_arguments_and_environments(stack: Stack) -> None:
    token = stack.settings["GRAFANA_TOKEN"]
    shown = stack.pulumi("stack", "output", "--json").stdout
    assert token not in shown
    assert "[secret]" in shown
    passwords = [value for value in _secrets(stack) if value]
    names = [stack.container(one["name"]) for one in stack.json("status", stack.name)["services"]]
    inspected = subprocess.run(["docker", "inspect", *names], capture_output=True, text=True, check=True).stdout
    logs = "".join(
        subprocess.run(
            ["docker", "logs", name], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=True
        ).stdout
        for name in names
    )
    state = "".join(path.read_text() for path in (stack.home / "state").rglob("*.json"))
    for secret in passwords:
        assert secret not in inspected
        assert secret not in logs
        assert secret not in state


def _secrets(stack: Stack) -> list[str]:
    document = json.loads((stack.home / "stacks" / stack.name / "secrets.json").read_text())
    return list(document["values"].values())


SERVICES = [
    "postgres",
    "postgres-logs",
    "postgres-log-pruner",
    "sample-app",
    "traffic",
    "postgres-exporter",
    "prometheus",
    "alertmanager",
    "loki",
    "collector",
    "jaeger",
    "gateway",
    "incident-runner",
]


@pytest.mark.parametrize("service", SERVICES)
def test_a_killed_container_is_healed_by_up(stack: Stack, engine: Engine, service: str) -> None:
    subprocess.run(["docker", "kill", stack.container(service)], check=True, capture_output=True)
    eventually(lambda: _status(engine, stack, service) == "exited")
    stack.succeed("up", stack.name)
    assert _status(engine, stack, service) == "running"
    assert stack.json("status", stack.name)["ready"]


def test_removed_containers_are_made_again_and_data_survives(
    stack: Stack, telemetry: Telemetry, engine: Engine
) -> None:
    before = _payments(stack)
    for service in ("postgres", "database", "prometheus", "gateway"):
        engine.remove(stack.container(service))
    stack.succeed("up", stack.name)
    assert _payments(stack) >= before
    assert telemetry.promql("max_over_time(pg_up[10m])")


def _status(engine: Engine, stack: Stack, service: str) -> str:
    state = engine.container(stack.container(service))
    return state.status if state else "missing"


def _payments(stack: Stack) -> int:
    sql = "SELECT count(*) FROM payments WHERE id <= (SELECT max(id) FROM payments)"
    command = ["docker", "exec", stack.container("postgres"), "psql", "-U", "postgres", "-d", "payments", "-Atc", sql]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def test_an_unknown_service_is_a_sentence_with_the_nearest_name(stack: Stack) -> None:
    result = stack.demo("logs", "postgre", "--stack", stack.name)
    assert result.returncode == 1
    assert result.stderr.strip() == "demo: No service is named postgre; did you mean postgres?"


def test_logs_show_what_a_service_wrote(stack: Stack) -> None:
    assert '"event":"request"' in stack.succeed("logs", "sample-app", "--stack", stack.name, "-n", "20").stdout


def test_destroy_leaves_nothing_of_the_stack(stack: Stack, engine: Engine) -> None:
    stack.succeed("env", stack.name)
    assert (stack.checkout / ".env").stat().st_mode & 0o777 == 0o600
    stack.succeed("destroy", stack.name)
    assert what_is_left(engine, stack.name) == []
    assert not (stack.checkout / ".env").exists()
    assert files_of(stack) == []
    assert stack.demo("destroy", stack.name).returncode == 0, "a second destroy has nothing to do"
    assert (stack.checkout / f"Pulumi.{stack.name}.yaml").exists()
