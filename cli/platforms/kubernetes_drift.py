"""Whether the cluster still has what the state says: a glance at names and managers, where a refresh costs seconds.

What a controller heals by itself (a pod that died) is no deviation: the objects that the state knows are still there.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from infra.targets.kubernetes.client import KubeClient
from infra.targets.kubernetes.objects import NAME, STACK, labels, name_of, part, parts
from infra.topology.model import Service, Task, Topology

__all__ = ["compare", "deviations"]

_CORE: Final = ("services", "configmaps", "secrets", "persistentvolumeclaims", "resourcequotas", "limitranges")
_OTHERS: Final = {
    "deployments": "/apis/apps/v1",
    "statefulsets": "/apis/apps/v1",
    "jobs": "/apis/batch/v1",
    "networkpolicies": "/apis/networking.k8s.io/v1",
}
_PEOPLE: Final = ("kubectl", "k9s", "Lens", "Mozilla", "node-fetch", "unknown")
"""How the tools begin their names by which a person changes an object; everything else is a controller or us."""


def deviations(client: KubeClient, namespace: str, stack: str, topology: Topology) -> list[str]:
    """What is missing or was changed by hand in a stack that was brought up; empty when a refresh can be saved.

    Raises:
        ClusterError: the cluster does not answer.
    """
    roots = dict.fromkeys(_CORE, "/api/v1") | _OTHERS
    paths = {kind: f"{root}/namespaces/{namespace}/{kind}" for kind, root in roots.items()}
    found = client.items_of_all(paths.values(), labelSelector=f"{STACK}={stack}")
    return compare(topology, {kind: found[path] for kind, path in paths.items()})


def compare(topology: Topology, live: Mapping[str, Iterable[Mapping[str, Any]]]) -> list[str]:
    """The deviations of live objects, by the plural of their kind."""
    named = {kind: {labels(one).get(NAME, "") for one in objects} for kind, objects in live.items()}
    faults: list[str] = []
    for workload in topology.workloads:
        kinds = ("jobs",) if isinstance(workload, Task) else ("deployments", "statefulsets")
        if not any(workload.name in named[kind] for kind in kinds):
            faults.append(f"{workload.name} is missing")
        if not isinstance(workload, Service):
            continue
        faults.extend(
            f"the service {member.name} is missing"
            for member in workload.members
            if member.ports and member.name not in named["services"]
        )
    faults.extend(_missing_claims(topology, live["persistentvolumeclaims"]))
    faults.extend(
        f"there are no {kind}" for kind in ("configmaps", "secrets", "networkpolicies") if not list(live[kind])
    )
    faults.extend(
        f"{labels(job).get(NAME, name_of(job))} is not done"
        for job in live["jobs"]
        if part(job, "status").get("failed") and not part(job, "status").get("succeeded")
    )
    for kind, objects in live.items():
        for one in objects:
            faults.extend(f"{kind} {name_of(one)} was changed by {who}" for who in _people(one))
    return faults


def _missing_claims(topology: Topology, claims: Iterable[Mapping[str, Any]]) -> Iterable[str]:
    names = [name_of(claim) for claim in claims]
    volumes = {volume.name for container in topology.containers() for volume in container.volumes}
    for volume in sorted(volumes):
        if not any(name == volume or name.startswith(f"{volume}-") for name in names):
            yield f"the volume {volume} is missing"


def _people(document: Mapping[str, Any]) -> Iterable[str]:
    for entry in parts(document, "metadata", "managedFields"):
        manager = str(entry.get("manager") or "")
        if entry.get("subresource") != "status" and manager.startswith(_PEOPLE):
            yield manager
