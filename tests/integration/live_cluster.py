"""The lab cluster as the tests look at it and break it: through its API, and as processes of this machine."""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Generator, Iterable
from functools import cache
from pathlib import Path
from typing import Any

import psutil
import yaml
from eventually import eventually
from live_stack import Stack

from infra.paths import HOME_VARIABLE, LAB_CONTEXT, REPOSITORY, DemoHome
from infra.targets.kubernetes.client import KubeClient
from infra.targets.kubernetes.kube import resolve_context
from infra.targets.kubernetes.objects import NAME, PART_OF, PROJECT_NAME, STACK, labels, name_of, part, parts

KINDS = (
    "/api/v1/namespaces",
    "/api/v1/persistentvolumes",
    "/api/v1/pods",
    "/api/v1/services",
    "/api/v1/configmaps",
    "/api/v1/secrets",
    "/api/v1/serviceaccounts",
    "/api/v1/persistentvolumeclaims",
    "/api/v1/resourcequotas",
    "/api/v1/limitranges",
    "/apis/apps/v1/deployments",
    "/apis/apps/v1/statefulsets",
    "/apis/batch/v1/jobs",
    "/apis/networking.k8s.io/v1/networkpolicies",
    "/apis/policy/v1/poddisruptionbudgets",
)


@cache
def client() -> KubeClient:
    """A connection to the lab cluster as its administrator."""
    return KubeClient.connect(resolve_context(LAB_CONTEXT, None, DemoHome.default()))


def kubeconfig_of() -> Path:
    """The lab cluster's kubeconfig."""
    return DemoHome.default().lab_kubeconfig


def limited_user(tmp_path: Path, rules: list[dict[str, list[str]]]) -> Path:
    """A kubeconfig of a user whom these rules of a role let do things, in the whole cluster."""
    meta = {"name": "lab-limited"}
    for path, body in (
        ("/apis/rbac.authorization.k8s.io/v1/clusterroles", {"kind": "ClusterRole", "rules": rules}),
        (
            "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
            {
                "kind": "ClusterRoleBinding",
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": meta["name"]},
                "subjects": [{"kind": "ServiceAccount", "name": "lab-limited", "namespace": "default"}],
            },
        ),
    ):
        client().delete(f"{path}/{meta['name']}")
        client().create(path, {"apiVersion": "rbac.authorization.k8s.io/v1", "metadata": meta, **body})
    accounts = "/api/v1/namespaces/default/serviceaccounts"
    if client().get(f"{accounts}/lab-limited") is None:
        client().create(accounts, {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta})
    request: dict[str, Any] = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    token = client().create(f"{accounts}/lab-limited/token", request)["status"]["token"]
    document = yaml.safe_load(kubeconfig_of().read_text())
    document["users"][0]["user"] = {"token": token}
    file = tmp_path / "limited"
    file.write_text(yaml.safe_dump(document))
    return file


def annotate(namespace: str, key: str, value: str) -> None:
    """Change an annotation of a namespace."""
    path = f"/api/v1/namespaces/{namespace}"
    document = client().get(path)
    assert document is not None
    document["metadata"]["annotations"][key] = value
    client().replace(path, document)


def pods(stack: Stack, workload: str | None = None) -> list[dict[str, Any]]:
    """The pods of a stack, or of one workload, that are not going."""
    selector = f"{STACK}={stack.name}" + (f",{NAME}={workload}" if workload else "")
    found = client().items(f"/api/v1/namespaces/{stack.namespace}/pods", labelSelector=selector)
    return [pod for pod in found if not pod["metadata"].get("deletionTimestamp")]


def is_ready(pod: dict[str, Any]) -> bool:
    return any(one["type"] == "Ready" and one["status"] == "True" for one in parts(pod, "status", "conditions"))


def pod_address(stack: Stack, service: str) -> str:
    """The address of a service's pod; the lab's node is this machine, and what it sends is not refused."""
    return str(pods(stack, service)[0]["status"]["podIP"])


def cluster_address(stack: Stack, service: str) -> str:
    """The address of a Service, which spreads over its pods."""
    found = client().get(f"/api/v1/namespaces/{stack.namespace}/services/{service}")
    assert found is not None
    return str(found["spec"]["clusterIP"])


def kill_pod(stack: Stack, pod: dict[str, Any]) -> None:
    """Take a pod away at once, as the loss of a machine does."""
    assert client().delete(f"/api/v1/namespaces/{stack.namespace}/pods/{name_of(pod)}", grace_seconds=0)


def what_is_left(stack: Stack) -> list[str]:
    """Everything in the cluster that carries the stack's label or was bound for its namespace."""
    found: list[str] = []
    for kind in KINDS:
        for one in client().items(kind):
            mine = labels(one).get(STACK) == stack.name or name_of(one) == stack.namespace
            bound = part(one, "spec", "claimRef").get("namespace") == stack.namespace
            if mine or bound or one["metadata"].get("namespace") == stack.namespace:
                found.append(f"{kind} {name_of(one)}")
    return found


def ours(kind: str) -> list[dict[str, Any]]:
    return client().items(kind, labelSelector=f"{PART_OF}={PROJECT_NAME}")


def cluster(*arguments: str, timeout: float = 300) -> "subprocess.CompletedProcess[str]":
    """Run ./demo cluster."""
    return subprocess.run(
        [sys.executable, "-m", "cli", "cluster", *arguments],
        cwd=REPOSITORY,
        # The folder may be a link to another home's cluster: a machine has one.
        env={
            **os.environ,
            "PYTHONPATH": str(REPOSITORY),
            HOME_VARIABLE: str(DemoHome.default().cluster.resolve().parent),
        },
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def process(name: str) -> psutil.Process:
    """A part of the cluster."""
    status: dict[str, Any] = json.loads(cluster("status", "--json").stdout)
    return psutil.Process(next(one["pid"] for one in status["parts"] if one["name"] == name))


@contextlib.contextmanager
def without(name: str) -> Generator[None]:
    """A part of the cluster is killed; ``./demo cluster up`` brings it back afterwards."""
    process(name).kill()
    try:
        yield
    finally:
        mended = cluster("up")
        assert mended.returncode == 0, mended.stderr
        eventually(lambda: json.loads(cluster("status", "--json").stdout)["ready"], seconds=60, poll=0.5)


def first_process(pod: dict[str, Any]) -> int:
    """A process of a pod, whose network it shares."""
    uid = str(pod["metadata"]["uid"])
    forms = (uid, uid.replace("-", "_"))
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):
                if any(form in (folder / "cgroup").read_text() for form in forms):
                    return int(folder.name)
    raise LookupError(name_of(pod))


def container_ports(found: Iterable[dict[str, Any]]) -> dict[str, set[int]]:
    """Workload -> every port that its containers declare."""
    ports: dict[str, set[int]] = {}
    for pod in found:
        for container in parts(pod, "spec", "containers"):
            numbers = {int(one["containerPort"]) for one in parts(container, "ports")}
            ports.setdefault(labels(pod)[NAME], set()).update(numbers)
    return ports
