"""A real API server takes what is rendered, also what the lab never runs: an ingress, an autoscaler, other stacks."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# The library's answers are not typed.

import json
from collections.abc import Generator
from typing import Any

import pytest
from cluster_objects import Object, Objects, deploy, on_a_cluster
from eventually import eventually
from live_cluster import client
from mocked_program import event_loop, run_program
from rendered_stacks import secrets_of

from infra.config import load_stack_config, stack_names
from infra.paths import REPOSITORY
from infra.program import make_topology
from kubernetes_provider.kinds import BY_TOKEN

_KINDS = {kind.name: kind for kind in BY_TOKEN.values()}
_PODS = "/api/v1/namespaces/{}/pods"
_EVERYTHING: dict[str, Any] = {
    "namespace": "compass-dry-run",
    "ingress_host": "demo.example.com",
    "ingress_class": "nginx",
    "ingress_issuer": "letsencrypt",
    "sample_app_replicas": 2,
    "sample_app_max_replicas": 4,
    "gateway_replicas": 2,
    "owner": "team-a",
    "cost_center": "4711",
    "time_to_live_hours": 1,
    "storage_class": "lab",
}


@pytest.fixture(params=stack_names(REPOSITORY))
def objects(request: pytest.FixtureRequest) -> Objects:
    """A stack with everything that can be configured."""
    stack = str(request.param)
    config = on_a_cluster(load_stack_config(REPOSITORY, stack), **_EVERYTHING)
    topology = make_topology(stack, config)
    with event_loop():
        return Objects(
            run_program(
                stack, lambda: {"deployment": deploy(stack, config, topology, secrets_of(topology))}, dry_run=False
            )
        )


@pytest.fixture
def namespace(objects: Objects) -> Generator[str]:
    """The namespace itself and its accounts, really: admission looks at both."""
    name = _EVERYTHING["namespace"]
    _send(objects.one("Namespace", name))
    try:
        for account in objects.of_kind("ServiceAccount").values():
            _send(account)
        yield name
    finally:
        path = f"/api/v1/namespaces/{name}"
        client().delete(path)
        eventually(lambda: client().get(path) is None, seconds=30)


def test_every_object_is_accepted_and_every_pod_meets_the_restricted_standard(objects: Objects, namespace: str) -> None:
    refused = [
        f"{one['kind']} {one['metadata']['name']}: {said}"
        for one in objects.all
        if one["kind"] not in {"Namespace", "ServiceAccount"} and (said := _send(one, dry_run=True))
    ]
    for name, template in objects.templates.items():
        metadata = {**template["metadata"], "name": name, "namespace": namespace}
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}
        if said := _send(pod, dry_run=True):
            refused.append(f"the pod of {name}: {said}")
    assert refused == []
    # The server does look: one word more, or less safety, and it says no.
    template = objects.templates["loki"]
    for change, words in (
        ({"hostNetwork": True}, "violates PodSecurity"),
        ({"containres": []}, "unknown field"),
    ):
        metadata = {"name": "bad", "namespace": namespace}
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {**template["spec"], **change}}
        assert words in _send(pod, dry_run=True)


def _send(document: Object, *, dry_run: bool = False) -> str:
    """Create an object, or see whether it could be; returns what the server says against it."""
    namespace = document["metadata"].get("namespace")
    # A pod is nothing that a stack registers by itself.
    path = _PODS.format(namespace) if document["kind"] == "Pod" else _KINDS[document["kind"]].collection(namespace)
    base, _, plural = path.rpartition("/")
    parameters = {"fieldValidation": "Strict", **({"dryRun": "All"} if dry_run else {})}
    api = client().api

    async def post() -> str:
        async with api.call_api(
            "POST",
            version="",
            base=base,
            url=plural,
            params=parameters,
            content=json.dumps(document),
            raise_for_status=False,
        ) as response:
            warned = response.headers.get("Warning", "")
            # The server fills this in by itself and then warns of it.
            said = "" if "SessionAffinity is ignored for headless" in warned else warned
            return said if response.is_success else str(response.json()["message"])

    return client().run(post())
