"""Each rule of the validator, each by the sentence that a person reads."""

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from infra.topology.model import (
    Endpoint,
    ExecProbe,
    Exposure,
    HttpProbe,
    Image,
    Port,
    Scratch,
    Service,
    Sidecar,
    Task,
    Topology,
    Volume,
)
from infra.topology.validate import TopologyError, validate

IMAGE = Image(repository="example/app", version="1.2.3")
PROBE = ExecProbe(command=("true",))


def service(name: str = "web", **changes: Any) -> Service:
    fields: dict[str, Any] = {"image": IMAGE, "memory_mib": 64, "cpus": 1, "user": 1000, "probe": PROBE}
    return Service(name=name, **{**fields, **changes})


def task(name: str = "job", **changes: Any) -> Task:
    fields: dict[str, Any] = {"image": IMAGE, "memory_mib": 64, "cpus": 1, "user": 1000}
    return Task(name=name, **{**fields, **changes})


def sidecar(name: str = "helper", **changes: Any) -> Sidecar:
    fields: dict[str, Any] = {"image": IMAGE, "memory_mib": 64, "cpus": 1, "user": 1000}
    return Sidecar(name=name, **{**fields, **changes})


def published(number: int, host_port: int, key: str | None = None) -> Port:
    return Port(name="http", number=number, exposure=Exposure.HOST, host_port=host_port, host_port_key=key)


HTTP = Port(name="http", number=80)
LOGS = Volume(name="logs", path="/logs", size_mib=1)

FAULTS: dict[str, tuple[Callable[[], tuple[Any, ...]], str]] = {
    "unknown need": (lambda: (service(needs=("db",)),), "web: needs db, which does not exist"),
    "own probe of an unknown port": (
        lambda: (service(ports=(HTTP,), own_probe=HttpProbe(port="other", path="/")),),
        "web: its probe asks the port other, which it does not have",
    ),
    "a secret of the gateway's": (
        lambda: (service(ports=(HTTP,), probe=HttpProbe(port="http", path="/"), known_to_agents=False),),
        "web: agents must not know of it, so its probe must be a command",
    ),
    "a secret at the edge": (
        lambda: (
            service(ports=(dataclasses.replace(HTTP, exposure=Exposure.EDGE, host_port=8080),), known_to_agents=False),
        ),
        "web/http: agents must not know of it, so it may not be at the edge",
    ),
    "cycle": (
        lambda: (service("a", needs=("b",)), service("b", needs=("c",)), service("c", needs=("a",))),
        "needs itself",
    ),
    "one host port twice": (
        lambda: (service("a", ports=(published(80, 8080),)), service("b", ports=(published(81, 8080, "bPort"),))),
        "b/http: host port 8080 is also wanted by a/http (move one with bPort)",
    ),
    "floating version": (
        lambda: (service(image=Image(repository="example/app", version="latest")),),
        "web: image example/app:latest is not pinned to an exact version",
    ),
    "no version": (
        lambda: (service(image=Image(repository="example/app", version="")),),
        "web: image example/app: is not pinned to an exact version",
    ),
    "no probe": (lambda: (service(probe=None),), "web: needs a probe"),
    "no memory limit": (lambda: (service(memory_mib=0),), "web: needs a memory and a CPU limit"),
    "no CPU limit": (lambda: (task(cpus=0),), "job: needs a memory and a CPU limit"),
    "root": (lambda: (service(user=0),), "web: must run as a numeric user other than root"),
    "injected variable": (
        lambda: (service("loki"), service("web", env={"LOKI_PORT": "3100"})),
        "web: LOKI_PORT collides with what clusters inject for loki",
    ),
    "injected variable of a name with a hyphen": (
        lambda: (service("my-app"), service("web", env={"MY_APP_SERVICE_HOST": "x"})),
        "web: MY_APP_SERVICE_HOST collides with what clusters inject for my-app",
    ),
    "same name twice": (lambda: (service("a"), task("a")), "a: 2 workloads have this name"),
    "not a DNS name": (lambda: (service("Web_1"),), "Web_1: not a DNS name"),
    "connects to nothing": (
        lambda: (service(connects=(Endpoint("db", "sql"),)),),
        "web: connects to db/sql, which does not exist",
    ),
    "address without a connection": (
        lambda: (service("a", ports=(HTTP,)), service("b", env={"A": Endpoint("a", "http")})),
        "b: A names a/http, which it does not connect to",
    ),
    "probe of a missing port": (
        lambda: (service(probe=HttpProbe(port="http", path="/")),),
        "web: its probe asks the port http, which it does not have",
    ),
    "internal port with a host port": (
        lambda: (service(ports=(Port(name="http", number=80, host_port=8080),)),),
        "web/http: a port has a host port exactly when it is not internal",
    ),
    "published port without a host port": (
        lambda: (service(ports=(Port(name="http", number=80, exposure=Exposure.EDGE),)),),
        "web/http: a port has a host port exactly when it is not internal",
    ),
    "one port twice": (
        lambda: (service(ports=(HTTP, Port(name="other", number=80))),),
        "web: port 80 is listed 2 times",
    ),
    "one path twice": (
        lambda: (service(volumes=(LOGS,), scratch=(Scratch(path="/logs", size_mib=1),)),),
        "web: /logs is mounted 2 times",
    ),
    "a stranger's volume": (
        lambda: (service("a", volumes=(LOGS,)), service("b", volumes=(LOGS,))),
        "b: volume logs belongs to a; only its sidecars may share it",
    ),
    "a volume of two sizes": (
        lambda: (service(volumes=(LOGS,), sidecars=(sidecar(volumes=(dataclasses.replace(LOGS, size_mib=2),)),)),),
        "helper: volume logs has two sizes",
    ),
}


@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_a_fault_is_named_in_one_sentence(fault: str) -> None:
    make, sentence = FAULTS[fault]
    with pytest.raises(TopologyError) as raised:
        validate(Topology(workloads=make()))
    assert [one for one in raised.value.faults if sentence in one], raised.value.faults


def test_every_fault_is_reported_at_once() -> None:
    with pytest.raises(TopologyError) as raised:
        validate(Topology(workloads=(service(probe=None, user=0, needs=("db",)),)))
    assert len(raised.value.faults) == 3


def test_a_sidecar_may_share_its_services_volume_and_go_without_a_probe() -> None:
    topology = Topology(workloads=(service(volumes=(LOGS,), sidecars=(sidecar(volumes=(LOGS,)),)),))
    assert validate(topology) is topology


def test_connections_may_be_cyclic() -> None:
    a = service("a", ports=(HTTP,), connects=(Endpoint("b", "http"),))
    b = service("b", ports=(HTTP,), connects=(Endpoint("a", "http"),))
    validate(Topology(workloads=(a, b)))


def test_a_need_of_a_task_is_allowed() -> None:
    validate(Topology(workloads=(service(needs=("job",)), task())))


def test_an_environment_variable_that_only_resembles_an_injected_one_is_allowed() -> None:
    validate(Topology(workloads=(service("postgres", env={"POSTGRES_PASSWORD_FILE": "/x", "POSTGRES_PORTS": "1"}),)))
