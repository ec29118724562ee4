"""Names and labels on the cluster: pure functions, so that every part knows a name before the thing exists."""

from dataclasses import dataclass
from typing import Final

from infra.config import DemoConfig
from infra.errors import ConfigError
from infra.targets.kubernetes.kube import namespace_name
from infra.targets.kubernetes.objects import NAME, PART_OF, PROJECT_NAME, STACK
from infra.topology.model import Container, Service, Topology, Workload

__all__ = [
    "CLIENT",
    "CONFIG_DIGEST",
    "COST_CENTER",
    "OWNER",
    "SECRETS_DIGEST",
    "TIME_TO_LIVE",
    "Labels",
    "claim_name",
    "config_name",
    "pod_of",
    "secrets_name",
    "stack_namespace",
]

_INSTANCE: Final = "app.kubernetes.io/instance"
OWNER: Final = "compass-demo/owner"
COST_CENTER: Final = "compass-demo/cost-center"
CLIENT: Final = "compass-demo/client"
"""A pod of the namespace that carries it may use the published ports that agents may know of."""
TIME_TO_LIVE: Final = "compass-demo/time-to-live-hours"
"""Annotation of the namespace: from what its end was computed."""
CONFIG_DIGEST: Final = "compass-demo/config"
SECRETS_DIGEST: Final = "compass-demo/secrets"
"""Annotations of a pod template: a change of the files rolls the workload."""
_LABEL_LIMIT: Final = 63


def stack_namespace(stack: str, config: DemoConfig) -> str:
    """The namespace of a stack.

    Raises:
        ConfigError: the stack's name is no name for a namespace, and the configuration gives no other.
    """
    name = namespace_name(stack, config)
    if len(name) > _LABEL_LIMIT or not all(c.isascii() and (c.islower() or c.isdigit() or c == "-") for c in name):
        raise ConfigError(
            f"{name} cannot be the name of a namespace; set compass-demo:namespace for the stack {stack}."
        )
    return name


def config_name(workload: str) -> str:
    """The ConfigMap with a workload's files."""
    return f"{workload}-config"


def secrets_name(workload: str) -> str:
    """The Secret with a workload's secret files."""
    return f"{workload}-secrets"


def claim_name(volume: str, generation: str) -> str:
    """The claim of a volume; data that was made with other secrets is another claim."""
    return f"{volume}-{generation}"


def pod_of(topology: Topology, container: str) -> str:
    """The workload in whose pod a container runs; raises ``KeyError``."""
    for workload in topology.workloads:
        if any(member.name == container for member in workload.members):
            return workload.name
    raise KeyError(container)


@dataclass(frozen=True, kw_only=True, slots=True)
class Labels:
    """The recommended labels, and the demo's own, of one stack's objects."""

    stack: str
    owner: str = ""
    cost_center: str = ""

    def of_stack(self) -> dict[str, str]:
        """Of what belongs to the stack as a whole."""
        return {
            PART_OF: PROJECT_NAME,
            _INSTANCE: self.stack,
            "app.kubernetes.io/managed-by": "pulumi",
            STACK: self.stack,
            **({OWNER: self.owner} if self.owner else {}),
            **({COST_CENTER: self.cost_center} if self.cost_center else {}),
        }

    def of(self, workload: Workload, container: Container | None = None) -> dict[str, str]:
        """Of a workload's objects; ``container`` is the one that an object is about, if not the workload itself."""
        about = container or workload
        return {
            **self.of_stack(),
            NAME: about.name,
            "app.kubernetes.io/component": "service" if isinstance(workload, Service) else "task",
            "app.kubernetes.io/version": _label_value(about.image.version),
        }

    def selector(self, workload: str) -> dict[str, str]:
        """What never changes of a pod: neither version nor owner may be in a selector."""
        return {NAME: workload, _INSTANCE: self.stack}


def _label_value(version: str) -> str:
    """A version as a label's value: ``18.6+1`` would be refused."""
    return "".join(c if c.isalnum() or c in "._-" else "_" for c in version)[:_LABEL_LIMIT].strip("._-")
