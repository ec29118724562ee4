"""How many pods of a service run and what they ask for: the Kubernetes target's own settings.

The topology's limits hold on both targets. What a container *requests* decides where it fits: the limits are what
it may take for a moment, and their sum is several times what the demo uses, so requests are shares of them.
"""

from dataclasses import dataclass
from typing import Final

from infra.config import DemoConfig
from infra.topology.model import Container, Service, Workload

__all__ = ["Scale", "cores", "cpu_request", "mebibytes", "memory_request", "scale"]

CPU_SHARE: Final = 0.05
"""Of the CPU limit: what the services use on average at default traffic. Two demos with their updates fit two cores."""
MEMORY_SHARE: Final = 0.5
"""Of the memory limit. What the services hold in use, except for bursts such as a large query."""
_SAMPLE_APP: Final = "sample-app"
_GATEWAY: Final = "gateway"
_ALONE: Final = frozenset({"traffic"})
"""Two at once would send twice the load, so the old one ends before the new one starts."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Scale:
    """How many pods of a workload there may be."""

    replicas: int = 1
    most: int | None = None
    """Set when an autoscaler decides, which starts from ``replicas``."""
    surge: int = 0
    """Pods above the number during an update."""

    @property
    def ceiling(self) -> int:
        """Pods at once, at most."""
        return (self.most or self.replicas) + self.surge

    @property
    def several(self) -> bool:
        """Whether more than one is wanted."""
        return (self.most or self.replicas) > 1


def scale(workload: Workload, config: DemoConfig) -> Scale:
    """The scale of a workload.

    A service with volumes is one pod, replaced in place, since its volume can be mounted once. The others are
    updated without a gap: the new pod is ready before the old one goes.
    """
    if not isinstance(workload, Service) or any(member.volumes for member in workload.members):
        return Scale()
    surge = 0 if workload.name in _ALONE else 1
    if workload.name == _SAMPLE_APP:
        replicas, most = config.sample_app_replicas, config.sample_app_max_replicas
        return Scale(replicas=replicas, most=most if most > replicas else None, surge=surge)
    return Scale(replicas=config.gateway_replicas if workload.name == _GATEWAY else 1, surge=surge)


def cores(cpus: float) -> str:
    """CPUs as Kubernetes writes them back: ``250m``, ``2``."""
    thousandths = round(cpus * 1000)
    return str(thousandths // 1000) if thousandths % 1000 == 0 else f"{thousandths}m"


def mebibytes(amount: int) -> str:
    """MiB as Kubernetes writes them back: ``192Mi``, ``4Gi``."""
    return f"{amount // 1024}Gi" if amount % 1024 == 0 and amount else f"{amount}Mi"


def cpu_request(cpus: float) -> float:
    """CPUs that a container with this limit is sure to get, to a thousandth."""
    return round(cpus * CPU_SHARE, 3)


def memory_request(container: Container) -> int:
    """MiB that a container is sure to get."""
    return max(1, round(container.memory_mib * MEMORY_SHARE))
