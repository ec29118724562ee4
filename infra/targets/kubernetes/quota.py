"""What the namespace may take: computed from the topology, so that a mistake cannot eat a shared cluster."""

from typing import Final

from pulumi_kubernetes.core import v1

from infra.config import DemoConfig
from infra.targets.kubernetes.sizing import cores, cpu_request, mebibytes, memory_request, scale
from infra.topology.model import Topology

__all__ = ["limit_range", "quota"]

_GUEST_CPUS: Final = 0.5
_GUEST_MEMORY_MIB: Final = 128
"""Limits of a container that says nothing: a pod that a person starts to look around, or cert-manager's."""
_GUESTS: Final = 2
"""Pods of that kind that find room beside the demo."""


def quota(topology: Topology, config: DemoConfig) -> v1.ResourceQuotaSpecArgs:
    """All pods at their most at once: every replica, and the ones above the number during an update."""
    pods = memory = asked_memory = 0
    cpus = asked_cpus = 0.0
    for workload in topology.workloads:
        times = scale(workload, config).ceiling
        pods += times
        for member in workload.members:
            memory += times * member.memory_mib
            asked_memory += times * memory_request(member)
            cpus += times * member.cpus
            asked_cpus += times * cpu_request(member.cpus)
    return v1.ResourceQuotaSpecArgs(
        hard={
            "pods": str(pods + _GUESTS),
            "requests.cpu": cores(asked_cpus + _GUESTS * cpu_request(_GUEST_CPUS)),
            "requests.memory": mebibytes(asked_memory + _GUESTS * _GUEST_MEMORY_MIB),
            "limits.cpu": cores(cpus + _GUESTS * _GUEST_CPUS),
            "limits.memory": mebibytes(memory + _GUESTS * _GUEST_MEMORY_MIB),
            # Twice: when the secrets were lost, the new volumes are made before the old ones are deleted.
            "persistentvolumeclaims": str(2 * len(topology.volumes)),
            "requests.storage": mebibytes(2 * sum(topology.volumes.values())),
            # Nothing of the demo leaves the namespace but by the ingress.
            "services.nodeports": "0",
            "services.loadbalancers": "0",
        }
    )


def limit_range(topology: Topology) -> v1.LimitRangeSpecArgs:
    """What a container gets that says nothing, and the most that one may take."""
    containers = list(topology.containers())
    return v1.LimitRangeSpecArgs(
        limits=[
            v1.LimitRangeItemArgs(
                type="Container",
                default={"cpu": cores(_GUEST_CPUS), "memory": mebibytes(_GUEST_MEMORY_MIB)},
                default_request={"cpu": cores(cpu_request(_GUEST_CPUS)), "memory": mebibytes(_GUEST_MEMORY_MIB)},
                max={
                    "cpu": cores(max(_GUEST_CPUS, *(container.cpus for container in containers))),
                    "memory": mebibytes(max(_GUEST_MEMORY_MIB, *(container.memory_mib for container in containers))),
                },
            )
        ]
    )
