"""What the cluster knows of a stack's containers, read from its pods: ready, since when, and if not, why."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from infra.targets.kubernetes.objects import part, parts

__all__ = ["PodContainer", "containers_of", "node_troubles"]

_CRASHED: Final = "CrashLoopBackOff"
_PULLING: Final = frozenset({"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"})
_USUAL: Final = frozenset({"ContainerCreating", "PodInitializing"})


@dataclass(frozen=True, kw_only=True, slots=True)
class PodContainer:
    """One container of one pod."""

    name: str
    pod: str
    node: str
    ready: bool
    running: bool
    restarts: int
    started_at: str
    reason: str
    """Why it is not ready; empty if it is."""
    crashed: bool
    """Whether what is to be read in its log is the log of its last run."""


def containers_of(pods: Iterable[Mapping[str, Any]]) -> Iterator[PodContainer]:
    """Every container of the pods, those that do not run yet among them; pods that are going are left out."""
    for pod in pods:
        status = part(pod, "status")
        if pod["metadata"].get("deletionTimestamp") or status.get("phase") in {"Succeeded", "Failed"}:
            continue
        states = {str(one["name"]): one for one in parts(status, "containerStatuses")}
        for container in parts(pod, "spec", "containers"):
            yield _container(pod, str(container["name"]), states.get(str(container["name"]), {}))


def _container(pod: Mapping[str, Any], name: str, state: Mapping[str, Any]) -> PodContainer:
    now = part(state, "state")
    ready = bool(state.get("ready"))
    return PodContainer(
        name=name,
        pod=str(pod["metadata"]["name"]),
        node=str(pod["spec"].get("nodeName") or ""),
        ready=ready,
        running="running" in now,
        restarts=int(state.get("restartCount") or 0),
        started_at=str(part(now, "running").get("startedAt") or ""),
        reason="" if ready else _reason(pod, state, now),
        crashed=part(now, "waiting").get("reason") == _CRASHED or "terminated" in now,
    )


def _reason(pod: Mapping[str, Any], state: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    waiting = part(now, "waiting")
    reason = str(waiting.get("reason") or "")
    if reason in _PULLING:
        return f"its image cannot be pulled: {_short(waiting.get('message') or reason)}"
    if reason == _CRASHED or "terminated" in now:
        ended = part(now, "terminated") or part(state, "lastState", "terminated")
        why = f" ({ended['reason']})" if ended.get("reason") not in {None, "Error"} else ""
        return f"crashes with exit code {ended.get('exitCode', '?')}{why}"
    if reason and reason not in _USUAL:
        return f"{reason}: {_short(waiting.get('message') or '')}".rstrip(": ")
    for condition in parts(pod, "status", "conditions"):
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            return f"has no node: {_short(condition.get('message') or condition.get('reason') or '')}"
    return "not ready" if "running" in now else "starting"


def node_troubles(nodes: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Node -> why nothing that it last said of its pods can be relied on."""
    found: dict[str, str] = {}
    for node in nodes:
        name = str(node["metadata"]["name"])
        for condition in parts(node, "status", "conditions"):
            if condition["type"] == "Ready" and condition["status"] != "True":
                found[name] = f"its node {name} is silent: {_short(condition.get('message') or 'not ready')}"
    return found


def _short(message: object) -> str:
    text = " ".join(str(message).split())
    return text if len(text) <= 200 else f"{text[:197]}..."  # noqa: PLR2004 # characters that still fit a line or two
