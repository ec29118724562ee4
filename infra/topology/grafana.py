"""Grafana and its own MCP server; only official images exist of them."""

from infra.topology import names
from infra.topology.model import HttpProbe, Port, Scratch, Service, Volume
from infra.topology.site import Site, secret_file

__all__ = ["grafana", "mcp_grafana"]


def grafana(site: Site) -> Service:
    """Dashboards, provisioned from files; reached through the gateway alone, which says who asks."""
    return Service(
        name=names.GRAFANA.service,
        image=site.images["grafana"],
        files=(
            site.file("/etc/grafana/grafana.ini", "grafana/grafana.ini"),
            *site.folder("/etc/grafana/provisioning", "grafana/provisioning"),
            *site.folder("/etc/grafana/dashboards", "grafana/dashboards"),
        ),
        volumes=(Volume(name="grafana", path="/var/lib/grafana", size_mib=512),),
        scratch=(Scratch(path="/tmp", size_mib=64),),  # noqa: S108
        ports=(Port(name=names.GRAFANA.port, number=3000),),
        probe=HttpProbe(port=names.GRAFANA.port, path="/api/health", deadline_seconds=120),
        memory_mib=768,
        cpus=1,
        user=472,
        connects=(names.PROMETHEUS, names.LOKI, names.TEMPO, names.ALERTMANAGER),
    )


def mcp_grafana(site: Site) -> Service:
    """Grafana for agents that speak MCP; it asks Grafana through the gateway, which says who asks."""
    return Service(
        name=names.MCP_GRAFANA.service,
        image=site.images["mcp-grafana"],
        command=(
            "-t",
            "streamable-http",
            "--address",
            "0.0.0.0:8000",
            "--disable-write",
            "--metrics",
            "--allowed-hosts",
            "mcp-grafana:8000",
        ),
        env={
            "GRAFANA_URL": "http://gateway:3000",
            "GRAFANA_SERVICE_ACCOUNT_TOKEN_FILE": f"/run/secrets/{names.GATEWAY_TOKEN}",
        },
        files=(secret_file(names.GATEWAY_TOKEN),),
        ports=(Port(name=names.MCP_GRAFANA.port, number=8000),),
        probe=HttpProbe(port=names.MCP_GRAFANA.port, path="/healthz"),
        memory_mib=256,
        cpus=0.5,
        user=1000,
        connects=(names.GATEWAY,),
    )
