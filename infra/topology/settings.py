"""COMPASS's connection settings: which endpoint each names, for the outputs, the ``.env`` file and the status page."""

from dataclasses import dataclass
from typing import Final

from infra.config import DemoConfig
from infra.topology import names
from infra.topology.model import Endpoint

__all__ = ["ConnectionSetting", "compass_settings", "edge_host"]

_USER: Final = "compass"


@dataclass(frozen=True, kw_only=True, slots=True)
class ConnectionSetting:
    """One environment variable that COMPASS reads."""

    name: str
    endpoint: Endpoint | None = None
    """Where it points; ``None`` for the token itself."""
    authenticated: bool = False
    """Whether the URL carries the token, because its client has no setting for one."""

    @property
    def secret(self) -> bool:
        """Whether the value holds the token."""
        return self.authenticated or self.endpoint is None

    def url(self, address: str, token: str, *, scheme: str = "http") -> str:
        """The value for an endpoint at ``host:port``."""
        if self.endpoint is None:
            return token
        return f"{scheme}://{_USER}:{token}@{address}" if self.authenticated else f"{scheme}://{address}"

    def url_for_people(self, config: DemoConfig, token: str) -> str:
        """The value outside of the demo: below the ingress's host if it is at the edge and there is one, else local."""
        if self.endpoint is None:
            return token
        if config.ingress_host and self.endpoint.service == names.GATEWAY.service:
            return self.url(edge_host(config.ingress_host, self.endpoint.port), token, scheme="https")
        return self.url(f"127.0.0.1:{config.host_port(_HOST_PORTS[self.endpoint])}", token)


_HOST_PORTS: Final = {
    names.GATEWAY: "grafana_port",
    names.GATEWAY_TRACES: "traces_port",
    names.GATEWAY_LOKI: "loki_port",
    names.GATEWAY_PROMETHEUS: "prometheus_port",
    names.COLLECTOR_HTTP: "otlp_http_port",
    names.COLLECTOR_GRPC: "otlp_grpc_port",
    names.SAMPLE_APP: "app_port",
}


def edge_host(ingress_host: str, port: str) -> str:
    """The name of a port at the edge on an ingress: each is a host of its own, since agents put paths behind it."""
    return f"{port}.{ingress_host}"


def compass_settings() -> tuple[ConnectionSetting, ...]:
    """Every setting, in the order of COMPASS's own example file; the last one is for people."""

    def front(name: str, endpoint: Endpoint) -> ConnectionSetting:
        return ConnectionSetting(name=name, endpoint=endpoint, authenticated=True)

    return (
        ConnectionSetting(name="GRAFANA_URL", endpoint=names.GATEWAY),
        ConnectionSetting(name="GRAFANA_TOKEN"),
        ConnectionSetting(name="GRAFANA_SERVICE_ACCOUNT_TOKEN"),
        ConnectionSetting(name="GRAFANA_UI_URL", endpoint=names.GATEWAY),
        front("TEMPO_URL", names.GATEWAY_TRACES),
        front("TEMPO_MCP_URL", names.GATEWAY_TRACES),
        front("LOKI_URL", names.GATEWAY_LOKI),
        front("LOKI_QUERY_URL", names.GATEWAY_LOKI),
        front("PROMETHEUS_URL", names.GATEWAY_PROMETHEUS),
        # There is no Mimir: an agent that asks for it gets Prometheus.
        front("MIMIR_URL", names.GATEWAY_PROMETHEUS),
        ConnectionSetting(name="OTLP_HTTP_ENDPOINT", endpoint=names.COLLECTOR_HTTP),
        ConnectionSetting(name="OTLP_GRPC_ENDPOINT", endpoint=names.COLLECTOR_GRPC),
        ConnectionSetting(name="SAMPLE_APP_URL", endpoint=names.SAMPLE_APP),
    )
