"""When an object is ready, by kind; decided from the live object alone."""

from dataclasses import dataclass

from kubernetes_provider.paths import Object, at, items_at, object_at

__all__ = ["State", "state_of"]


@dataclass(frozen=True, slots=True)
class State:
    """Whether an object is ready, and if not how far it is."""

    ready: bool
    progress: str = ""
    failed: str = ""
    """Why it never will be ready."""


def state_of(live: Object) -> State:
    """The state of an object. What is not named here is ready as soon as it exists.

    A Service and an Ingress are not waited for: the workloads behind them are, and an Ingress only gets an address
    where there is a controller.
    """
    match live["kind"]:
        case "Deployment":
            return _deployment(live)
        case "StatefulSet":
            return _stateful_set(live)
        case "Job":
            return _job(live)
        case "PersistentVolumeClaim":
            return _claim(live)
        case _:
            return State(ready=True)


def _deployment(live: Object) -> State:
    wanted, status = _replicas(live), object_at(live, "status")
    if not _observed(live):
        return State(ready=False, progress="its controller has not seen it yet")
    for condition in items_at(status, "conditions"):
        if condition.get("type") == "Progressing" and condition.get("reason") == "ProgressDeadlineExceeded":
            return State(ready=False, progress=_count(status, wanted), failed="it made no progress within its deadline")
    updated, available = status.get("updatedReplicas", 0), status.get("availableReplicas", 0)
    total = status.get("replicas", 0)
    return State(ready=updated >= wanted and available >= wanted and total == updated, progress=_count(status, wanted))


def _stateful_set(live: Object) -> State:
    wanted, status = _replicas(live), object_at(live, "status")
    if not _observed(live):
        return State(ready=False, progress="its controller has not seen it yet")
    on_delete = at(live, ("spec", "updateStrategy", "type")) == "OnDelete"
    rolled = on_delete or status.get("updateRevision") == status.get("currentRevision")
    updated = on_delete or not wanted or status.get("updatedReplicas", status.get("currentReplicas", 0)) >= wanted
    ready = bool(
        updated and rolled and status.get("availableReplicas", 0) >= wanted and status.get("replicas", 0) == wanted
    )
    return State(ready=ready, progress=_count(status, wanted))


def _job(live: Object) -> State:
    status = object_at(live, "status")
    for condition in items_at(status, "conditions"):
        if condition.get("status") != "True":
            continue
        if condition.get("type") == "Complete":
            return State(ready=True)
        if condition.get("type") == "Failed":
            said = f"{condition.get('reason')}: {condition.get('message')}".rstrip(".")
            return State(ready=False, progress=said, failed=said)
    if at(live, ("spec", "suspend")) is True:
        return State(ready=True)
    wanted = at(live, ("spec", "completions")) or 1
    return State(ready=False, progress=f"{status.get('succeeded', 0)} of {wanted} runs have succeeded")


def _claim(live: Object) -> State:
    phase = at(live, ("status", "phase")) or "Pending"
    lost = "its volume is lost" if phase == "Lost" else ""
    return State(ready=phase == "Bound", progress=f"it is {phase.lower()}", failed=lost)


def _observed(live: Object) -> bool:
    return (at(live, ("status", "observedGeneration")) or 0) >= live["metadata"].get("generation", 0)


def _replicas(live: Object) -> int:
    wanted = at(live, ("spec", "replicas"))
    return 1 if wanted is None else int(wanted)


def _count(status: Object, wanted: int) -> str:
    return f"{status.get('availableReplicas', 0)} of {wanted} pods are available"
