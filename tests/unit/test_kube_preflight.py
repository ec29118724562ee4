"""What is checked of a cluster before anything is created: each fault is one sentence."""

from decimal import Decimal
from typing import Any

import pytest
from fake_cluster import ACCESS, CONFIG, OURS, FakeCluster, meta
from small_topology import TOPOLOGY

from infra.errors import DemoError
from infra.targets.kubernetes.preflight import check, demand
from infra.targets.kubernetes.quantity import amount, shown

NAMESPACE = "/api/v1/namespaces/compass-test"
CLASSES = "/apis/storage.k8s.io/v1/storageclasses"
DEFAULT: dict[str, Any] = {
    "metadata": meta("fast", {}, annotations={"storageclass.kubernetes.io/is-default-class": "true"})
}
PLAIN: dict[str, Any] = {"metadata": meta("slow", {})}


def faults(objects: dict[str, Any] | None = None, *, denied: tuple[str, ...] = (), **options: Any) -> list[str]:
    config = CONFIG.model_copy(update=options.pop("config", {}))
    cluster = FakeCluster({CLASSES: [DEFAULT], **(objects or {})}, denied)
    preview, provider = options.pop("preview", False), options.pop("provider", "")
    try:
        check(ACCESS, config, TOPOLOGY, stack="test", preview=preview, provider=provider, client=cluster)
    except DemoError as error:
        return str(error).splitlines()
    return []


def test_a_cluster_that_will_do_has_no_fault() -> None:
    assert faults() == []


def test_images_of_ours_need_a_registry() -> None:
    (fault,) = faults(config={"image_registry": ""})
    assert "demo/web:abc" in fault
    assert "compass-demo:imageRegistry" in fault


def test_a_namespace_of_ours_is_gone_on_with() -> None:
    assert faults({NAMESPACE: {"metadata": meta("compass-test")}}) == []


@pytest.mark.parametrize(
    ("labels", "whose"),
    [
        ({}, "is not the demo's"),
        ({"compass-demo/stack": "test"}, "is not the demo's"),
        ({**OURS, "compass-demo/stack": "other"}, "belongs to the stack other"),
    ],
)
def test_a_namespace_of_somebody_else_is_refused(labels: dict[str, str], whose: str) -> None:
    (fault,) = faults({NAMESPACE: {"metadata": meta("compass-test", labels)}})
    assert f"The namespace compass-test in the context shop exists and {whose}" in fault
    assert "compass-demo:namespace" in fault


def test_a_namespace_that_is_going_is_waited_for() -> None:
    (fault,) = faults({NAMESPACE: {"metadata": meta("compass-test", deletionTimestamp="2026-01-01T00:00:00Z")}})
    assert "is being deleted; try again when it is gone" in fault


@pytest.mark.parametrize("provider", ["builtin", "official"])
def test_a_switch_of_the_plugin_is_refused(provider: str) -> None:
    other = {"builtin": "official", "official": "builtin"}[provider]
    live = {NAMESPACE: {"metadata": meta("compass-test", annotations={"compass-demo/provider": other})}}
    (fault,) = faults(live, provider=provider)
    assert "was made with" in fault
    assert "./demo destroy test" in fault
    assert faults(live, provider=other) == []
    assert faults(live) == [], "nobody knows yet which plugin it will be"


def test_a_cluster_administrator_is_asked_one_question() -> None:
    cluster = FakeCluster({CLASSES: [DEFAULT]})
    check(ACCESS, CONFIG, TOPOLOGY, stack="test", preview=False, client=cluster)
    assert len(cluster.reviews) == 1


def test_a_missing_right_is_named_by_verb_and_resource() -> None:
    (fault,) = faults(denied=("* *", "create secrets", "delete secrets", "patch deployments"))
    assert "The user of the context shop lacks rights for the namespace compass-test" in fault
    assert "create, delete secrets; patch deployments.apps." in fault


@pytest.mark.parametrize(
    ("lacking", "told"),
    [
        ("watch pods", "watch pods"),
        ("watch events", "watch events"),
        ("list configmaps", "list configmaps"),
        ("watch jobs", "watch jobs.batch"),
        ("watch namespaces", "watch namespaces"),
        ("get pods/portforward", "get pods/portforward"),
    ],
)
def test_what_is_listed_watched_and_tunnelled_is_asked_for(lacking: str, told: str) -> None:
    (fault,) = faults(denied=("* *", lacking))
    assert f": {told}. Ask" in fault


def test_rights_of_what_a_stack_does_not_use_are_not_asked_for() -> None:
    cluster = FakeCluster({CLASSES: [DEFAULT]}, ("* *",))
    check(ACCESS, CONFIG, TOPOLOGY, stack="test", preview=False, client=cluster)
    assert not {"ingresses", "horizontalpodautoscalers"} & {one["resource"] for one in cluster.reviews}
    config = CONFIG.model_copy(update={"ingress_host": "demo.example.com", "sample_app_max_replicas": 3})
    check(ACCESS, config, TOPOLOGY, stack="test", preview=False, client=cluster)
    assert {"ingresses", "horizontalpodautoscalers"} <= {one["resource"] for one in cluster.reviews}


def test_a_preview_needs_no_rights_to_change_anything() -> None:
    assert faults(denied=("* *", "create secrets"), preview=True) == []


@pytest.mark.parametrize(
    ("classes", "wanted", "sentence"),
    [
        ([DEFAULT, PLAIN], "", None),
        ([PLAIN], "slow", None),
        ([PLAIN], "", "no default storage class; set compass-demo:storageClass (there are slow)"),
        ([], "", "no default storage class; set compass-demo:storageClass (it has none at all)"),
        ([DEFAULT, PLAIN], "huge", "no storage class huge (compass-demo:storageClass); there are fast, slow"),
    ],
)
def test_volumes_need_a_storage_class(classes: list[Any], wanted: str, sentence: str | None) -> None:
    found = faults({CLASSES: classes}, config={"storage_class": wanted})
    assert len(found) == (sentence is not None)
    assert all((sentence or "") in fault for fault in found)


def test_storage_classes_that_may_not_be_seen_are_not_judged() -> None:
    assert faults(denied=(CLASSES,)) == []


def quota(name: str, labels: dict[str, str] | None = None, **hard: str) -> dict[str, Any]:
    spelled = {key.replace("__", "."): value for key, value in hard.items()}
    return {"metadata": meta(name, labels or {}), "spec": {"hard": spelled}}


def with_quota(*quotas: dict[str, Any]) -> list[str]:
    return faults({NAMESPACE: {"metadata": meta("compass-test")}, f"{NAMESPACE}/resourcequotas": list(quotas)})


def test_a_quota_that_is_too_small_says_what_is_missing() -> None:
    (fault,) = with_quota(quota("team", limits__memory="300Mi", pods="2", limits__cpu="100"))
    assert "The quota team of the namespace compass-test is too small" in fault
    assert "68 MiB of limits.memory (300 MiB allowed, 368 MiB needed)" in fault
    assert "1 of pods (2 allowed, 3 needed)" in fault
    assert "limits.cpu" not in fault


def test_a_quota_that_is_enough_or_ours_is_no_fault() -> None:
    assert with_quota(quota("team", limits__memory="368Mi"), quota("demo", OURS, pods="1")) == []


def test_replicas_count_in_what_is_demanded() -> None:
    base = demand(CONFIG, TOPOLOGY)
    assert base["requests.storage"] == 150 * 2**20
    assert base["persistentvolumeclaims"] == 2
    assert base["limits.cpu"] == Decimal("4.5")


@pytest.mark.parametrize(
    ("text", "number"),
    [("2", "2"), ("500m", "0.5"), ("1Gi", str(2**30)), ("1.5Mi", str(3 * 2**19)), ("2k", "2000"), ("1e3", "1000")],
)
def test_quantities_are_numbers(text: str, number: str) -> None:
    assert amount(text) == Decimal(number)


@pytest.mark.parametrize("text", ["", "Mi", "1.2.3", "5 apples"])
def test_what_is_no_quantity_is_an_error(text: str) -> None:
    with pytest.raises((ValueError, ArithmeticError)):
        amount(text)


def test_quantities_are_shown_in_their_units() -> None:
    assert shown(Decimal(2**30), "limits.memory") == "1024 MiB"
    assert shown(Decimal("2.50"), "limits.cpu") == "2.5"
    assert shown(Decimal(20), "pods") == "20"
