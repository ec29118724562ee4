"""Which volumes claims call for, and whose they are."""

from typing import Any

import pytest

from cluster.layout import NODE
from cluster.manifests import PROVISIONER, manifests
from cluster.volumes import Make, Owner, Remove, decide, volume_document, volume_owner

SELECTED = {"volume.kubernetes.io/selected-node": NODE}


def claim(name: str = "data", storage_class: str | None = "lab", **metadata: Any) -> dict[str, Any]:
    return {
        "metadata": {"namespace": "shop", "name": name, "uid": f"uid-{name}", **metadata},
        "spec": {
            "storageClassName": storage_class,
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "1Gi"}},
        },
    }


def storage_class(name: str = "lab", mode: str = "WaitForFirstConsumer", by: str = PROVISIONER) -> dict[str, Any]:
    return {"metadata": {"name": name}, "provisioner": by, "volumeBindingMode": mode, "reclaimPolicy": "Delete"}


def pod(*, of_pod: dict[str, int] | None = None, of_container: dict[str, int] | None = None) -> dict[str, Any]:
    return {
        "metadata": {"namespace": "shop", "name": "db-0"},
        "spec": {
            "securityContext": of_pod,
            "containers": [
                {"name": "other", "securityContext": {"runAsUser": 1}},
                {"name": "db", "securityContext": of_container, "volumeMounts": [{"name": "v", "mountPath": "/data"}]},
            ],
            "volumes": [
                {"name": "w", "configMap": {"name": "w"}},
                {"name": "v", "persistentVolumeClaim": {"claimName": "data"}},
            ],
        },
    }


def volume(phase: str, reclaim: str = "Delete", by: str = PROVISIONER) -> dict[str, Any]:
    return {
        "metadata": {"name": "pvc-uid-data", "annotations": {"pv.kubernetes.io/provisioned-by": by}},
        "spec": {"persistentVolumeReclaimPolicy": reclaim},
        "status": {"phase": phase},
    }


def test_a_claim_waits_until_a_pod_that_mounts_it_is_placed() -> None:
    assert decide([claim()], [], [], [storage_class()]) == []
    (made,) = decide([claim(annotations=SELECTED)], [], [pod(of_pod={"runAsUser": 70})], [storage_class()])
    assert isinstance(made, Make)
    assert (made.volume, made.size, made.owner) == ("pvc-uid-data", "1Gi", Owner(70, 0, 0o2770))


def test_a_class_that_does_not_wait_is_served_at_once() -> None:
    (made,) = decide([claim()], [], [], [storage_class(mode="Immediate")])
    assert isinstance(made, Make)
    assert made.owner == Owner(0, 0, 0o777), "nobody knows yet who will mount it"


def test_a_claim_that_has_a_volume_or_is_of_another_class_or_is_going_is_left_alone() -> None:
    classes = [storage_class(), storage_class("fast", by="somebody/else")]
    bound = claim(annotations=SELECTED)
    bound["spec"]["volumeName"] = "pvc-uid-data"
    others = [
        claim("a", "fast", annotations=SELECTED),
        claim("b", None, annotations=SELECTED),
        claim("c", annotations=SELECTED, deletionTimestamp="2026-01-01T00:00:00Z"),
    ]
    assert decide([bound, *others], [], [], classes) == []
    # The list of claims may lag behind the list of volumes.
    assert decide([claim(annotations=SELECTED)], [volume("Available")], [], classes) == []


@pytest.mark.parametrize("phase", ["Released", "Failed"])
def test_a_volume_goes_with_its_claim(phase: str) -> None:
    assert decide([], [volume(phase)], [], [storage_class()]) == [Remove("pvc-uid-data")]


def test_a_volume_that_is_bound_or_kept_or_not_ours_stays() -> None:
    for one in (volume("Bound"), volume("Released", "Retain"), volume("Released", by="somebody/else")):
        assert decide([], [one], [], [storage_class()]) == []


@pytest.mark.parametrize(
    ("of_pod", "of_container", "owner"),
    [
        ({"runAsUser": 70, "fsGroup": 71}, None, Owner(70, 71, 0o2770)),
        ({"runAsUser": 70, "runAsGroup": 71}, None, Owner(70, 71, 0o2770)),
        ({"runAsUser": 70}, {"runAsUser": 80, "runAsGroup": 81}, Owner(80, 81, 0o2770)),
        ({"fsGroup": 71}, {"runAsUser": 80, "runAsGroup": 81}, Owner(80, 71, 0o2770)),
        ({"fsGroup": 71}, None, Owner(0, 71, 0o2770)),
        (None, None, Owner(0, 0, 0o777)),
    ],
)
def test_the_owner_is_who_mounts_it(
    of_pod: dict[str, int] | None, of_container: dict[str, int] | None, owner: Owner
) -> None:
    assert volume_owner(pod(of_pod=of_pod, of_container=of_container), "data") == owner


def test_the_claim_of_a_generic_ephemeral_volume_is_named_after_pod_and_volume() -> None:
    one = pod(of_pod={"runAsUser": 70})
    one["spec"]["volumes"][1] = {"name": "v", "ephemeral": {}}
    assert volume_owner(one, "db-0-v").user == 70


def test_the_volume_is_bound_to_exactly_this_claim_on_this_node() -> None:
    (made,) = decide([claim(annotations=SELECTED)], [], [pod()], [storage_class()])
    assert isinstance(made, Make)
    document = volume_document(made, "/v/pvc-uid-data")
    assert document["spec"]["claimRef"]["uid"] == "uid-data"
    assert document["spec"]["local"] == {"path": "/v/pvc-uid-data"}
    assert NODE in str(document["spec"]["nodeAffinity"])


def test_the_cluster_has_one_default_class_and_it_is_ours() -> None:
    classes = [document for document in manifests().values() if document["kind"] == "StorageClass"]
    assert [one["provisioner"] for one in classes] == [PROVISIONER]
    assert classes[0]["metadata"]["annotations"] == {"storageclass.kubernetes.io/is-default-class": "true"}
