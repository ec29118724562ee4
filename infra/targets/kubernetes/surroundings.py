"""What every component of one stack is rendered with."""

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
from pulumi_kubernetes.meta import v1 as meta

from infra.config import DemoConfig
from infra.stack_secrets import StackSecrets
from infra.targets.kubernetes.naming import Labels
from infra.topology.model import Image, Topology

__all__ = ["SKIP_AWAIT", "Surroundings"]

SKIP_AWAIT: Mapping[str, str] = {"pulumi.com/skipAwait": "true"}
"""For what is ready when something else is: waiting for it by itself would only fail in another way."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Surroundings:
    """The stack, its configuration, and how its objects are called."""

    stack: str
    namespace: str
    config: DemoConfig
    topology: Topology
    secrets: StackSecrets
    labels: Labels
    references: Mapping[Image, str]
    """Image -> what the cluster pulls."""
    owner: pulumi.Resource
    """The namespace: who deletes it deletes everything in it."""

    def metadata(
        self, name: str, labels: Mapping[str, str], annotations: Mapping[str, str] | None = None
    ) -> meta.ObjectMetaArgs:
        """Metadata of an object in the namespace."""
        return meta.ObjectMetaArgs(
            name=name, namespace=self.namespace, labels=dict(labels), annotations=dict(annotations or {}) or None
        )

    def child(self, parent: pulumi.Resource, *, timeout_seconds: int | None = None) -> pulumi.ResourceOptions:
        """Options of a component's child.

        Args:
            parent: The component.
            timeout_seconds: How long it may take to be ready; ``None`` leaves it to the provider.
        """
        seconds = f"{timeout_seconds}s"
        return pulumi.ResourceOptions(
            parent=parent,
            depends_on=[self.owner],
            # Deleted with its namespace, at once instead of one after the other.
            deleted_with=self.owner,
            custom_timeouts=pulumi.CustomTimeouts(create=seconds, update=seconds) if timeout_seconds else None,
        )
