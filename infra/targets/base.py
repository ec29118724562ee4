"""What every target promises."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from infra.errors import DemoError
from infra.stack_secrets import StackSecrets
from infra.topology.model import Endpoint, Topology

__all__ = ["Deployment", "ExternalAddress", "Target", "UnsupportedSpec"]

_HTTPS = 443


class UnsupportedSpec(DemoError):  # noqa: N818 # the design's name
    """A target cannot honour a field of the topology, and never drops one."""

    def __init__(self, service: str, field: str, why: str) -> None:
        self.service = service
        self.field = field
        super().__init__(f"{service}: {field} is not possible on this target: {why}.")


@dataclass(frozen=True, slots=True)
class ExternalAddress:
    """Where a person at the machine reaches an endpoint; other workloads use ``Topology.address``."""

    host: str
    port: int
    scheme: str = "http"
    """``https`` at an ingress."""

    def __str__(self) -> str:
        return self.host if (self.scheme, self.port) == ("https", _HTTPS) else f"{self.host}:{self.port}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Deployment:
    """A rendered topology as the outputs need it."""

    external: Mapping[Endpoint, ExternalAddress]
    """Every published endpoint."""
    inside: str
    """What an agent's container or pod joins to reach services by name: a network or a namespace."""


class Target(Protocol):
    """Renders topologies."""

    def check(self, topology: Topology, *, preview: bool) -> None:
        """Find out, before anything is created, whether ``deploy`` can succeed.

        Args:
            topology: What is to be deployed.
            preview: Whether it will only be shown, which needs less.

        Raises:
            UnsupportedSpec: a field cannot be honoured.
            DemoError: the environment is not fit (no engine, a port in use, an image missing).
        """
        ...

    def deploy(self, topology: Topology, secrets: StackSecrets) -> Deployment:
        """Register the resources; called inside a Pulumi program."""
        ...
