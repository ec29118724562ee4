"""Pods as the API server shows them."""

from typing import Any

from fake_cluster import OURS, meta


def container_status(name: str, *, ready: bool = True, restarts: int = 0, **state: Any) -> dict[str, Any]:
    """``running`` unless another state is given; ``last`` is how its last run ended."""
    last = state.pop("last", None)
    now = state or {"running": {"startedAt": "2026-01-01T00:00:00Z"}}
    return {
        "name": name,
        "ready": ready,
        "restartCount": restarts,
        "state": now,
        "lastState": {"terminated": last} if last else {},
    }


def pod(workload: str, *statuses: dict[str, Any], suffix: str = "0", phase: str = "Running", **more: Any) -> Any:
    containers = more.pop("containers", [status["name"] for status in statuses] or [workload])
    metadata: dict[str, Any] = more.pop("metadata", {})
    return {
        "metadata": meta(
            f"{workload}-{suffix}",
            {**OURS, "app.kubernetes.io/name": workload},
            creationTimestamp="2026-01-01T00:00:00Z",
            **metadata,
        ),
        "spec": {"containers": [{"name": name} for name in containers], "nodeName": more.pop("node", "one")},
        "status": {"phase": phase, "containerStatuses": list(statuses), **more},
    }


def job(task: str, **status: Any) -> dict[str, Any]:
    labels = {**OURS, "app.kubernetes.io/name": task}
    return {"metadata": meta(f"{task}-abc", labels, creationTimestamp="2026-01-01T00:00:00Z"), "status": status}
