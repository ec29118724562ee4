"""The ports that services reach each other by; names that peers may use before the peer exists."""

from typing import Final

from infra.topology.model import Endpoint

POSTGRES: Final = Endpoint("postgres", "sql")
POSTGRES_EXPORTER: Final = Endpoint("postgres-exporter", "metrics")
POSTGRES_LOGS_METRICS: Final = Endpoint("postgres-logs", "metrics")
SAMPLE_APP: Final = Endpoint("sample-app", "http")
SAMPLE_APP_ADMIN: Final = Endpoint("sample-app", "admin")
TRAFFIC: Final = Endpoint("traffic", "http")
COLLECTOR_GRPC: Final = Endpoint("collector", "otlp-grpc")
COLLECTOR_HTTP: Final = Endpoint("collector", "otlp-http")
COLLECTOR_METRICS: Final = Endpoint("collector", "metrics")
PROMETHEUS: Final = Endpoint("prometheus", "http")
ALERTMANAGER: Final = Endpoint("alertmanager", "http")
LOKI: Final = Endpoint("loki", "http")
TEMPO: Final = Endpoint("tempo", "http")
TEMPO_OTLP: Final = Endpoint("tempo", "otlp-http")
JAEGER: Final = Endpoint("jaeger", "http")
JAEGER_OTLP: Final = Endpoint("jaeger", "otlp-http")
JAEGER_METRICS: Final = Endpoint("jaeger", "metrics")
GRAFANA: Final = Endpoint("grafana", "http")
MCP_GRAFANA: Final = Endpoint("mcp-grafana", "http")
GATEWAY: Final = Endpoint("gateway", "grafana")
GATEWAY_TRACES: Final = Endpoint("gateway", "traces")
GATEWAY_LOKI: Final = Endpoint("gateway", "loki")
GATEWAY_PROMETHEUS: Final = Endpoint("gateway", "prometheus")
GATEWAY_INTERNAL: Final = Endpoint("gateway", "internal")
INCIDENT_RUNNER: Final = Endpoint("incident-runner", "runner")

# Names of secrets, which are file names below /run/secrets too; no values.
POSTGRES_PASSWORD: Final = "postgres-password"  # noqa: S105
PAYMENTS_OWNER_PASSWORD: Final = "payments-owner-password"  # noqa: S105
PAYMENT_APP_PASSWORD: Final = "payment-app-password"  # noqa: S105
POSTGRES_EXPORTER_PASSWORD: Final = "postgres-exporter-password"  # noqa: S105
DBA_PASSWORD: Final = "dba-password"  # noqa: S105
NEXT_PAYMENT_APP_PASSWORD: Final = "payment-app-password-2"  # noqa: S105
"""What the role of the service gets when its password is changed; the service reads the file beside the first one."""
GATEWAY_TOKEN: Final = "gateway-token"  # noqa: S105
GATEWAY_OPERATORS_TOKEN: Final = "gateway-operators-token"  # noqa: S105
INCIDENT_PRESENTER_TOKEN: Final = "incident-presenter-token"  # noqa: S105
INCIDENT_OWNER_TOKEN: Final = "incident-owner-token"  # noqa: S105
