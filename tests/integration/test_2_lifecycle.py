"""The stack's life on Docker: secrets, healing, destruction."""

import json
import subprocess

import pytest
from eventually import eventually
from live_stack import Stack, Telemetry, files_of, what_is_left

from toolchain.engine import Engine

pytestmark = pytest.mark.integration


def test_secrets_are_absent_from_arguments_environments_and_logs(stack: Stack) -> None:
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


def test_destroy_leaves_nothing_of_the_stack(stack: Stack, engine: Engine) -> None:
    stack.succeed("env", stack.name)
    assert (stack.checkout / ".env").exists()
    stack.succeed("destroy", stack.name)
    assert what_is_left(engine, stack.name) == []
    assert not (stack.checkout / ".env").exists()
    assert files_of(stack) == []
    assert stack.demo("destroy", stack.name).returncode == 0, "a second destroy has nothing to do"
    assert (stack.checkout / f"Pulumi.{stack.name}.yaml").exists()
