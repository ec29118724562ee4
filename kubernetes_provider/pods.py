"""Why a pod does not become ready, from its status and its events; no requests are made here."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Final

from kubernetes_provider.faults import quota_sentence
from kubernetes_provider.paths import Object, at, items_at, object_at

__all__ = ["Finding", "event_about", "find_creation", "find_pod", "pods_of"]

_NEVER: Final = float("inf")
_CRASHES: Final = 3
"""Restarts after which a crashing container is given up: the kubelet then pauses 40 s and more between them."""
_IMAGE: Final = {"ErrImageNeverPull": 5.0, "InvalidImageName": 5.0, "ErrImagePull": 45.0, "ImagePullBackOff": 45.0}
_CONFIGURATION: Final = {"CreateContainerConfigError": 30.0, "CreateContainerError": 30.0, "RunContainerError": 60.0}
_UNSCHEDULABLE_SECONDS: Final = 180.0
"""A cluster that scales makes a node within two or three minutes."""
_REFUSED_SECONDS: Final = 30.0
"""What goes at the same time may make room in a quota."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One reason, and for how many seconds it must persist to be final."""

    text: str
    patience: float
    pod: str = ""
    container: str = ""
    """Whose last log lines say more."""
    crashed: bool = False
    """Those lines are of the run before this one."""


def pods_of(owner: Object, pods: Iterable[Object]) -> list[Object]:
    """The pods of a workload's newest revision."""
    kind = owner["kind"]
    if kind == "Job":
        mine = [pod for pod in pods if _label(pod, "batch.kubernetes.io/controller-uid") == owner["metadata"]["uid"]]
        return sorted(mine, key=_created)
    labels: Object = object_at(owner, "spec", "selector", "matchLabels")
    mine = [pod for pod in pods if all(_label(pod, key) == value for key, value in labels.items())]
    mine = sorted((pod for pod in mine if not pod["metadata"].get("deletionTimestamp")), key=_created)
    if not mine:
        return []
    if kind == "StatefulSet":
        label, revision = "controller-revision-hash", at(owner, ("status", "updateRevision"))
    else:
        label, revision = "pod-template-hash", _label(mine[-1], "pod-template-hash")
    return [pod for pod in mine if _label(pod, label) == revision]


def find_pod(
    pod: Object, events: Collection[Object], claims: Collection[Object], *, restarts: bool = True
) -> Finding | None:
    """What keeps a pod from being ready, ``None`` if nothing is known to.

    With ``restarts`` a container that ends again and again is a reason that becomes final.
    """
    name = str(pod["metadata"]["name"])
    for condition in items_at(pod, "status", "conditions"):
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            said = str(condition.get("message") or condition.get("reason"))
            said += _claim_reasons(pod, events, claims) if "PersistentVolumeClaim" in said else ""
            return Finding(f"no node takes the pod {name}: {said.rstrip('.')}", _UNSCHEDULABLE_SECONDS, name)
    statuses = [
        *(items_at(pod, "status", "initContainerStatuses")),
        *(items_at(pod, "status", "containerStatuses")),
    ]
    for status in statuses:
        if found := _find_container(name, status, events, restarts=restarts):
            return found
    for status in statuses:
        unready = not status.get("ready") and at(status, ("state", "running")) is not None
        if unready and (said := event_about(events, name, "Unhealthy")):
            return Finding(
                f"the container {status['name']} of the pod {name} is not ready: {said}", _NEVER, name, status["name"]
            )
    if said := event_about(events, name, "FailedMount", "FailedAttachVolume", "FailedCreatePodSandBox"):
        return Finding(f"the pod {name} cannot start: {said}", _NEVER, name)
    return None


def find_creation(owner: Object, events: Collection[Object]) -> Finding | None:
    """Why no pod is made at all: a quota, or Pod Security."""
    said = ""
    for condition in items_at(owner, "status", "conditions"):
        if condition.get("type") == "ReplicaFailure" and condition.get("status") == "True":
            said = str(condition.get("message"))
    if not said and owner["kind"] != "Deployment":
        said = event_about(events, owner["metadata"]["name"], "FailedCreate", uid=owner["metadata"]["uid"])
    if not said:
        return None
    return Finding(f"its pods are refused: {quota_sentence(said) or said}", _REFUSED_SECONDS)


def event_about(events: Collection[Object], name: str, *reasons: str, uid: str = "") -> str:
    """The newest event's message about the object of this name, nothing if there is none."""
    found = [
        event
        for event in events
        if at(event, ("involvedObject", "name")) == name
        and event.get("reason") in reasons
        and (not uid or at(event, ("involvedObject", "uid")) == uid)
    ]
    return str(max(found, key=_seen).get("message") or "").strip().rstrip(".") if found else ""


def _find_container(pod: str, status: Object, events: Collection[Object], *, restarts: bool) -> Finding | None:
    name = str(status["name"])
    waiting: Object = object_at(status, "state", "waiting")
    reason, message = str(waiting.get("reason", "")), str(waiting.get("message") or "").strip()
    if reason in _IMAGE:
        said = message if reason != "ImagePullBackOff" else event_about(events, pod, "Failed") or message
        return Finding(
            f"the image {status.get('image')} of the pod {pod} cannot be had ({reason}): {said}", _IMAGE[reason], pod
        )
    if reason in _CONFIGURATION:
        return Finding(
            f"the container {name} of the pod {pod} cannot be made ({reason}): {message}", _CONFIGURATION[reason], pod
        )
    ended: Object = at(status, ("state", "terminated")) or object_at(status, "lastState", "terminated")
    crashed = ended and ended.get("exitCode") != 0 and not status.get("ready")
    if crashed or reason == "CrashLoopBackOff":
        count = int(status.get("restartCount") or 0)
        how = f"exit code {ended.get('exitCode')}" + (
            f", {ended['reason']}" if ended.get("reason") not in {None, "Error"} else ""
        )
        said = str(ended.get("message") or "").strip().rstrip(".")
        text = f"the container {name} of the pod {pod} ends again and again ({how}, {count} restarts)"
        text += f": {said}" if said else ""
        final = restarts and count >= _CRASHES and reason == "CrashLoopBackOff"
        running_again = at(status, ("state", "terminated")) is None and count > 0
        return Finding(text, 0.0 if final else _NEVER, pod, name, crashed=running_again)
    return None


def _claim_reasons(pod: Object, events: Collection[Object], claims: Collection[Object]) -> str:
    """What is known of the pod's volumes that are not there."""
    names = [at(volume, ("persistentVolumeClaim", "claimName")) for volume in items_at(pod, "spec", "volumes")]
    unbound = [
        claim for claim in claims if claim["metadata"]["name"] in names and at(claim, ("status", "phase")) != "Bound"
    ]
    text = ""
    for claim in unbound:
        name = claim["metadata"]["name"]
        said = event_about(events, name, "ProvisioningFailed", "FailedBinding")
        text += f"; the claim {name} is not bound" + (f" ({said})" if said else "")
    return text


def _label(item: Object, name: str) -> str:
    return str(at(item, ("metadata", "labels", name)) or "")


def _created(item: Object) -> str:
    return str(item["metadata"].get("creationTimestamp") or "")


def _seen(event: Object) -> str:
    series = at(event, ("series", "lastObservedTime"))
    return str(series or event.get("lastTimestamp") or event.get("eventTime") or _created(event))
