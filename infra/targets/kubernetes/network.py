"""Names and ways: a Service for everything with ports, a NetworkPolicy for each pod, the ingress."""

from typing import Final

import pulumi
from pulumi_kubernetes.core import v1
from pulumi_kubernetes.networking import v1 as networking

from infra.targets.kubernetes import policies
from infra.targets.kubernetes.sizing import scale
from infra.targets.kubernetes.surroundings import SKIP_AWAIT, Surroundings
from infra.topology.model import Exposure, Port, Service, Sidecar, Workload
from infra.topology.settings import edge_host

__all__ = ["TLS_SECRET", "Edge", "Network"]

TLS_SECRET: Final = "gateway-tls"  # noqa: S105 # a name
"""Where the ingress's certificate is, made by cert-manager or put there by a person."""


class Network(pulumi.ComponentResource):
    """Is there before the first pod: its name is known to all, and it may do what it must and no more."""

    def __init__(self, around: Surroundings, *, opts: pulumi.ResourceOptions) -> None:
        super().__init__("compass:demo:Network", "network", None, opts)
        self._around = around
        for workload in around.topology.workloads:
            for member in workload.members:
                if isinstance(member, Service | Sidecar) and member.ports:
                    self._service(workload, member)
            if isinstance(workload, Service) and workload.peers and scale(workload, around.config).several:
                self._peers(workload)
        self._policies()
        self.register_outputs({"namespace": around.namespace})

    def _service(self, workload: Workload, member: Service | Sidecar) -> None:
        around = self._around
        v1.Service(
            f"network-{member.name}-service",
            metadata=around.metadata(member.name, around.labels.of(workload, member), SKIP_AWAIT),
            spec=v1.ServiceSpecArgs(
                type="ClusterIP",
                selector=around.labels.selector(workload.name),
                ports=_service_ports(member),
                # A helper that is not ready makes its whole pod so, and must not take the database away from everybody.
                publish_not_ready_addresses=True if len(workload.members) > 1 else None,
            ),
            opts=around.child(self),
        )

    def _peers(self, service: Service) -> None:
        """A name that stands for each single replica, also of those that are starting."""
        around = self._around
        v1.Service(
            f"network-{service.peers_name}-service",
            metadata=around.metadata(service.peers_name, around.labels.of(service), SKIP_AWAIT),
            spec=v1.ServiceSpecArgs(
                type="ClusterIP",
                cluster_ip="None",
                selector=around.labels.selector(service.name),
                ports=_service_ports(service),
                publish_not_ready_addresses=True,
            ),
            opts=around.child(self),
        )

    def _policies(self) -> None:
        around = self._around
        config = around.config
        everything = policies.traffic(around.topology, ingress=bool(config.ingress_host))
        specs = {
            "default-deny": policies.deny_all(),
            **{one.pod: policies.policy(one, around.labels) for one in everything},
            "clients": policies.clients_policy(everything, around.labels),
        }
        if config.ingress_host and config.ingress_issuer:
            specs["certificate-issuer"] = policies.issuer_policy()
        for name, spec in specs.items():
            networking.NetworkPolicy(
                f"network-{name}-policy",
                metadata=around.metadata(name, around.labels.of_stack()),
                spec=spec,
                opts=around.child(self),
            )


class Edge(pulumi.ComponentResource):
    """The ingress: TLS for every front of the gateway, each by a name of its own."""

    def __init__(self, around: Surroundings, *, opts: pulumi.ResourceOptions) -> None:
        super().__init__("compass:demo:Edge", "edge", None, opts)
        config = around.config
        ports = _edge_ports(around)
        hosts = [edge_host(config.ingress_host, port.name) for _, port in ports]
        issuer = {"cert-manager.io/cluster-issuer": config.ingress_issuer} if config.ingress_issuer else {}
        networking.Ingress(
            "edge-ingress",
            # Not every controller writes its address into the object, so nothing waits for one.
            metadata=around.metadata("gateway", around.labels.of_stack(), {**issuer, **SKIP_AWAIT}),
            spec=networking.IngressSpecArgs(
                ingress_class_name=config.ingress_class or None,
                tls=[networking.IngressTLSArgs(hosts=hosts, secret_name=TLS_SECRET)],
                rules=[
                    networking.IngressRuleArgs(
                        host=host,
                        http=networking.HTTPIngressRuleValueArgs(paths=[_path(service, port)]),
                    )
                    for host, (service, port) in zip(hosts, ports, strict=True)
                ],
            ),
            opts=around.child(self),
        )
        self.register_outputs({"hosts": hosts})


def _edge_ports(around: Surroundings) -> list[tuple[Service, Port]]:
    """What users of the demo may reach."""
    return [(service, port) for service, port in around.topology.published() if port.exposure is Exposure.EDGE]


def _service_ports(member: Service | Sidecar) -> list[v1.ServicePortArgs]:
    return [
        v1.ServicePortArgs(name=port.name, port=port.number, target_port=port.number, protocol="TCP")
        for port in member.ports
    ]


def _path(service: Service, port: Port) -> networking.HTTPIngressPathArgs:
    backend = networking.IngressServiceBackendArgs(
        name=service.name, port=networking.ServiceBackendPortArgs(number=port.number)
    )
    return networking.HTTPIngressPathArgs(
        path="/", path_type="Prefix", backend=networking.IngressBackendArgs(service=backend)
    )
