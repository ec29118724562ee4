"""Which volumes the claims of the cluster call for: decisions only, nothing is made here."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from cluster.api import Document
from cluster.layout import NODE
from cluster.manifests import PROVISIONER

__all__ = ["Make", "Owner", "Remove", "decide", "volume_document", "volume_owner"]

_PROVISIONED_BY: Final = "pv.kubernetes.io/provisioned-by"
_SELECTED_NODE: Final = "volume.kubernetes.io/selected-node"
_OPEN: Final = 0o777
_PRIVATE: Final = 0o2770
_ROOT: Final = 0


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose the volume's folder is."""

    user: int
    group: int
    mode: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Make:
    """A claim has no volume yet."""

    volume: str
    namespace: str
    claim: str
    claim_uid: str
    storage_class: str
    size: str
    access_modes: tuple[str, ...]
    reclaim: str
    owner: Owner


@dataclass(frozen=True, slots=True)
class Remove:
    """A volume has no claim any more."""

    volume: str


def decide(
    claims: Iterable[Document],
    volumes: Iterable[Document],
    pods: Sequence[Document],
    classes: Iterable[Document],
) -> list[Make | Remove]:
    """What is to be done so that every claim of a class of ours has its volume, and nothing else has one."""
    ours = {one["metadata"]["name"]: one for one in classes if one["provisioner"] == PROVISIONER}
    known = {volume["metadata"]["name"]: volume for volume in volumes}
    actions: list[Make | Remove] = [Remove(name) for name, volume in sorted(known.items()) if _is_over(volume)]
    for claim in claims:
        storage_class = ours.get(claim["spec"].get("storageClassName") or "")
        if storage_class and _waits(claim, storage_class) and _volume_name(claim) not in known:
            actions.append(_make(claim, storage_class, pods))
    return actions


def volume_owner(pod: Document | None, claim: str) -> Owner:
    """The user and group of the first container that mounts the claim; anyone where the pod names neither."""
    if pod is None:
        return Owner(_ROOT, _ROOT, _OPEN)
    spec = pod["spec"]
    names = _mounted_as(pod, claim)
    of_pod: dict[str, Any] = spec.get("securityContext") or {}
    containers: list[Document] = [*spec.get("containers", ()), *spec.get("initContainers", ())]
    mounting = [c for c in containers if any(mount["name"] in names for mount in c.get("volumeMounts", ()))]
    of_container: dict[str, Any] = (mounting[0].get("securityContext") if mounting else None) or {}
    both = {**of_pod, **of_container}
    user, group = both.get("runAsUser"), of_pod.get("fsGroup", both.get("runAsGroup"))
    if user is None and group is None:
        # The image decides who it runs as, and nobody here knows.
        return Owner(_ROOT, _ROOT, _OPEN)
    return Owner(user or _ROOT, group or _ROOT, _PRIVATE)


def volume_document(make: Make, path: str) -> Document:
    """The volume as an object of the API, bound to its claim from the start."""
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": make.volume, "annotations": {_PROVISIONED_BY: PROVISIONER}},
        "spec": {
            "capacity": {"storage": make.size},
            "accessModes": list(make.access_modes),
            "persistentVolumeReclaimPolicy": make.reclaim,
            "storageClassName": make.storage_class,
            "claimRef": {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "namespace": make.namespace,
                "name": make.claim,
                "uid": make.claim_uid,
            },
            # Unlike a hostPath, the kubelet gives a local volume to the pod's fsGroup.
            "local": {"path": path},
            "nodeAffinity": {
                "required": {
                    "nodeSelectorTerms": [
                        {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": [NODE]}]}
                    ]
                }
            },
        },
    }


def _make(claim: Document, storage_class: Document, pods: Sequence[Document]) -> Make:
    metadata, spec = claim["metadata"], claim["spec"]
    namespace, name = str(metadata["namespace"]), str(metadata["name"])
    consumers = [p for p in pods if p["metadata"]["namespace"] == namespace and _mounted_as(p, name)]
    return Make(
        volume=_volume_name(claim),
        namespace=namespace,
        claim=name,
        claim_uid=str(metadata["uid"]),
        storage_class=str(storage_class["metadata"]["name"]),
        size=str(spec["resources"]["requests"]["storage"]),
        access_modes=tuple(spec["accessModes"]),
        reclaim=str(storage_class.get("reclaimPolicy", "Delete")),
        owner=volume_owner(consumers[0] if consumers else None, name),
    )


def _volume_name(claim: Document) -> str:
    return f"pvc-{claim['metadata']['uid']}"


def _waits(claim: Document, storage_class: Document) -> bool:
    metadata, spec = claim["metadata"], claim["spec"]
    if spec.get("volumeName") or metadata.get("deletionTimestamp") or spec.get("selector"):
        return False
    immediate = storage_class.get("volumeBindingMode", "Immediate") == "Immediate"
    # The scheduler says so when a pod that mounts the claim is about to be placed.
    return immediate or _SELECTED_NODE in (metadata.get("annotations") or {})


def _is_over(volume: Document) -> bool:
    annotations: dict[str, str] = volume["metadata"].get("annotations") or {}
    status: dict[str, Any] = volume.get("status") or {}
    return (
        annotations.get(_PROVISIONED_BY) == PROVISIONER
        and str(volume["spec"].get("persistentVolumeReclaimPolicy")) == "Delete"
        and status.get("phase") in {"Released", "Failed"}
    )


def _mounted_as(pod: Document, claim: str) -> set[str]:
    """Names that the pod's volumes have which are this claim."""
    found: set[str] = set()
    for volume in pod["spec"].get("volumes", ()):
        source = volume.get("persistentVolumeClaim")
        # A generic ephemeral volume's claim is named after the pod and the volume.
        generic = "ephemeral" in volume and f"{pod['metadata']['name']}-{volume['name']}" == claim
        if generic or (source and source["claimName"] == claim):
            found.add(volume["name"])
    return found
