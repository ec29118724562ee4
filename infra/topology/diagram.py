"""The topology as a Mermaid flow chart, drawn from ``connects``."""

from typing import Final

from infra.topology.model import Container, Exposure, Service, Topology

__all__ = ["to_mermaid"]

_READERS: Final = frozenset({"prometheus", "gateway", "grafana", "postgres-exporter"})
"""They ask others for data, so the data flows against the connection."""


def to_mermaid(topology: Topology) -> str:
    """A flow chart of the data: solid arrows carry requests, rows, logs and traces, dotted ones what is scraped.

    Readiness questions are left out, and so are the figures that the telemetry's own programs export.
    """
    containers = [container for container in topology.containers() if _drawn(container)]
    lines = ["flowchart LR", *(f"  {_node(topology, container)}" for container in containers)]
    for container in containers:
        lines.extend(f"  {edge}" for edge in dict.fromkeys(_edges(topology, container)))
    lines.append("  gateway --> person((you, COMPASS))")
    return "\n".join(lines) + "\n"


def _drawn(container: Container) -> bool:
    """A helper that talks to nobody is an inside matter of its service."""
    return isinstance(container, Service) or bool(container.connects)


def _node(topology: Topology, container: Container) -> str:
    published = [port for service, port in topology.published() if service.name == container.name]
    label = "<br/>".join(
        [container.name, *([", ".join(f":{port.host_port}" for port in published)] if published else [])]
    )
    shape = "[[{}]]" if any(port.exposure is Exposure.EDGE for port in published) else "[{}]"
    return container.name + shape.format(f'"{label}"')


def _edges(topology: Topology, container: Container) -> list[str]:
    edges: list[str] = []
    for endpoint in container.connects:
        port = topology.port(endpoint)
        if container.name == "prometheus" and endpoint.service != "alertmanager":
            if port.name in {"http", "internal"} or endpoint.service == "postgres-exporter":
                edges.append(f"{endpoint.service} -.-> prometheus")
        elif container.name in _READERS and port.name in {"http", "sql"} and endpoint.service != "alertmanager":
            edges.append(f"{endpoint.service} --> {container.name}")
        elif container.name not in _READERS or endpoint.service == "alertmanager":
            edges.append(f"{container.name} --> {endpoint.service}")
    sidecars = container.sidecars if isinstance(container, Service) else ()
    edges.extend(f"{container.name} -- files --> {sidecar.name}" for sidecar in sidecars if _drawn(sidecar))
    return [edge for edge in edges if not _hidden(edge)]


def _hidden(edge: str) -> bool:
    """Questions whether a service is ready, and the stores' figures about themselves."""
    ready = [f"{name} --> gateway" for name in ("sample-app", "traffic", "postgres-exporter")]
    own = [f"{name} -.-> prometheus" for name in ("loki", "jaeger", "tempo", "gateway", "grafana", "mcp-grafana")]
    return edge in {*ready, *own, "gateway --> alertmanager"}
