"""A stack's life on a cluster: how its pods run, pods that die, updates, destruction."""

# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# asyncpg is not typed.

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

import asyncpg
import pytest
import requests
from eventually import eventually
from live_cluster import client, cluster_address, is_ready, kill_pod, pods, what_is_left
from live_stack import Stack, Telemetry, files_of
from steady_load import payments_while

pytestmark = pytest.mark.integration

HEALED_SECONDS = 30


def test_the_state_has_no_files_of_attributes(stack: Stack) -> None:
    """They are not written atomically, so that whoever is killed meanwhile could never read the state again."""
    files = [path for path in (stack.home / "state").rglob("*") if path.is_file()]
    assert any(path.name == f"{stack.name}.json" for path in files)
    assert [path.name for path in files if path.suffix == ".attrs"] == []


def test_pods_run_as_the_restricted_standard_wants(stack: Stack) -> None:
    namespace = client().get(f"/api/v1/namespaces/{stack.namespace}")
    assert namespace is not None
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    for pod in pods(stack):
        assert pod["spec"].get("automountServiceAccountToken") is False, pod["metadata"]["name"]
        for container in pod["spec"]["containers"]:
            assert container["securityContext"]["readOnlyRootFilesystem"] is True, container["name"]
            assert "@sha256:" in container["image"], "own images are named by digest"


def test_no_service_is_open_beyond_the_cluster(stack: Stack) -> None:
    services = client().items(f"/api/v1/namespaces/{stack.namespace}/services")
    assert services
    assert {one["spec"]["type"] for one in services} == {"ClusterIP"}
    assert client().items(f"/apis/networking.k8s.io/v1/namespaces/{stack.namespace}/ingresses") == []


def test_secrets_are_in_secret_files_alone(stack: Stack) -> None:
    document = json.loads((stack.home / "stacks" / stack.name / "secrets.json").read_text())
    base = f"/api/v1/namespaces/{stack.namespace}"
    told = json.dumps([*client().items(f"{base}/pods"), *client().items(f"{base}/configmaps")])
    for kind in ("deployments", "statefulsets"):
        told += json.dumps(client().items(f"/apis/apps/v1/namespaces/{stack.namespace}/{kind}"))
    logs = "".join(_log(stack, str(one["name"])) for one in stack.json("status", stack.name)["services"])
    state = "".join(path.read_text() for path in (stack.home / "state").rglob("*.json"))
    for secret in document["values"].values():
        assert secret not in told
        assert secret not in logs
        assert secret not in state


def _log(stack: Stack, service: str) -> str:
    return stack.succeed("logs", service, "--stack", stack.name, "-n", "2000").stdout


def _query(stack: Stack, sql: str, *arguments: object) -> Any:
    """One value of the database, through the tunnel."""
    document = json.loads((stack.home / "stacks" / stack.name / "secrets.json").read_text())

    async def ask() -> Any:
        connection = await asyncpg.connect(
            host="127.0.0.1",
            port=5432 + stack.offset,
            user="postgres",
            password=document["values"]["postgres-password"],
            database="payments",
            timeout=20,
        )
        try:
            answer: Any = await connection.fetchval(sql, *arguments)
            return answer
        finally:
            await connection.close()

    return asyncio.run(ask())


WORKLOADS = [
    "postgres",
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


IN_A_SHORT_RUN = {"postgres", "sample-app", "gateway"}
"""A store, and the two that have replicas and shared state."""


def kill_one(stack: Stack, workload: str) -> Callable[[], bool]:
    """Kill a pod; returns how to ask whether as many others as before are ready without it."""
    before = pods(stack, workload)
    killed = before[0]["metadata"]["uid"]
    kill_pod(stack, before[0])

    def healed() -> bool:
        found = pods(stack, workload)
        return len(found) == len(before) and all(is_ready(pod) and pod["metadata"]["uid"] != killed for pod in found)

    return healed


def wait_until_well(stack: Stack) -> None:
    """The gateway asks each of them once in a while, so it may know of an end later than the cluster."""
    eventually(lambda: stack.demo("status", stack.name).returncode == 0, seconds=60)


@pytest.mark.parametrize(
    "workload", [pytest.param(one, marks=[] if one in IN_A_SHORT_RUN else pytest.mark.long) for one in WORKLOADS]
)
def test_a_killed_pod_is_healed_within_thirty_seconds(stack: Stack, workload: str) -> None:
    eventually(kill_one(stack, workload), seconds=HEALED_SECONDS)
    wait_until_well(stack)


def test_what_was_committed_or_stored_survives_the_loss_of_every_store(stack: Stack, telemetry: Telemetry) -> None:
    answer = requests.post(f"{stack.settings['SAMPLE_APP_URL']}/payment", json={"amount": 4711.0}, timeout=30)
    assert answer.status_code == 200
    payment = answer.json()["payment_id"]
    labels, line = eventually(lambda: telemetry.logql('{service="payment-service"}', limit=1))[0]
    # One and the same window before and after.
    samples = f"count_over_time(pg_up[15m] @ {time.time():.3f})"
    before = float(telemetry.promql(samples)[0]["value"][1])
    assert before > 5
    for healed in [kill_one(stack, workload) for workload in ("postgres", "loki", "prometheus")]:
        eventually(healed, seconds=60)
    wait_until_well(stack)
    assert _query(stack, "SELECT count(*) FROM payments WHERE id = $1", payment) == 1
    same = f'{{service="payment-service"}} | trace_id="{labels["trace_id"]}"'
    eventually(lambda: line in {text for _, text in telemetry.logql(same)})
    # What Prometheus had not written down when it was killed may be gone: two seconds or so.
    assert float(telemetry.promql(samples)[0]["value"][1]) >= before - 3


def test_a_rolling_update_of_the_sample_app_loses_no_payment(stack: Stack) -> None:
    topology = stack.checkout / "infra" / "topology" / "payments.py"
    before = {pod["metadata"]["name"] for pod in pods(stack, "sample-app")}
    assert len(before) > 1
    good = topology.read_text()
    changed = good.replace("size_mib=16", "size_mib=17", 1)
    assert changed != good
    topology.write_text(changed)
    try:
        address = cluster_address(stack, "sample-app")
        outcome = payments_while(address, 8000, 50, lambda: stack.succeed("up", stack.name))
    finally:
        topology.write_text(good)
    assert before.isdisjoint(pod["metadata"]["name"] for pod in pods(stack, "sample-app"))
    assert outcome.sent > 200
    assert outcome.failures == []


def test_an_object_that_is_deleted_by_hand_is_made_again_by_up(stack: Stack) -> None:
    assert client().delete(f"/apis/apps/v1/namespaces/{stack.namespace}/deployments/traffic")
    changes = stack.json("up", stack.name)["changes"]
    assert any("traffic" in name for names in changes.values() for name in names), changes
    assert stack.json("status", stack.name)["ready"]
    assert stack.json("up", stack.name)["changes"] == {}


def test_logs_are_followed(stack: Stack) -> None:
    running = stack.start("logs", "sample-app", "--follow", "--lines", "1", "--stack", stack.name)
    assert running.stdout is not None
    try:
        lines = [running.stdout.readline() for _ in range(20)]
    finally:
        running.kill()
        running.communicate()
    assert all('"event"' in line for line in lines), lines


def test_the_tunnel_finds_new_pods(stack: Stack) -> None:
    url = f"{stack.settings['SAMPLE_APP_URL']}/health"
    assert requests.get(url, timeout=10).status_code == 200
    kill_pod(stack, pods(stack, "sample-app")[0])
    # A connection that comes while there is no pod waits for one.
    assert requests.get(url, timeout=60).status_code == 200
    wait_until_well(stack)


def test_a_port_that_is_taken_is_named_with_its_holder_and_its_key(stack: Stack) -> None:
    result = stack.demo("tunnel", stack.name)
    assert result.returncode == 1
    assert f"Port {3000 + stack.offset} for gateway is in use by" in result.stderr
    assert "compass-demo:grafanaPort" in result.stderr


def test_settings_for_the_inside_name_the_services(stack: Stack) -> None:
    document = stack.json("env", stack.name, "--inside")
    assert document["network"] == stack.namespace
    assert document["settings"]["GRAFANA_URL"] == "http://gateway:3000"


def test_destroy_leaves_nothing_of_the_stack(stack: Stack) -> None:
    stack.succeed("env", stack.name)
    assert (stack.checkout / ".env").exists()
    stack.succeed("destroy", stack.name)
    assert what_is_left(stack) == []
    assert not (stack.checkout / ".env").exists()
    assert files_of(stack) == []
    assert stack.demo("destroy", stack.name).returncode == 0, "a second destroy has nothing to do"
