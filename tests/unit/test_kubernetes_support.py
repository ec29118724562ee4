"""What the Kubernetes target refuses, by the sentence that a person reads."""

from typing import Any

import pytest
from cluster_topology import CONFIG, IMAGE

from infra.errors import ConfigError
from infra.targets.base import UnsupportedSpec
from infra.targets.kubernetes.kube import KubeAccess
from infra.targets.kubernetes.support import require_supported
from infra.targets.kubernetes.target import KubernetesTarget, Plugin
from infra.topology.model import ExecProbe, File, Port, Service, Sidecar, Topology, Volume


def service(name: str = "one", **changes: Any) -> Service:
    fields: dict[str, Any] = {
        "image": IMAGE,
        "memory_mib": 1,
        "cpus": 1,
        "user": 1,
        "probe": ExecProbe(command=("ok",)),
    }
    return Service(name=name, **{**fields, **changes})


SHARED = Volume(name="shared", path="/shared", size_mib=1)
HTTP = Port(name="http", number=80)


@pytest.mark.parametrize(
    ("services", "sentence"),
    [
        (
            (service("a", volumes=(SHARED,)), service("b", volumes=(SHARED,))),
            "b: the volume shared is not possible on this target: it is in the pod of a, which may be on another node",
        ),
        (
            (
                service(
                    ports=(HTTP,),
                    sidecars=(Sidecar(name="two", image=IMAGE, ports=(HTTP,), memory_mib=1, cpus=1, user=1),),
                ),
            ),
            "port 80 is not possible on this target: containers of the pod one share one address",
        ),
        ((service(ports=(Port(name="a-very-long-name", number=80),)),), "the port name a-very-long-name"),
        ((service(volumes=(Volume(name="config", path="/c", size_mib=1),)),), "the name is the target's own"),
        ((service(files=(File(path="/etc/big", content="x" * 1_100_000),)),), "fit a ConfigMap"),
        ((service(files=(File(path="/etc/a b", content=""),)),), "one: the file /etc/a b is not possible"),
        (
            (service(files=(File(path="/a/b", content="1"), File(path="/a.b", content="2"))),),
            "the file /a.b is not possible on this target: another file has the same key",
        ),
        ((service("gateway"),), "gateway: several replicas is not possible on this target: it does not know of peers"),
    ],
)
def test_what_cannot_be_honoured_is_refused_by_name(services: tuple[Service, ...], sentence: str) -> None:
    config = CONFIG.model_copy(update={"gateway_replicas": 2})
    with pytest.raises(UnsupportedSpec) as raised:
        require_supported(Topology(workloads=services), config)
    assert sentence in str(raised.value)


@pytest.mark.parametrize("stack", ["Test", "a.b", "x" * 60])
def test_a_stack_whose_name_is_no_namespace_is_told_so(stack: str) -> None:
    with pytest.raises(ConfigError, match="set compass-demo:namespace"):
        KubernetesTarget(
            stack,
            CONFIG,
            KubeAccess(None, "test"),
            digests=lambda _: {},
            plugin=Plugin(version="1.2.3", kind="builtin"),
        )
