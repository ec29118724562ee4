"""The whole demo, service by service."""

from infra.topology.gateway import gateway
from infra.topology.grafana import grafana, mcp_grafana
from infra.topology.incidents import incident_runner
from infra.topology.metrics import alertmanager, postgres_exporter, prometheus
from infra.topology.model import Topology, Workload
from infra.topology.payments import sample_app, traffic
from infra.topology.postgres import database_task, postgres
from infra.topology.site import Site
from infra.topology.telemetry import collector, jaeger, loki, tempo
from infra.topology.validate import validate

__all__ = ["demo_topology"]


def demo_topology(site: Site) -> Topology:
    """The validated topology of a stack.

    Raises:
        TopologyError: the configuration asks for something that contradicts itself, such as one port twice.
    """
    stores: tuple[Workload, ...] = (
        (loki(site), tempo(site), grafana(site), mcp_grafana(site)) if site.upstream else (loki(site), jaeger(site))
    )
    others: tuple[Workload, ...] = (
        postgres(site),
        database_task(site),
        sample_app(site),
        traffic(site),
        postgres_exporter(site),
        *stores,
        collector(site),
        prometheus(site),
        alertmanager(site),
        incident_runner(site),
    )
    return validate(Topology(workloads=(*others, gateway(site, others))))
