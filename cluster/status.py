"""What of the cluster runs, how large it is, and whether it serves."""

from dataclasses import asdict, dataclass
from typing import Any

from cluster.api import Api, ApiError
from cluster.layout import API_URL, NODE, REGISTRY, Layout
from cluster.parts import PART_NAMES
from cluster.processes import find
from infra.paths import LAB_CONTEXT

__all__ = ["ClusterStatus", "PartStatus", "cluster_status"]


@dataclass(frozen=True, kw_only=True, slots=True)
class PartStatus:
    """One process."""

    name: str
    pid: int
    """0 if it does not run."""
    memory_mib: float


@dataclass(frozen=True, kw_only=True, slots=True)
class ClusterStatus:
    """The whole cluster."""

    exists: bool
    """Whether ``up`` was run since the last ``down``."""
    api: str
    """``ready``, or why it is not."""
    node: str
    """``Ready``, or what the node says."""
    pods: int
    kubeconfig: str
    context: str
    server: str
    registry: str
    parts: list[PartStatus]

    @property
    def ready(self) -> bool:
        """Whether all of it runs and serves."""
        return self.api == "ready" and self.node == "Ready" and all(part.pid for part in self.parts)

    def as_json(self) -> dict[str, Any]:
        """The same as plain data."""
        return {"ready": self.ready, **asdict(self)}


def cluster_status(layout: Layout) -> ClusterStatus:
    """Look at the processes and ask the API."""
    exists = layout.kubeconfig.exists()
    found = {name: find(layout, name) for name in PART_NAMES} if layout.run.exists() else {}
    parts = [
        PartStatus(name=name, pid=running.pid if running else 0, memory_mib=running.memory_mib if running else 0.0)
        for name, running in ((name, found.get(name)) for name in PART_NAMES)
    ]
    api, node, pods = "there is no cluster", "unknown", 0
    if exists:
        client = Api(layout.keys, timeout_seconds=5)
        api = client.not_ready() or "ready"
        if api == "ready":
            node, pods = _node(client)
    return ClusterStatus(
        exists=exists,
        api=api,
        node=node,
        pods=pods,
        kubeconfig=str(layout.kubeconfig),
        context=LAB_CONTEXT,
        server=API_URL,
        registry=REGISTRY,
        parts=parts,
    )


def _node(api: Api) -> tuple[str, int]:
    """What the node says, and the number of pods."""
    try:
        node = api.find(f"/api/v1/nodes/{NODE}")
        pods = len(api.get("/api/v1/pods")["items"])
    except ApiError as error:
        return str(error), 0
    for condition in (node or {}).get("status", {}).get("conditions", ()):
        if condition["type"] == "Ready":
            return ("Ready" if condition["status"] == "True" else str(condition["message"])), pods
    return "not registered", pods
