"""Whether the cluster lets us do what a stack needs: which verb on which resource is missing."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, NamedTuple

from infra.config import DemoConfig
from infra.targets.kubernetes.client import KubeClient

__all__ = ["missing_rights", "rights_of_a_stack"]

_REVIEWS: Final = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
_PARALLEL: Final = 16
_WRITE: Final = ("get", "list", "watch", "create", "patch", "delete")
"""Lists for what may have been changed by hand, watches for what is waited for: its readiness, or its end."""
_MANAGED: Final = (
    ("", "configmaps"),
    ("", "secrets"),
    ("", "services"),
    ("", "serviceaccounts"),
    ("", "persistentvolumeclaims"),
    ("", "resourcequotas"),
    ("", "limitranges"),
    ("apps", "deployments"),
    ("apps", "statefulsets"),
    ("batch", "jobs"),
    ("networking.k8s.io", "networkpolicies"),
    ("policy", "poddisruptionbudgets"),
)
_READ: Final = (
    ("list", "pods", ""),
    ("watch", "pods", ""),
    ("list", "events", ""),
    ("watch", "events", ""),
    ("get", "pods", "log"),
    # A tunnel begins as a GET that becomes a WebSocket; API servers from 1.35 on want the other verb too.
    ("get", "pods", "portforward"),
    ("create", "pods", "portforward"),
)
"""For waiting, status, logs and the tunnel."""


class Right(NamedTuple):
    """One thing to be allowed."""

    verb: str
    group: str
    resource: str
    subresource: str = ""
    namespaced: bool = True

    @property
    def path(self) -> str:
        """The resource as the rules of a role write it."""
        return f"{self.resource}/{self.subresource}" if self.subresource else self.resource

    @property
    def on(self) -> str:
        """The resource as ``kubectl auth can-i`` writes it."""
        name = f"{self.resource}.{self.group}" if self.group else self.resource
        return f"{name}/{self.subresource}" if self.subresource else name


def rights_of_a_stack(config: DemoConfig) -> Iterator[Right]:
    """Everything that ``up``, ``status``, ``tunnel`` and ``destroy`` do."""
    yield from (Right(verb, "", "namespaces", namespaced=False) for verb in _WRITE)
    managed = [*_MANAGED]
    if config.ingress_host:
        managed.append(("networking.k8s.io", "ingresses"))
    if config.sample_app_max_replicas:
        managed.append(("autoscaling", "horizontalpodautoscalers"))
    yield from (Right(verb, group, resource) for group, resource in managed for verb in _WRITE)
    yield from (Right(verb, "", resource, subresource) for verb, resource, subresource in _READ)


def missing_rights(client: KubeClient, config: DemoConfig, namespace: str) -> list[Right]:
    """The rights of a stack that this user does not have in the namespace.

    Raises:
        ClusterError: the cluster cannot be asked.
    """
    if _allowed(client, Right("*", "*", "*", namespaced=False), namespace):
        return []
    wanted = list(rights_of_a_stack(config))
    with ThreadPoolExecutor(_PARALLEL) as pool:
        answers = [pool.submit(_allowed, client, right, namespace) for right in wanted]
        return [right for right, answer in zip(wanted, answers, strict=True) if not answer.result()]


def _allowed(client: KubeClient, right: Right, namespace: str) -> bool:
    attributes = {"verb": right.verb, "group": right.group, "resource": right.resource}
    if right.subresource:
        attributes["subresource"] = right.subresource
    if right.namespaced:
        attributes["namespace"] = namespace
    review: dict[str, Any] = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": attributes},
    }
    return bool(client.create(_REVIEWS, review)["status"].get("allowed"))
