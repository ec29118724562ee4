"""A glance at a stack on a cluster: what is missing or was changed by hand is found, and nothing else."""

from collections.abc import Callable
from typing import Any

import pytest
from fake_cluster import OURS, FakeCluster, meta
from pods import job
from small_topology import TOPOLOGY

from cli.platforms.kubernetes_drift import compare, deviations

Live = dict[str, list[dict[str, Any]]]


def one(name: str, workload: str = "", manager: str = "pulumi-kubernetes-x", **field: str) -> dict[str, Any]:
    labels = {**OURS, "app.kubernetes.io/name": workload or name}
    return {"metadata": meta(name, labels, managedFields=[{"manager": manager, **field}])}


def complete() -> Live:
    return {
        "services": [one("db"), one("web")],
        "configmaps": [one("web-config", "web")],
        "secrets": [one("db-secrets", "db")],
        "persistentvolumeclaims": [one("data-1a2b", "db"), one("logs-1a2b", "db")],
        "resourcequotas": [one("demo")],
        "limitranges": [one("demo")],
        "deployments": [one("web", manager="kube-controller-manager")],
        "statefulsets": [one("db")],
        "jobs": [job("schema", succeeded=1)],
        "networkpolicies": [one("db"), one("web")],
    }


def test_a_stack_that_is_as_it_should_be_has_no_deviation() -> None:
    assert compare(TOPOLOGY, complete()) == []


def without(kind: str, *names: str) -> Callable[[Live], None]:
    def remove(live: Live) -> None:
        live[kind] = [each for each in live[kind] if names and each["metadata"]["name"] not in names]

    return remove


def put(kind: str, document: dict[str, Any]) -> Callable[[Live], None]:
    return lambda live: live.update({kind: [document]})


@pytest.mark.parametrize(
    ("happens", "found"),
    [
        (without("deployments"), "web is missing"),
        (without("statefulsets"), "db is missing"),
        (without("jobs"), "schema is missing"),
        (without("services", "web"), "the service web is missing"),
        (without("persistentvolumeclaims", "logs-1a2b"), "the volume logs is missing"),
        (without("configmaps"), "there are no configmaps"),
        (without("secrets"), "there are no secrets"),
        (without("networkpolicies"), "there are no networkpolicies"),
        (put("jobs", job("schema", failed=4)), "schema is not done"),
        (put("deployments", one("web", manager="kubectl-edit")), "deployments web was changed by kubectl-edit"),
        (
            put("deployments", one("web", manager="kubectl", subresource="scale")),
            "deployments web was changed by kubectl",
        ),
    ],
)
def test_one_deviation_is_found_and_named(happens: Callable[[Live], None], found: str) -> None:
    live = complete()
    happens(live)
    assert compare(TOPOLOGY, live) == [found]


def test_a_status_that_was_written_by_hand_is_no_deviation() -> None:
    live = complete()
    live["deployments"] = [one("web", manager="kubectl-patch", subresource="status")]
    assert compare(TOPOLOGY, live) == []


def test_only_objects_of_the_stack_are_asked_for() -> None:
    cluster = FakeCluster()
    assert len(deviations(cluster, "compass-test", "test", TOPOLOGY)) == 3 + 2 + 2 + 3
    assert {parameters["labelSelector"] for _, parameters in cluster.asked} == {"compass-demo/stack=test"}
