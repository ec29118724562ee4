"""A stack's containers as the cluster and the gateway see them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from cli.platforms.base import ServiceStatus, age
from cli.platforms.pods import PodContainer, containers_of, node_troubles
from infra.errors import DemoError
from infra.targets.kubernetes.client import KubeClient
from infra.targets.kubernetes.objects import NAME, labels, part, parts
from infra.targets.kubernetes.quantity import amount
from infra.topology.model import Container, Service, Task, Topology

__all__ = ["Snapshot", "container_rows", "take_snapshot"]

_METRICS: Final = "/apis/metrics.k8s.io/v1beta1"


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """What the cluster said of a namespace at one moment."""

    containers: tuple[PodContainer, ...] = ()
    jobs: Mapping[str, Mapping[str, Any]] = field(default_factory=dict[str, Mapping[str, Any]])
    """Task -> the job that ran for it last."""
    refused: Mapping[str, str] = field(default_factory=dict[str, str])
    """Workload -> why its pods cannot be made."""
    silent: Mapping[str, str] = field(default_factory=dict[str, str])
    """Node -> why it is not to be relied on."""
    memory: Mapping[tuple[str, str], int] = field(default_factory=dict[tuple[str, str], int])
    """Pod and container -> bytes in use."""


def take_snapshot(client: KubeClient, namespace: str, *, memory: bool = False) -> Snapshot:
    """Ask the API server; ``memory`` costs a question more, or one for each node.

    Raises:
        ClusterError: it does not answer.
    """
    base = f"/api/v1/namespaces/{namespace}"
    pods, jobs = f"{base}/pods", f"/apis/batch/v1/namespaces/{namespace}/jobs"
    found = client.items_of_all((pods, jobs))
    containers = tuple(containers_of(found[pods]))
    missing_pods = {labels(pod).get(NAME) for pod in found[pods]}
    events = client.items(f"{base}/events", fieldSelector="type=Warning,reason=FailedCreate")
    return Snapshot(
        containers=containers,
        jobs={labels(job).get(NAME, ""): job for job in sorted(found[jobs], key=_made)},
        refused={name: why for name, why in _refusals(events).items() if name not in missing_pods},
        silent=_silent_nodes(client, {one.node for one in containers if one.node}),
        memory=_memory(client, namespace, containers) if memory else {},
    )


def container_rows(topology: Topology, snapshot: Snapshot, health: Mapping[str, Any]) -> list[ServiceStatus]:
    """One row for each container of the topology."""
    return [_row(container, snapshot, health) for container in topology.containers()]


def _row(container: Container, snapshot: Snapshot, health: Mapping[str, Any]) -> ServiceStatus:
    members = [one for one in snapshot.containers if one.name == container.name]
    word, ok = _task(snapshot.jobs.get(container.name)) if isinstance(container, Task) else ("", True)
    if not isinstance(container, Task):
        word, ok = _judge(container, members, snapshot, health)
    ports = container.ports if isinstance(container, Service) else ()
    started = min((one.started_at for one in members if one.started_at), default="")
    used = sum(snapshot.memory.get((one.pod, one.name), 0) for one in members)
    return ServiceStatus(
        name=container.name,
        state=word,
        ok=ok,
        since=age((datetime.now(UTC) - datetime.fromisoformat(started)).total_seconds()) if started else "",
        restarts=sum(one.restarts for one in members),
        memory_mib=round(used / 2**20, 1),
        memory_limit_mib=container.memory_mib * max(1, len(members)),
        addresses=[f"127.0.0.1:{port.host_port} {port.name}" for port in ports if port.host_port],
        image=container.image.reference,
    )


def _task(job: Mapping[str, Any] | None) -> tuple[str, bool]:
    if job is None:
        return "missing", False
    for condition in parts(job, "status", "conditions"):
        if condition["type"] == "Failed" and condition["status"] == "True":
            return f"failed: {condition.get('message') or condition.get('reason')}", False
    return ("done", True) if part(job, "status").get("succeeded") else ("running", False)


def _judge(
    container: Container, members: Iterable[PodContainer], snapshot: Snapshot, health: Mapping[str, Any]
) -> tuple[str, bool]:
    members = list(members)
    if not members:
        why = snapshot.refused.get(container.name)
        return (f"missing: {why}" if why else "missing"), False
    for one in members:
        if one.node in snapshot.silent:
            return snapshot.silent[one.node], False
    unready = [one for one in members if not one.ready]
    if unready:
        several = f"{len(members) - len(unready)} of {len(members)} ready, " if len(members) > 1 else ""
        return f"{several}{unready[0].reason}", False
    for failing in health.get("failing", ()):
        if failing["service"] == container.name:
            return str(failing["reason"]), False
    # Ready says that its own probe answers; a helper without one merely runs.
    return ("answers" if getattr(container, "probe", None) is not None else "running"), True


def _made(document: Mapping[str, Any]) -> str:
    return str(document["metadata"].get("creationTimestamp") or "")


def _refusals(events: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Workload -> the last reason why the cluster did not make its pods, such as a quota."""
    found: dict[str, str] = {}
    for event in sorted(events, key=lambda one: str(one.get("lastTimestamp") or one["metadata"]["creationTimestamp"])):
        name = str(event["involvedObject"]["name"])
        message = " ".join(str(event.get("message", "")).split())
        # A Deployment's pods are made by a ReplicaSet, whose name has a digest at its end.
        found[name] = found[name.rpartition("-")[0]] = message
    return found


def _silent_nodes(client: KubeClient, nodes: set[str]) -> dict[str, str]:
    if not nodes:
        return {}
    try:
        return {name: why for name, why in node_troubles(client.items("/api/v1/nodes")).items() if name in nodes}
    except DemoError:
        # Users of one namespace may not look at nodes.
        return {}


def _memory(client: KubeClient, namespace: str, containers: Iterable[PodContainer]) -> dict[tuple[str, str], int]:
    """By the metrics API, else by the kubelets' own statistics; nothing where neither may be asked."""
    try:
        measured = client.items(f"{_METRICS}/namespaces/{namespace}/pods")
        if measured:
            return {
                (pod["metadata"]["name"], one["name"]): int(amount(one["usage"]["memory"]))
                for pod in measured
                for one in pod["containers"]
            }
        found: dict[tuple[str, str], int] = {}
        for node in {one.node for one in containers if one.node}:
            summary = client.get(f"/api/v1/nodes/{node}/proxy/stats/summary") or {}
            for pod in parts(summary, "pods"):
                if pod["podRef"]["namespace"] == namespace:
                    for one in parts(pod, "containers"):
                        used = int(part(one, "memory").get("workingSetBytes") or 0)
                        found[str(pod["podRef"]["name"]), str(one["name"])] = used
    except DemoError:
        return {}
    return found
