"""``status`` on a cluster: what the pods, jobs, events and nodes say of each container."""

from typing import Any

import pytest
from fake_cluster import FakeCluster, meta
from pods import container_status, job, pod
from small_topology import TOPOLOGY

from cli.platforms.base import ServiceStatus
from cli.platforms.kubernetes_status import container_rows, take_snapshot

NAMESPACE = "/api/v1/namespaces/compass-test"
PODS, EVENTS = f"{NAMESPACE}/pods", f"{NAMESPACE}/events"
JOBS = "/apis/batch/v1/namespaces/compass-test/jobs"
DB = pod("db", container_status("db"), container_status("db-logs"))
WEB = pod("web", container_status("web"))
DONE = job("schema", succeeded=1)
CRASH: dict[str, Any] = {
    "waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s restarting failed container"}
}


def rows(
    *pods: Any,
    jobs: tuple[Any, ...] = (DONE,),
    health: dict[str, Any] | None = None,
    others: dict[str, Any] | None = None,
) -> dict[str, ServiceStatus]:
    cluster = FakeCluster({PODS: list(pods), JOBS: list(jobs), **(others or {})})
    snapshot = take_snapshot(cluster, "compass-test", memory=True)
    return {row.name: row for row in container_rows(TOPOLOGY, snapshot, health or {})}


def test_a_stack_that_is_well_is_well_in_every_row() -> None:
    found = rows(DB, WEB)
    assert [(row.name, row.state, row.ok) for row in found.values()] == [
        ("db", "answers", True),
        ("db-logs", "running", True),
        ("schema", "done", True),
        ("web", "answers", True),
    ]
    assert found["web"].addresses == ["127.0.0.1:18000 http", "127.0.0.1:18001 admin"]
    assert found["web"].since.endswith("min")


@pytest.mark.parametrize(
    ("status", "word"),
    [
        (container_status("web", ready=False), "not ready"),
        (container_status("web", ready=False, waiting={"reason": "ContainerCreating"}), "starting"),
        (
            container_status("web", ready=False, restarts=3, last={"exitCode": 2, "reason": "Error"}, **CRASH),
            "exit code 2",
        ),
        (
            container_status("web", ready=False, last={"exitCode": 137, "reason": "OOMKilled"}, **CRASH),
            "137 (OOMKilled)",
        ),
        (
            container_status("web", ready=False, terminated={"exitCode": 1, "reason": "Error"}),
            "crashes with exit code 1",
        ),
        (
            container_status("web", ready=False, waiting={"reason": "ImagePullBackOff", "message": "no such host"}),
            "its image cannot be pulled: no such host",
        ),
        (
            container_status(
                "web", ready=False, waiting={"reason": "CreateContainerConfigError", "message": "no key x"}
            ),
            "CreateContainerConfigError: no key x",
        ),
    ],
)
def test_a_container_that_is_not_ready_says_why(status: dict[str, Any], word: str) -> None:
    row = rows(DB, pod("web", status))["web"]
    assert word in row.state
    assert not row.ok


def test_a_pod_without_a_node_says_what_the_scheduler_said() -> None:
    unbound = {"type": "PodScheduled", "status": "False", "message": "pod has unbound immediate PersistentVolumeClaims"}
    waiting = pod("db", containers=["db", "db-logs"], phase="Pending", conditions=[unbound])
    assert rows(waiting, WEB)["db"].state == "has no node: pod has unbound immediate PersistentVolumeClaims"


def test_pods_that_cannot_be_made_say_what_the_quota_said() -> None:
    refused = {
        "metadata": meta("e", creationTimestamp="2026-01-01T00:00:00Z"),
        "involvedObject": {"name": "web-5d4f"},
        "message": "pods is forbidden:  exceeded quota: team",
    }
    row = rows(DB, others={EVENTS: [refused]})["web"]
    assert row.state == "missing: pods is forbidden: exceeded quota: team"
    assert rows(DB)["web"].state == "missing"


def test_replicas_are_one_row() -> None:
    second = pod("web", container_status("web", ready=False, restarts=1), suffix="1")
    row = rows(DB, pod("web", container_status("web", restarts=2)), second)["web"]
    assert (row.state, row.ok, row.restarts, row.memory_limit_mib) == ("1 of 2 ready, not ready", False, 3, 128)


def test_a_pod_that_is_going_counts_for_nothing() -> None:
    going = pod("web", container_status("web"), metadata={"deletionTimestamp": "2026-01-01T00:00:00Z"})
    assert rows(DB, going)["web"].state == "missing"


@pytest.mark.parametrize(
    ("jobs", "state", "ok"),
    [
        ((), "missing", False),
        ((job("schema", active=1),), "running", False),
        (
            (job("schema", conditions=[{"type": "Failed", "status": "True", "message": "too often"}]),),
            "failed: too often",
            False,
        ),
        ((DONE,), "done", True),
    ],
)
def test_a_task_is_judged_by_its_job(jobs: tuple[Any, ...], state: str, ok: bool) -> None:
    row = rows(DB, WEB, jobs=jobs)["schema"]
    assert (row.state, row.ok) == (state, ok)


def test_what_the_gateway_says_of_a_ready_container_counts() -> None:
    health = {"ready": False, "failing": [{"service": "web", "reason": "HTTP 503"}]}
    assert rows(DB, WEB, health=health)["web"].state == "HTTP 503"


def test_pods_of_a_silent_node_are_not_believed() -> None:
    condition = {"type": "Ready", "status": "Unknown", "message": "Kubelet stopped posting node status."}
    node: dict[str, Any] = {"metadata": meta("one", {}), "status": {"conditions": [condition]}}
    row = rows(DB, WEB, others={"/api/v1/nodes": [node]})["web"]
    assert (row.state, row.ok) == ("its node one is silent: Kubelet stopped posting node status.", False)


def test_memory_comes_from_the_metrics_api_where_there_is_one() -> None:
    measured = {"metadata": {"name": "web-0"}, "containers": [{"name": "web", "usage": {"memory": "20Mi"}}]}
    found = rows(DB, WEB, others={"/apis/metrics.k8s.io/v1beta1/namespaces/compass-test/pods": [measured]})
    assert (found["web"].memory_mib, found["db"].memory_mib) == (20.0, 0.0)


def test_memory_comes_from_the_kubelets_where_there_is_none() -> None:
    of_pod = {
        "podRef": {"name": "web-0", "namespace": "compass-test"},
        "containers": [{"name": "web", "memory": {"workingSetBytes": 30 * 2**20}}],
    }
    other = {**of_pod, "podRef": {"name": "web-0", "namespace": "other"}}
    found = rows(DB, WEB, others={"/api/v1/nodes/one/proxy/stats/summary": {"pods": [of_pod, other]}})
    assert found["web"].memory_mib == 30.0


def test_a_user_of_one_namespace_gets_rows_without_memory() -> None:
    cluster = FakeCluster({PODS: [DB, WEB], JOBS: [DONE]}, ("/api/v1/nodes", "/api/v1/nodes/one/proxy/stats/summary"))
    snapshot = take_snapshot(cluster, "compass-test", memory=True)
    assert all(row.ok and not row.memory_mib for row in container_rows(TOPOLOGY, snapshot, {}))
