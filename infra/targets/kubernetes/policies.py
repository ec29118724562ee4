"""Who may talk to whom: the topology's ``connects``, and nothing else.

A policy is about pods, so what a sidecar connects to its service may reach too. The policy of a pod lists both
directions: each connection stands in two policies, and both must allow it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from pulumi_kubernetes.meta import v1 as meta
from pulumi_kubernetes.networking import v1

from infra.targets.kubernetes.naming import CLIENT, Labels, pod_of
from infra.topology.model import Exposure, Topology

__all__ = ["Traffic", "clients_policy", "deny_all", "issuer_policy", "policy", "traffic"]

_DNS_PORT: Final = 53
_DNS_NAMESPACE: Final = "kube-system"
_SOLVER_PORT: Final = 8089
"""Where cert-manager's pods answer the question of a certificate authority."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Traffic:
    """What one pod's policy allows."""

    pod: str
    incoming: Mapping[str, frozenset[int]] = field(default_factory=dict[str, frozenset[int]])
    """Pod -> own ports that it may use."""
    outgoing: Mapping[str, frozenset[int]] = field(default_factory=dict[str, frozenset[int]])
    """Pod -> ports of it."""
    for_clients: frozenset[int] = frozenset()
    """Own ports for pods that carry the label of clients: agents, so none that they must not know of."""
    for_all: frozenset[int] = frozenset()
    """Own ports for everybody: the edge, where there is an ingress."""


def traffic(topology: Topology, *, ingress: bool) -> list[Traffic]:
    """The allowed traffic of every pod; ``ingress`` opens the edge ports."""
    edges: dict[tuple[str, str], set[int]] = {}
    for workload in topology.workloads:
        for member in workload.members:
            for endpoint in member.connects:
                # To itself too: the other replicas.
                edge = (workload.name, pod_of(topology, endpoint.service))
                edges.setdefault(edge, set()).add(topology.port(endpoint).number)
    for_agents: dict[str, set[int]] = {}
    at_edge: dict[str, set[int]] = {}
    for service, port in topology.for_agents():
        for_agents.setdefault(service.name, set()).add(port.number)
    for service, port in topology.published():
        if ingress and port.exposure is Exposure.EDGE:
            at_edge.setdefault(service.name, set()).add(port.number)
    return [
        Traffic(
            pod=workload.name,
            incoming={source: frozenset(ports) for (source, to), ports in edges.items() if to == workload.name},
            outgoing={to: frozenset(ports) for (source, to), ports in edges.items() if source == workload.name},
            for_clients=frozenset(for_agents.get(workload.name, ())),
            for_all=frozenset(at_edge.get(workload.name, ())),
        )
        for workload in topology.workloads
    ]


def policy(one: Traffic, labels: Labels) -> v1.NetworkPolicySpecArgs:
    """The policy of one pod."""
    by_ports: dict[frozenset[int], list[str]] = {}
    for source, ports in sorted(one.incoming.items()):
        by_ports.setdefault(ports, []).append(source)
    incoming = [
        v1.NetworkPolicyIngressRuleArgs(from_=[_pods(labels.selector(name)) for name in names], ports=_ports(ports))
        for ports, names in by_ports.items()
    ]
    if one.for_clients:
        incoming.append(v1.NetworkPolicyIngressRuleArgs(from_=[_pods({CLIENT: "true"})], ports=_ports(one.for_clients)))
    if one.for_all:
        # Where the ingress controller runs, and whether it is pods at all, differs from cluster to cluster.
        incoming.append(v1.NetworkPolicyIngressRuleArgs(ports=_ports(one.for_all)))
    return v1.NetworkPolicySpecArgs(
        pod_selector=meta.LabelSelectorArgs(match_labels=labels.selector(one.pod)),
        policy_types=["Ingress", "Egress"],
        ingress=incoming or None,
        egress=_outgoing(one.outgoing, labels) or None,
    )


def clients_policy(all_traffic: Iterable[Traffic], labels: Labels) -> v1.NetworkPolicySpecArgs:
    """For pods that a person starts in the namespace with the label of clients: the published ports of ``traffic``."""
    return v1.NetworkPolicySpecArgs(
        pod_selector=meta.LabelSelectorArgs(match_labels={CLIENT: "true"}),
        policy_types=["Ingress", "Egress"],
        egress=_outgoing({one.pod: one.for_clients for one in all_traffic if one.for_clients}, labels),
    )


def deny_all() -> v1.NetworkPolicySpecArgs:
    """Every pod of the namespace, both ways."""
    return v1.NetworkPolicySpecArgs(pod_selector=meta.LabelSelectorArgs(), policy_types=["Ingress", "Egress"])


def issuer_policy() -> v1.NetworkPolicySpecArgs:
    """For the pods that cert-manager starts beside an ingress to prove whose name it is."""
    return v1.NetworkPolicySpecArgs(
        pod_selector=meta.LabelSelectorArgs(match_labels={"acme.cert-manager.io/http01-solver": "true"}),
        policy_types=["Ingress"],
        ingress=[v1.NetworkPolicyIngressRuleArgs(ports=_ports({_SOLVER_PORT}))],
    )


def _outgoing(targets: Mapping[str, frozenset[int]], labels: Labels) -> list[v1.NetworkPolicyEgressRuleArgs]:
    if not targets:
        return []
    dns = v1.NetworkPolicyEgressRuleArgs(
        to=[
            v1.NetworkPolicyPeerArgs(
                namespace_selector=meta.LabelSelectorArgs(match_labels={"kubernetes.io/metadata.name": _DNS_NAMESPACE})
            )
        ],
        ports=[v1.NetworkPolicyPortArgs(port=_DNS_PORT, protocol=protocol) for protocol in ("UDP", "TCP")],
    )
    return [
        dns,
        *(
            v1.NetworkPolicyEgressRuleArgs(to=[_pods(labels.selector(name))], ports=_ports(ports))
            for name, ports in sorted(targets.items())
        ),
    ]


def _pods(match: Mapping[str, str]) -> v1.NetworkPolicyPeerArgs:
    return v1.NetworkPolicyPeerArgs(pod_selector=meta.LabelSelectorArgs(match_labels=match))


def _ports(numbers: Iterable[int]) -> list[v1.NetworkPolicyPortArgs]:
    return [v1.NetworkPolicyPortArgs(port=number, protocol="TCP") for number in sorted(numbers)]
