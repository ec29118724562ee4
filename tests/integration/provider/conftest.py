"""A cluster from KUBECONFIG and KUBE_CONTEXT, and a namespace of its own for each module's tests."""

import os
import secrets
from collections.abc import Callable, Generator
from typing import Any

import pytest
from provider_client import Plugin, Refused, running_plugin

from kubernetes_provider.paths import Json, Object, items_at


@pytest.fixture(scope="session")
def access() -> tuple[str, str]:
    """Kubeconfig and context of the cluster that the tests may use."""
    kubeconfig, context = os.environ.get("KUBECONFIG"), os.environ.get("KUBE_CONTEXT")
    if not kubeconfig or not context:
        pytest.skip("needs a cluster: set KUBECONFIG and KUBE_CONTEXT")
    return kubeconfig, context


@pytest.fixture(scope="session")
def plugin(access: tuple[str, str], tmp_path_factory: pytest.TempPathFactory) -> Generator[Plugin]:
    with running_plugin(tmp_path_factory.mktemp("plugin")) as running:
        running.configure(kubeconfig=access[0], context=access[1])
        yield running


@pytest.fixture(scope="module")
def labels() -> Object:
    stack = f"provider-{secrets.token_hex(3)}"
    return {
        "compass-demo/stack": stack,
        "app.kubernetes.io/part-of": "compass-demo",
        "app.kubernetes.io/managed-by": "pulumi",
    }


@pytest.fixture(scope="module")
def namespace(plugin: Plugin, labels: Object) -> Generator[str]:
    name = labels["compass-demo/stack"]
    identity, outputs = plugin.create("Namespace", {"metadata": {"name": name, "labels": labels}})
    yield identity
    plugin.delete("Namespace", identity, outputs)


@pytest.fixture(scope="module")
def make(namespace: str, labels: Object) -> Callable[..., Object]:
    """Inputs of an object in the namespace."""

    def inputs(name: str, **fields: Json) -> Object:
        more = fields.pop("metadata", {})
        return {"metadata": {"name": name, "namespace": namespace, "labels": labels, **more}, **fields}

    return inputs


@pytest.fixture(scope="session")
def image(plugin: Plugin) -> str:
    """An image that is on the lab cluster's node: its DNS server's, which ends at once without its configuration."""
    try:
        _, outputs, _ = plugin.read("Deployment", "kube-system/coredns")
    except Refused as refused:
        pytest.skip(f"needs the lab cluster: {refused.message}")
    containers: list[Any] = items_at(outputs, "spec", "template", "spec", "containers")
    if not containers:
        pytest.skip("needs the lab cluster: there is no coredns in kube-system")
    return str(containers[0]["image"])
