"""What of a topology this target cannot honour; it refuses it and never drops it."""

from collections import Counter
from typing import Final

from infra.config import DemoConfig
from infra.targets.base import UnsupportedSpec
from infra.targets.kubernetes.files import CONFIG, SECRETS, config_data
from infra.targets.kubernetes.sizing import scale
from infra.topology.model import Service, Sidecar, Topology, Workload

__all__ = ["require_supported"]

_PORT_NAME_LIMIT: Final = 15


def require_supported(topology: Topology, config: DemoConfig) -> None:
    """Return if every field of the topology can be honoured.

    Raises:
        UnsupportedSpec: the first that cannot.
    """
    owners: dict[str, str] = {}
    for workload in topology.workloads:
        _require_volumes(workload, owners)
        _require_ports(workload)
        config_data(workload)
        if isinstance(workload, Service) and scale(workload, config).several and not workload.peers:
            raise UnsupportedSpec(workload.name, "several replicas", "it does not know of peers")


def _require_volumes(workload: Workload, owners: dict[str, str]) -> None:
    for member in workload.members:
        for volume in member.volumes:
            owner = owners.setdefault(volume.name, workload.name)
            if owner != workload.name:
                raise UnsupportedSpec(
                    member.name,
                    f"the volume {volume.name}",
                    f"it is in the pod of {owner}, which may be on another node",
                )
            if volume.name in {CONFIG, SECRETS}:
                raise UnsupportedSpec(member.name, f"the volume {volume.name}", "the name is the target's own")


def _require_ports(workload: Workload) -> None:
    ports = [
        (member.name, port)
        for member in workload.members
        if isinstance(member, Service | Sidecar)
        for port in member.ports
    ]
    numbers = Counter(port.number for _, port in ports)
    for name, port in ports:
        if numbers[port.number] > 1:
            raise UnsupportedSpec(
                name, f"port {port.number}", f"containers of the pod {workload.name} share one address"
            )
        if len(port.name) > _PORT_NAME_LIMIT:
            raise UnsupportedSpec(name, f"the port name {port.name}", f"longer than {_PORT_NAME_LIMIT} letters")
