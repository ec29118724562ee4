"""Who reaches whom: every pair of pods and every port, tried from inside the pods' own network namespaces."""

import json
import subprocess
import sys
from typing import Any

import pytest
from live_cluster import client, cluster_address, container_ports, first_process, pods
from live_stack import Stack

from infra.config import load_stack_config
from infra.program import make_topology
from infra.targets.kubernetes.objects import NAME, labels
from infra.topology.model import Service, Topology

pytestmark = pytest.mark.integration

TRY = """
import asyncio, json, sys

async def open_to(host, port):
    try:
        _, writer = await asyncio.wait_for(asyncio.open_connection(host, port), 2)
        writer.close()
        return True
    except (OSError, asyncio.TimeoutError):
        return False

async def main():
    targets = json.load(sys.stdin)
    print(json.dumps(await asyncio.gather(*(open_to(*target) for target in targets))))

asyncio.run(main())
"""


def reached(pod: dict[str, Any], targets: list[tuple[str, int]]) -> list[bool]:
    """Which of some addresses a pod can connect to."""
    command = ["nsenter", "--target", str(first_process(pod)), "--net", "--", sys.executable, "-c", TRY]
    answer = subprocess.run(
        command, input=json.dumps(targets), capture_output=True, text=True, check=True, timeout=60
    ).stdout
    return list(json.loads(answer))


@pytest.fixture(scope="module")
def topology(stack: Stack) -> Topology:
    return make_topology(stack.name, load_stack_config(stack.checkout, stack.name))


def drawn(topology: Topology) -> set[tuple[str, str, int]]:
    """Source, target and port of every connection that the topology draws; replicas may talk to each other."""
    pod_of = {
        member.name: workload.name
        for workload in topology.workloads
        for member in ((workload, *workload.sidecars) if isinstance(workload, Service) else (workload,))
    }
    return {
        (pod_of[container.name], pod_of[endpoint.service], topology.port(endpoint).number)
        for container in topology.containers()
        for endpoint in container.connects
    }


def test_exactly_the_drawn_paths_are_open(stack: Stack, topology: Topology) -> None:
    found = [pod for pod in pods(stack) if pod["status"]["phase"] == "Running"]
    ports = container_ports(found)
    assert sum(len(numbers) for numbers in ports.values()) >= 15
    wanted = drawn(topology)
    undrawn_open: list[str] = []
    drawn_closed: list[str] = []
    tried = 0
    for source in found:
        name = labels(source)[NAME]
        targets = [
            (labels(target)[NAME], str(target["status"]["podIP"]), port)
            for target in found
            if target is not source
            for port in sorted(ports[labels(target)[NAME]])
        ]
        answers = reached(source, [(address, port) for _, address, port in targets])
        tried += len(answers)
        for (target, _, port), is_open in zip(targets, answers, strict=True):
            path = f"{name} -> {target}:{port}"
            if is_open and (name, target, port) not in wanted:
                undrawn_open.append(path)
            if not is_open and (name, target, port) in wanted:
                drawn_closed.append(path)
    print(f"{tried} paths tried, {len(wanted)} of them drawn")
    assert undrawn_open == []
    assert drawn_closed == []


def test_services_are_judged_as_the_pods_behind_them(stack: Stack) -> None:
    traffic, prometheus = pods(stack, "traffic")[0], pods(stack, "prometheus")[0]
    app, database = cluster_address(stack, "sample-app"), cluster_address(stack, "postgres")
    assert reached(traffic, [(app, 8000), (database, 5432)]) == [True, False]
    assert reached(prometheus, [(database, 5432)]) == [False]


def test_no_pod_reaches_the_cluster_s_api_or_the_node(stack: Stack) -> None:
    server = client().server.removeprefix("https://").split(":")
    targets = [(server[0], int(server[1])), ("10.96.0.1", 443), ("10.250.0.1", 26250)]
    for pod in pods(stack):
        if pod["status"]["phase"] == "Running":
            assert reached(pod, targets) == [False] * len(targets), labels(pod)[NAME]


def test_the_way_of_trying_sees_an_open_port(stack: Stack) -> None:
    """Without this a broken probe would pass for closed doors."""
    gateway = pods(stack, "gateway")[0]
    own = str(gateway["status"]["podIP"])
    assert reached(gateway, [(own, 3000)]) == [True]
