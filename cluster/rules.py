"""NetworkPolicies as nftables rules: ``render`` is a pure function of the cluster's objects.

Every pod that a policy selects has a chain for that direction, with one rule for each thing that is allowed and a
refusal at its end. A pod that no policy selects has none. Two hooks look the pods up: ``forward`` sees what goes from
or to a pod over the pods' bridge after a service's address was replaced by a pod's, ``input`` sees what a pod sends to
the node itself (the API among it). What the node sends to its pods passes neither, so probes always arrive.
"""

import ipaddress
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from cluster.api import Document
from cluster.layout import POD_LINK, POLICY_TABLE
from cluster.selectors import matches

__all__ = ["Pod", "pods_of", "render"]

Direction = Literal["ingress", "egress"]

_REFUSE: Final = "reject with icmpx type admin-prohibited"
_PROTOCOLS: Final = {"TCP": "tcp", "UDP": "udp", "SCTP": "sctp"}
_FAMILY: Final = {4: "ip", 6: "ip6"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Pod:
    """A pod with an address of its own."""

    namespace: str
    name: str
    address: str
    labels: Mapping[str, str]
    ports: Mapping[tuple[str, str], int]
    """(protocol, name) -> number."""


@dataclass(frozen=True, slots=True)
class _Peers:
    """The far side of a rule: addresses with exceptions, or everybody."""

    match: str
    """What nftables compares, with a blank at its end; empty for everybody."""
    pods: tuple[Pod, ...]
    """The pods meant, for ports by name; none for a block of addresses."""


def pods_of(documents: Iterable[Document], early: Mapping[tuple[str, str], str] | None = None) -> list[Pod]:
    """The pods that have an address and may use it.

    Args:
        documents: Pods as the API has them.
        early: (namespace, name) -> address, where it is known before the API knows it.
    """
    found: list[Pod] = []
    for document in documents:
        metadata, spec, status = document["metadata"], document["spec"], document.get("status", {})
        if spec.get("hostNetwork") or status.get("phase") in {"Succeeded", "Failed"}:
            continue
        key = str(metadata["namespace"]), str(metadata["name"])
        address = (early or {}).get(key) or status.get("podIP")
        if not address:
            continue
        ports = {
            (str(port.get("protocol", "TCP")), str(port["name"])): int(port["containerPort"])
            # An init container that is restarted for ever is a sidecar, with ports.
            for container in (*spec.get("containers", ()), *spec.get("initContainers", ()))
            for port in container.get("ports", ())
            if port.get("name")
        }
        labels: dict[str, str] = metadata.get("labels") or {}
        found.append(Pod(namespace=key[0], name=key[1], address=str(address), labels=labels, ports=ports))
    return sorted(found, key=lambda pod: (pod.namespace, pod.name))


def render(policies: Iterable[Document], pods: Sequence[Pod], namespaces: Mapping[str, Mapping[str, str]]) -> str:
    """The whole table, as commands that replace the present one in one step.

    Args:
        policies: NetworkPolicies of all namespaces.
        pods: Every pod with an address.
        namespaces: Name -> labels.
    """
    selecting: dict[Direction, dict[str, list[Document]]] = {"ingress": defaultdict(list), "egress": defaultdict(list)}
    for policy in sorted(policies, key=lambda p: (p["metadata"]["namespace"], p["metadata"]["name"])):
        for pod in pods:
            if pod.namespace == policy["metadata"]["namespace"] and matches(policy["spec"]["podSelector"], pod.labels):
                for direction in _directions(policy):
                    selecting[direction][pod.address].append(policy)
    chains: list[str] = []
    maps: list[str] = []
    for direction, selected in selecting.items():
        elements: list[str] = []
        for pod in pods:
            if pod.address not in selected:
                continue
            chain = f"{direction}_{pod.address.translate(_CHAIN_NAME)}"
            elements.append(f"{pod.address} : jump {chain}")
            rules = _rules(direction, pod, selected[pod.address], pods, namespaces)
            chains.append(_chain(chain, [f'comment "{pod.namespace}/{pod.name}"', *rules, _REFUSE]))
        content = f"  elements = {{ {', '.join(elements)} }}\n" if elements else ""
        maps.append(f" map {direction}_pods {{\n  type ipv4_addr : verdict\n{content} }}")
    accept = "ct state established,related accept"
    egress, ingress = "ip saddr vmap @egress_pods", "ip daddr vmap @ingress_pods"
    body = "\n".join(
        [
            *chains,
            *maps,
            _chain("forward", ["type filter hook forward priority -10; policy accept;", accept, egress, ingress]),
            _chain(
                "input",
                ["type filter hook input priority -10; policy accept;", accept, f'iifname "{POD_LINK}" {egress}'],
            ),
        ]
    )
    return (
        f"table inet {POLICY_TABLE} {{}}\ndelete table inet {POLICY_TABLE}\ntable inet {POLICY_TABLE} {{\n{body}\n}}\n"
    )


_CHAIN_NAME: Final = str.maketrans({".": "_", ":": "_"})


def _chain(name: str, lines: Iterable[str]) -> str:
    return f" chain {name} {{\n" + "".join(f"  {line}\n" for line in lines) + " }"


def _directions(policy: Document) -> list[Direction]:
    spec = policy["spec"]
    # The API fills the field in; its rule is repeated for objects that no API has seen.
    types = spec.get("policyTypes") or ["Ingress", *(["Egress"] if spec.get("egress") else [])]
    known: tuple[Direction, ...] = ("ingress", "egress")
    return [direction for direction in known if direction.capitalize() in types]


def _rules(
    direction: Direction,
    pod: Pod,
    policies: Iterable[Document],
    pods: Sequence[Pod],
    namespaces: Mapping[str, Mapping[str, str]],
) -> list[str]:
    """What may pass; policies add up, and each thing is said once."""
    side, far = ("saddr", "from") if direction == "ingress" else ("daddr", "to")
    rules: dict[str, None] = {}
    for policy in policies:
        for allowed in policy["spec"].get(direction) or ():
            for peers in _peers(side, policy["metadata"]["namespace"], allowed.get(far), pods, namespaces):
                for match in _with_ports(peers, pod if direction == "ingress" else None, allowed.get("ports")):
                    rules[f"{match}return"] = None
    return list(rules)


def _peers(
    side: str,
    namespace: str,
    peers: Sequence[Mapping[str, Any]] | None,
    pods: Sequence[Pod],
    namespaces: Mapping[str, Mapping[str, str]],
) -> list[_Peers]:
    if not peers:
        return [_Peers("", tuple(pods))]
    found: list[_Peers] = []
    chosen: dict[str, Pod] = {}
    for peer in peers:
        if block := peer.get("ipBlock"):
            found.append(_Peers(_block(side, block), ()))
            continue
        inside = _namespaces(peer, namespace, namespaces)
        for pod in pods:
            if pod.namespace in inside and matches(peer.get("podSelector") or {}, pod.labels):
                chosen[pod.address] = pod
    if chosen:
        found.append(_Peers(_pod_match(side, chosen.values()), tuple(chosen.values())))
    return found


def _pod_match(side: str, pods: Iterable[Pod]) -> str:
    return f"ip {side} {{ {', '.join(pod.address for pod in pods)} }} "


def _namespaces(peer: Mapping[str, Any], own: str, namespaces: Mapping[str, Mapping[str, str]]) -> set[str]:
    selector = peer.get("namespaceSelector")
    if selector is None:
        return {own}
    return {name for name, labels in namespaces.items() if matches(selector, labels)}


def _block(side: str, block: Mapping[str, Any]) -> str:
    network = ipaddress.ip_network(block["cidr"], strict=False)
    family = _FAMILY[network.version]
    # A prefix of length zero is every address of its family.
    match = f"{family} {side} {network} " if network.prefixlen else f"meta nfproto ipv{network.version} "
    excepted: list[str] = block.get("except") or []
    if excepted:
        match += f"{family} {side} != {{ {', '.join(_without_overlap(excepted))} }} "
    return match


def _without_overlap(blocks: Iterable[str]) -> list[str]:
    """A set of nftables refuses blocks that overlap."""
    networks = [ipaddress.ip_network(block, strict=False) for block in blocks]
    kept = [one for one in networks if not any(one != other and _inside(one, other) for other in networks)]
    return sorted({str(network) for network in kept})


def _inside(one: ipaddress.IPv4Network | ipaddress.IPv6Network, other: object) -> bool:
    if isinstance(one, ipaddress.IPv4Network):
        return isinstance(other, ipaddress.IPv4Network) and one.subnet_of(other)
    return isinstance(other, ipaddress.IPv6Network) and one.subnet_of(other)


def _with_ports(peers: _Peers, listener: Pod | None, ports: Sequence[Mapping[str, Any]] | None) -> list[str]:
    """The peers' match with each port added; ``listener`` is the pod that is sent to, unless the peers are."""
    if not ports:
        return [peers.match]
    found: list[str] = []
    for port in ports:
        kind = str(port.get("protocol", "TCP"))
        protocol, number = _PROTOCOLS[kind], port.get("port")
        if number is None:
            found.append(f"{peers.match}meta l4proto {protocol} ")
        elif isinstance(number, int):
            last = port.get("endPort")
            found.append(f"{peers.match}{protocol} dport {number if last is None else f'{number}-{last}'} ")
        elif listener is None:
            found += _named(peers.pods, (kind, number))
        elif (kind, number) in listener.ports:
            found.append(f"{peers.match}{protocol} dport {listener.ports[kind, number]} ")
    return found


def _named(pods: Iterable[Pod], port: tuple[str, str]) -> list[str]:
    """Each pod with the number that its own port of that name has."""
    by_number: dict[int, list[Pod]] = defaultdict(list)
    for pod in pods:
        if port in pod.ports:
            by_number[pod.ports[port]].append(pod)
    return [f"{_pod_match('daddr', group)}{_PROTOCOLS[port[0]]} dport {number} " for number, group in by_number.items()]
