"""The drawing of a topology: what flows where, what is published, what is left out."""

from typing import Any

import pytest
from small_topology import BUILT, TOPOLOGY

from infra.topology.diagram import to_mermaid
from infra.topology.model import Endpoint, ExecProbe, Port, Service, Sidecar, Topology


def drawn(*services: Service) -> list[str]:
    return [line.strip() for line in to_mermaid(Topology(workloads=services)).splitlines()]


def service(name: str, *ports: str, to: tuple[str, ...] = (), **more: Any) -> Service:
    """``to`` are endpoints as ``service/port``."""
    return Service(
        name=name,
        image=BUILT,
        ports=tuple(Port(name=port, number=80 + number) for number, port in enumerate(ports)),
        probe=ExecProbe(command=("ready",)),
        memory_mib=1,
        cpus=1,
        user=1,
        connects=tuple(Endpoint(*one.split("/")) for one in to),
        **more,
    )


def edges(*services: Service) -> list[str]:
    return [line for line in drawn(*services) if "->" in line and "person" not in line]


def test_services_tasks_and_their_published_ports_are_nodes() -> None:
    lines = to_mermaid(TOPOLOGY).splitlines()
    assert lines[0] == "flowchart LR"
    assert '  db["db<br/>:15432"]' in lines
    assert '  schema["schema"]' in lines
    assert '  web[["web<br/>:18000, :18001"]]' in lines, "a port for the demo's users has a shape of its own"
    assert "metrics" not in to_mermaid(TOPOLOGY)


def test_a_helper_that_talks_to_nobody_is_left_out() -> None:
    assert "db-logs" not in to_mermaid(TOPOLOGY)


def test_a_sidecar_that_talks_gets_its_services_files() -> None:
    shipper = Sidecar(name="shipper", image=BUILT, memory_mib=1, cpus=1, user=1, connects=(Endpoint("loki", "http"),))
    lines = drawn(service("loki", "http"), service("db", sidecars=(shipper,)))
    assert 'shipper["shipper"]' in lines
    assert "db -- files --> shipper" in lines
    assert "shipper --> loki" in lines


def test_a_request_is_a_solid_arrow_from_who_asks_drawn_once() -> None:
    assert edges(service("db", "sql", "admin"), service("web", to=("db/sql", "db/admin"))) == ["web --> db"]


@pytest.mark.parametrize("reader", ["gateway", "grafana", "postgres-exporter"])
def test_what_a_reader_asks_for_flows_to_the_reader(reader: str) -> None:
    assert edges(service("db", "sql"), service(reader, to=("db/sql",))) == [f"db --> {reader}"]


def test_what_is_scraped_is_a_dotted_arrow_to_prometheus() -> None:
    services = service("web", "http"), service("prometheus", to=("web/http",))
    assert edges(*services) == ["web -.-> prometheus"]


def test_alerts_flow_from_prometheus_on() -> None:
    services = service("alertmanager", "http"), service("prometheus", to=("alertmanager/http",))
    assert edges(*services) == ["prometheus --> alertmanager"]


@pytest.mark.parametrize("store", ["loki", "jaeger", "tempo", "grafana", "mcp-grafana"])
def test_the_figures_of_the_telemetrys_own_programs_are_hidden(store: str) -> None:
    assert edges(service(store, "http"), service("prometheus", to=(f"{store}/http",))) == []


@pytest.mark.parametrize("asked", ["sample-app", "traffic", "postgres-exporter", "alertmanager"])
def test_the_gateways_questions_whether_somebody_is_ready_are_hidden(asked: str) -> None:
    assert edges(service(asked, "http"), service("gateway", to=(f"{asked}/http",))) == []


def test_a_connection_to_nowhere_is_refused() -> None:
    with pytest.raises(KeyError, match="nowhere"):
        drawn(service("web", to=("nowhere/http",)))
