"""The rules that a topology must keep; every fault is reported, each in one sentence."""

import graphlib
import re
from collections import Counter
from collections.abc import Iterator

from infra.errors import DemoError
from infra.topology.model import Container, Endpoint, Exposure, HttpProbe, Service, Topology

__all__ = ["TopologyError", "validate"]

_DNS_LABEL = re.compile(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?")
_FLOATING_VERSIONS = frozenset({"", "latest", "main", "master", "edge", "stable", "nightly"})


class TopologyError(DemoError):
    """The topology contradicts itself."""

    def __init__(self, faults: list[str]) -> None:
        self.faults = faults
        super().__init__("\n".join(faults))


def validate(topology: Topology) -> Topology:
    """Return the topology unchanged.

    Raises:
        TopologyError: with one sentence for each fault.
    """
    faults = [
        *_names(topology),
        *_needs(topology),
        *_connects(topology),
        *_ports(topology),
        *_containers(topology),
        *_probes(topology),
        *_volumes(topology),
    ]
    if faults:
        raise TopologyError(faults)
    return topology


def _names(topology: Topology) -> Iterator[str]:
    counts = Counter(container.name for container in topology.containers())
    yield from (f"{name}: {count} workloads have this name" for name, count in counts.items() if count > 1)
    for container in topology.containers():
        if not _DNS_LABEL.fullmatch(container.name):
            yield f"{container.name}: not a DNS name (lower case letters, digits and inner hyphens, 63 at most)"
    # Kubernetes gives every pod variables such as LOKI_PORT for a service named loki; Docker links did the same.
    for service in topology.services:
        injected = re.compile(re.escape(service.name.upper().replace("-", "_")) + r"_(PORT|SERVICE_(HOST|PORT))(_.*)?")
        for container in topology.containers():
            for variable in sorted(container.env):
                if injected.fullmatch(variable):
                    yield f"{container.name}: {variable} collides with what clusters inject for {service.name}"


def _needs(topology: Topology) -> Iterator[str]:
    names = {workload.name for workload in topology.workloads}
    graph: dict[str, set[str]] = {}
    for workload in topology.workloads:
        unknown = [need for need in workload.needs if need not in names]
        yield from (f"{workload.name}: needs {need}, which does not exist" for need in unknown)
        graph[workload.name] = set(workload.needs) & names
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        cycle: list[str] = error.args[1]
        yield f"{cycle[0]}: needs itself ({' -> '.join(reversed(cycle))})"


def _connects(topology: Topology) -> Iterator[str]:
    for container in topology.containers():
        for endpoint in container.connects:
            if not _exists(topology, endpoint):
                yield f"{container.name}: connects to {endpoint.service}/{endpoint.port}, which does not exist"
        for variable, value in container.env.items():
            if isinstance(value, Endpoint) and value not in container.connects:
                yield f"{container.name}: {variable} names {value.service}/{value.port}, which it does not connect to"


def _exists(topology: Topology, endpoint: Endpoint) -> bool:
    try:
        topology.port(endpoint)
    except KeyError:
        return False
    return True


def _ports(topology: Topology) -> Iterator[str]:
    taken: dict[int, str] = {}
    for service in topology.services:
        for number, count in Counter(port.number for port in service.ports).items():
            if count > 1:
                yield f"{service.name}: port {number} is listed {count} times"
        for port in service.ports:
            if (port.exposure is Exposure.INTERNAL) != (port.host_port is None):
                yield f"{service.name}/{port.name}: a port has a host port exactly when it is not internal"
            if port.exposure is Exposure.EDGE and not service.known_to_agents:
                yield f"{service.name}/{port.name}: agents must not know of it, so it may not be at the edge"
    for service, port in topology.published():
        if port.host_port is None:
            continue
        where = f"{service.name}/{port.name}"
        if port.host_port in taken:
            keys = f" (move one with {port.host_port_key})" if port.host_port_key else ""
            yield f"{where}: host port {port.host_port} is also wanted by {taken[port.host_port]}{keys}"
        taken.setdefault(port.host_port, where)


def _containers(topology: Topology) -> Iterator[str]:
    for container in topology.containers():
        version = container.image.version
        if version in _FLOATING_VERSIONS or not any(character.isdigit() for character in version):
            yield f"{container.name}: image {container.image.reference} is not pinned to an exact version"
        if container.memory_mib <= 0 or container.cpus <= 0:
            yield f"{container.name}: needs a memory and a CPU limit"
        if container.user <= 0:
            yield f"{container.name}: must run as a numeric user other than root"
        if isinstance(container, Service) and container.probe is None:
            yield f"{container.name}: needs a probe"
        for path, count in Counter(_mount_paths(container)).items():
            if count > 1:
                yield f"{container.name}: {path} is mounted {count} times"


def _probes(topology: Topology) -> Iterator[str]:
    for service in topology.services:
        for member in service.members:
            names = {port.name for port in member.ports}
            for probe in (member.probe, service.own_probe if member is service else None):
                if isinstance(probe, HttpProbe) and probe.port not in names:
                    yield f"{member.name}: its probe asks the port {probe.port}, which it does not have"
            # Where a target has no probes over HTTP of its own, the gateway asks them and tells who failed.
            if not service.known_to_agents and isinstance(member.probe, HttpProbe):
                yield f"{member.name}: agents must not know of it, so its probe must be a command and not the gateway's"


def _mount_paths(container: Container) -> list[str]:
    return [item.path for item in (*container.files, *container.volumes, *container.scratch)]


def _volumes(topology: Topology) -> Iterator[str]:
    """Sharing is for a service and its sidecars: on a cluster they are one pod, others could land on another node."""
    owner: dict[str, str] = {}
    sizes: dict[str, int] = {}
    for workload in topology.workloads:
        sidecars = workload.sidecars if isinstance(workload, Service) else ()
        for container in (workload, *sidecars):
            for volume in container.volumes:
                other = owner.setdefault(volume.name, workload.name)
                if other != workload.name:
                    yield f"{container.name}: volume {volume.name} belongs to {other}; only its sidecars may share it"
                if sizes.setdefault(volume.name, volume.size_mib) != volume.size_mib:
                    yield f"{container.name}: volume {volume.name} has two sizes"
