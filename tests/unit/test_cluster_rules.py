"""NetworkPolicies as nftables rules: compared as text, and shown to the real nft where there is one."""

import re
import shutil
import subprocess
from typing import Any

import pytest

from cluster.layout import POLICY_TABLE
from cluster.rules import Pod, pods_of, render
from cluster.selectors import matches

NAMESPACES = {
    "shop": {"team": "a"},
    "other": {"team": "b"},
    "kube-system": {"kubernetes.io/metadata.name": "kube-system"},
}


def pod(name: str, address: str, namespace: str = "shop", **ports: int) -> Pod:
    return Pod(
        namespace=namespace,
        name=name,
        address=address,
        labels={"app": name},
        ports={("TCP", key): number for key, number in ports.items()},
    )


WEB, DATABASE, CLIENT = pod("web", "10.0.0.1", http=8080), pod("db", "10.0.0.2"), pod("client", "10.0.0.3", "other")
DNS = pod("dns", "10.0.0.4", "kube-system")
PODS = [WEB, DATABASE, CLIENT, DNS]


def policy(name: str = "p", selector: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    return {"metadata": {"namespace": "shop", "name": name}, "spec": {"podSelector": selector or {}, **spec}}


def chain(text: str, name: str) -> list[str]:
    """The rules of a chain, without its comment."""
    found = re.search(rf" chain {name} {{\n(.*?)\n }}", text, re.DOTALL)
    assert found, f"no chain {name} in {text}"
    return [line.strip() for line in found[1].splitlines() if "comment" not in line]


REFUSED = "reject with icmpx type admin-prohibited"


def test_without_policies_nothing_is_refused() -> None:
    text = render([], PODS, NAMESPACES)
    assert "reject" not in text
    assert "elements" not in text


def test_the_table_is_replaced_in_one_transaction() -> None:
    lines = render([], PODS, NAMESPACES).splitlines()
    assert lines[:3] == [
        f"table inet {POLICY_TABLE} {{}}",
        f"delete table inet {POLICY_TABLE}",
        f"table inet {POLICY_TABLE} {{",
    ]


def test_a_selected_pod_is_closed_in_the_named_directions_only() -> None:
    text = render([policy(selector={"matchLabels": {"app": "db"}}, policyTypes=["Ingress"])], PODS, NAMESPACES)
    assert chain(text, "ingress_10_0_0_2") == [REFUSED]
    assert "10.0.0.2 : jump ingress_10_0_0_2" in text
    assert "egress_10_0_0_2" not in text
    assert "ingress_10_0_0_1" not in text


def test_policies_of_a_namespace_select_no_pods_of_another() -> None:
    text = render([policy(policyTypes=["Ingress", "Egress"])], PODS, NAMESPACES)
    assert "10.0.0.1 : jump" in text
    assert "10.0.0.3 : jump" not in text


def test_policies_add_up_and_say_each_thing_once() -> None:
    allow = {"from": [{"podSelector": {"matchLabels": {"app": "web"}}}], "ports": [{"port": 5432}]}
    other = {"from": [{"podSelector": {"matchLabels": {"app": "db"}}}]}
    policies = [
        policy("a", policyTypes=["Ingress"], ingress=[allow]),
        policy("b", policyTypes=["Ingress"], ingress=[allow, other]),
    ]
    assert chain(render(policies, PODS, NAMESPACES), "ingress_10_0_0_2") == [
        "ip saddr { 10.0.0.1 } tcp dport 5432 return",
        "ip saddr { 10.0.0.2 } return",
        REFUSED,
    ]


def test_missing_peers_mean_everybody_and_missing_ports_mean_all() -> None:
    text = render([policy(policyTypes=["Ingress"], ingress=[{}])], PODS, NAMESPACES)
    assert chain(text, "ingress_10_0_0_1") == ["return", REFUSED]


def test_peers_that_match_no_pod_allow_nothing() -> None:
    allow = {"from": [{"podSelector": {"matchLabels": {"app": "nobody"}}}]}
    text = render([policy(policyTypes=["Ingress"], ingress=[allow])], PODS, NAMESPACES)
    assert chain(text, "ingress_10_0_0_1") == [REFUSED]


@pytest.mark.parametrize(
    ("peer", "expected"),
    [
        ({"podSelector": {}}, "{ 10.0.0.1, 10.0.0.2 }"),
        ({"namespaceSelector": {"matchLabels": {"team": "b"}}}, "{ 10.0.0.3 }"),
        ({"namespaceSelector": {}}, "{ 10.0.0.1, 10.0.0.2, 10.0.0.3, 10.0.0.4 }"),
        (
            {
                "namespaceSelector": {},
                "podSelector": {"matchExpressions": [{"key": "app", "operator": "In", "values": ["web", "client"]}]},
            },
            "{ 10.0.0.1, 10.0.0.3 }",
        ),
    ],
)
def test_selectors_of_peers(peer: dict[str, Any], expected: str) -> None:
    text = render([policy(policyTypes=["Egress"], egress=[{"to": [peer]}])], PODS, NAMESPACES)
    assert chain(text, "egress_10_0_0_1")[0] == f"ip daddr {expected} return"


@pytest.mark.parametrize(
    ("port", "expected"),
    [
        ({"port": 53, "protocol": "UDP"}, "udp dport 53 "),
        ({"port": 8000, "endPort": 8010}, "tcp dport 8000-8010 "),
        ({"protocol": "UDP"}, "meta l4proto udp "),
    ],
)
def test_ports(port: dict[str, Any], expected: str) -> None:
    text = render([policy(policyTypes=["Egress"], egress=[{"ports": [port]}])], PODS, NAMESPACES)
    assert chain(text, "egress_10_0_0_1")[0] == f"{expected}return"


def test_a_port_by_name_is_what_the_pod_that_is_sent_to_calls_so() -> None:
    named = [{"port": "http"}]
    policies = [
        policy("in", {"matchLabels": {"app": "web"}}, policyTypes=["Ingress"], ingress=[{"ports": named}]),
        policy("out", {"matchLabels": {"app": "db"}}, policyTypes=["Egress"], egress=[{"ports": named}]),
        policy("none", {"matchLabels": {"app": "db"}}, policyTypes=["Ingress"], ingress=[{"ports": named}]),
    ]
    text = render(policies, PODS, NAMESPACES)
    assert chain(text, "ingress_10_0_0_1") == ["tcp dport 8080 return", REFUSED]
    assert chain(text, "egress_10_0_0_2") == ["ip daddr { 10.0.0.1 } tcp dport 8080 return", REFUSED]
    assert chain(text, "ingress_10_0_0_2") == [REFUSED], "the pod has no port of that name"


def test_blocks_of_addresses_with_exceptions() -> None:
    block = {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16", "10.1.2.0/24", "10.9.0.0/16"]}
    everything = {"ipBlock": {"cidr": "0.0.0.0/0"}}
    text = render(
        [policy(policyTypes=["Egress"], egress=[{"to": [{"ipBlock": block}]}, {"to": [everything]}])], PODS, NAMESPACES
    )
    assert chain(text, "egress_10_0_0_1") == [
        "ip daddr 10.0.0.0/8 ip daddr != { 10.1.0.0/16, 10.9.0.0/16 } return",
        "meta nfproto ipv4 return",
        REFUSED,
    ]


def test_what_a_pod_sends_to_the_node_is_judged_too_but_not_what_the_node_sends_to_pods() -> None:
    text = render([policy(policyTypes=["Egress"])], PODS, NAMESPACES)
    assert "hook output" not in text
    assert chain(text, "input")[-1] == 'iifname "cdlab-pods" ip saddr vmap @egress_pods'


def test_pods_without_an_address_of_their_own_are_left_out() -> None:
    def document(name: str, *, host: bool = False, **status: str) -> dict[str, Any]:
        spec = {"containers": [{"ports": [{"name": "web", "containerPort": 80}]}], "hostNetwork": host}
        return {"metadata": {"namespace": "n", "name": name}, "spec": spec, "status": status}

    found = pods_of(
        [
            document("runs", podIP="10.0.0.1", phase="Running"),
            document("ended", podIP="10.0.0.2", phase="Succeeded"),
            document("host", host=True, podIP="10.250.0.1", phase="Running"),
            document("waits", phase="Pending"),
            document("early", phase="Pending"),
        ],
        {("n", "early"): "10.0.0.9"},
    )
    assert [(one.name, one.address) for one in found] == [("early", "10.0.0.9"), ("runs", "10.0.0.1")]
    assert found[0].ports == {("TCP", "web"): 80}


@pytest.mark.parametrize(
    ("operator", "values", "expected"),
    [("In", ["a", "b"], True), ("In", ["b"], False), ("NotIn", ["b"], True), ("NotIn", ["a"], False)],
)
def test_expressions_with_values(operator: str, values: list[str], expected: bool) -> None:
    selector = {"matchExpressions": [{"key": "k", "operator": operator, "values": values}]}
    assert matches(selector, {"k": "a"}) is expected


def test_expressions_over_a_missing_label() -> None:
    def expression(operator: str, **more: Any) -> dict[str, Any]:
        return {"matchExpressions": [{"key": "k", "operator": operator, **more}]}

    assert matches(expression("DoesNotExist"), {})
    assert not matches(expression("Exists"), {})
    assert matches(expression("NotIn", values=["a"]), {})
    with pytest.raises(ValueError, match="no selector operator 'Gt'"):
        matches(expression("Gt"), {})


@pytest.mark.skipif(shutil.which("nft") is None, reason="needs nft")
def test_nft_accepts_all_of_it() -> None:
    peers: list[dict[str, Any]] = [
        {"podSelector": {}},
        {"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}},
        {"ipBlock": {"cidr": "0.0.0.0/0"}},
    ]
    ports = [{"port": 53, "protocol": "UDP"}, {"port": 80, "endPort": 90}, {"protocol": "SCTP"}, {"port": "http"}]
    rules: dict[str, Any] = {
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [{"from": peers, "ports": ports}, {}],
        "egress": [{"to": peers, "ports": ports}, {}],
    }
    text = render([policy(**rules)], PODS, NAMESPACES)
    result = subprocess.run(["nft", "--check", "-f", "-"], input=text, capture_output=True, text=True, check=False)
    if "Operation not permitted" in result.stderr:
        pytest.skip("nft may not be asked here")
    assert result.returncode == 0, result.stderr
