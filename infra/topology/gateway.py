"""The agents' front door; its configuration is derived from the rest of the topology."""

from typing import Any

import yaml

from infra.config import TargetKind
from infra.topology import names
from infra.topology.model import (
    Endpoint,
    ExecProbe,
    Exposure,
    File,
    HttpProbe,
    Port,
    Scratch,
    Service,
    Task,
    Workload,
)
from infra.topology.payments import DRAIN_SECONDS
from infra.topology.settings import compass_settings
from infra.topology.site import Site, secret_file

__all__ = ["gateway"]

OWN_USER = 10001
_INTERNAL_PORT = 8090
_PUBLISHED = {
    # port name -> (number, configuration field, key)
    names.GATEWAY.port: (3000, "grafana_port", "grafanaPort"),
    names.GATEWAY_TRACES.port: (3200, "traces_port", "tracesPort"),
    names.GATEWAY_LOKI.port: (3100, "loki_port", "lokiPort"),
    names.GATEWAY_PROMETHEUS.port: (9090, "prometheus_port", "prometheusPort"),
}


def gateway(site: Site, others: tuple[Workload, ...]) -> Service:
    """The gateway in front of ``others``, whose health is the health of the stack as agents know it."""
    backends = (
        names.PROMETHEUS,
        names.LOKI,
        names.ALERTMANAGER,
        *((names.TEMPO, names.GRAFANA, names.MCP_GRAFANA) if site.upstream else (names.JAEGER,)),
    )
    probed = _probes(others)
    asked = tuple(endpoint for endpoint, _ in probed.values() if endpoint)
    several = site.most_gateways > 1
    return Service(
        name=names.GATEWAY.service,
        image=site.images["gateway"],
        command=("gateway", "--config", "/etc/gateway/gateway.yaml"),
        files=(
            File(path="/etc/gateway/gateway.yaml", content=_configuration(site, others, probed)),
            secret_file(names.GATEWAY_TOKEN),
            secret_file(names.GATEWAY_OPERATORS_TOKEN),
        ),
        scratch=(Scratch(path="/tmp", size_mib=16),),  # noqa: S108
        ports=(
            *(
                Port(
                    name=name,
                    number=number,
                    exposure=Exposure.EDGE,
                    host_port=site.config.host_port(field),
                    host_port_key=key,
                )
                for name, (number, field, key) in _PUBLISHED.items()
            ),
            Port(name=names.GATEWAY_INTERNAL.port, number=_INTERNAL_PORT),
        ),
        probe=ExecProbe(command=("python", "-m", "gateway.healthcheck"), deadline_seconds=120),
        own_probe=HttpProbe(port=names.GATEWAY_INTERNAL.port, path="/ready"),
        memory_mib=192,
        cpus=1,
        user=OWN_USER,
        # Not the services that it asks about: it starts beside them, and its deadline when no task is left.
        needs=tuple(workload.name for workload in others if isinstance(workload, Task)),
        connects=tuple(
            dict.fromkeys((*backends, *asked, names.COLLECTOR_HTTP, *((names.GATEWAY_INTERNAL,) if several else ())))
        ),
        stop_grace_seconds=10 + (DRAIN_SECONDS if several else 0),
        peers=True,
    )


def _probes(others: tuple[Workload, ...]) -> dict[str, tuple[Endpoint | None, str]]:
    """Service or sidecar -> the endpoint and path to ask; no endpoint where the container checks itself.

    Agents can read it, so what they may not know of is left out: its own check is all that it has.
    """
    probes: dict[str, tuple[Endpoint | None, str]] = {}
    for workload in others:
        if not isinstance(workload, Service) or not workload.known_to_agents:
            continue
        for member in workload.members:
            match member.probe:
                case HttpProbe(port=port, path=path):
                    probes[member.name] = (Endpoint(member.name, port), path)
                case ExecProbe():
                    probes[member.name] = (None, "")
                case None:
                    pass
    return probes


def _of_several() -> dict[str, Any]:
    """What a replica has to know that is not alone."""
    return {
        "limits": {"drain_seconds": DRAIN_SECONDS},
        "alerts": {"peers": [f"gateway-peers:{_INTERNAL_PORT}"]},
    }


def _configuration(site: Site, others: tuple[Workload, ...], probes: dict[str, tuple[Endpoint | None, str]]) -> str:
    numbers = {
        Endpoint(member.name, port.name): port.number
        for workload in others
        if isinstance(workload, Service)
        for member in workload.members
        for port in member.ports
    }

    def url(endpoint: Endpoint, path: str = "") -> str:
        return f"http://{endpoint.service}:{numbers[endpoint]}{path}"

    traces: dict[str, Any] = (
        {"kind": "tempo", "url": url(names.TEMPO)} if site.upstream else {"kind": "jaeger", "url": url(names.JAEGER)}
    )
    document: dict[str, Any] = {
        "stack": site.stack,
        "distribution": str(site.config.distribution),
        "authentication": {
            "mode": str(site.config.gateway_authentication),
            "token_file": f"/run/secrets/{names.GATEWAY_TOKEN}",
            "operators_token_file": f"/run/secrets/{names.GATEWAY_OPERATORS_TOKEN}",
        },
        "backends": {
            "prometheus": {"url": url(names.PROMETHEUS)},
            "loki": {"url": url(names.LOKI)},
            "traces": traces,
            "alertmanager": {"url": url(names.ALERTMANAGER)},
            **(
                {"grafana": {"url": url(names.GRAFANA)}, "mcp_grafana": {"url": url(names.MCP_GRAFANA)}}
                if site.upstream
                else {}
            ),
        },
        "probes": [
            {"service": service, "url": url(endpoint, path) if endpoint else None}
            for service, (endpoint, path) in sorted(probes.items())
        ],
        **_browsers(site),
        **(_of_several() if site.most_gateways > 1 else {}),
        "telemetry": {"otlp_endpoint": url(names.COLLECTOR_HTTP, "/v1/traces")},
        "status_page": {
            "settings": [
                {"name": setting.name, "value": setting.url_for_people(site.config, "{token}")}
                for setting in compass_settings()
            ],
        },
    }
    return yaml.safe_dump(document, sort_keys=False, width=120)


def _browsers(site: Site) -> dict[str, Any]:
    """Who browsers ask for and how they log in, where it is not the default.

    On a cluster, where people come through an ingress, it is a page of ours; elsewhere the browser's own dialogue.
    """
    if site.config.target is not TargetKind.KUBERNETES:
        return {}
    host = site.config.ingress_host
    hosts = {"allowed_hosts": ["localhost", "127.0.0.1", "[::1]", "gateway", f"*.{host}"]} if host else {}
    return {"browsers": {"login_page": True, **hosts}}
