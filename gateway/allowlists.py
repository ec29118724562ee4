"""What each front passes on: the documented read APIs of Prometheus, Loki, Tempo and Jaeger.

Sources: Prometheus 3 `querying/api`, Loki 3.7 `reference/loki-http-api`, Tempo 3 `api_docs`, Jaeger 1.76 `apis` and its
handler. Read-only is judged by what an endpoint does, not by its method: Loki's `/ingester/shutdown` and `/flush`
answer to GET.
"""

from __future__ import annotations

from gateway.rules import JSON, READ_OR_FORM, AllowList, Bounded, Rule, api, below, pages, queries, refused

PROMETHEUS = AllowList(
    title="Prometheus",
    rules=(
        *queries(
            "/api/v1/query",
            "/api/v1/query_range",
            "/api/v1/query_exemplars",
            "/api/v1/series",
            "/api/v1/labels",
            "/api/v1/format_query",
            "/api/v1/parse_query",
            methods=READ_OR_FORM,
        ),
        *queries("/api/v1/label/{name}/values"),
        *api(
            "/api/v1/metadata",
            "/api/v1/targets",
            "/api/v1/targets/metadata",
            "/api/v1/scrape_pools",
            "/api/v1/rules",
            "/api/v1/alerts",
            "/api/v1/alertmanagers",
            "/api/v1/notifications",
            "/api/v1/features",
            "/api/v1/status/buildinfo",
            "/api/v1/status/runtimeinfo",
            "/api/v1/status/tsdb",
            "/api/v1/status/tsdb/blocks",
            "/api/v1/status/walreplay",
        ),
        *pages("/-/ready", "/-/healthy"),
        # The web UI: one page under several addresses, and its assets.
        *pages(
            "/", "/graph", "/query", "/alerts", "/targets", "/rules", "/status", "/tsdb-status", "/service-discovery"
        ),
        *pages("/static/{asset*}", "/assets/{asset*}", "/new/{page*}", "/classic/static/{asset*}", "/classic/graph"),
        *pages("/favicon.ico", "/favicon.svg", "/manifest.json"),
    ),
    hints=(
        (
            "/federate",
            "federation copies the whole database past the limits of a query and is not passed on; use /api/v1/query",
        ),
        (
            "/api/v1/status/",
            "the configuration and the flags of Prometheus name internal addresses and are not passed on",
        ),
        ("/api/v1/read", "remote read is not passed on; use /api/v1/query_range"),
    ),
)

LOKI = AllowList(
    title="Loki",
    rules=(
        *queries(
            "/loki/api/v1/query",
            "/loki/api/v1/query_range",
            "/loki/api/v1/labels",
            "/loki/api/v1/series",
            "/loki/api/v1/index/stats",
            "/loki/api/v1/index/volume",
            "/loki/api/v1/index/volume_range",
            "/loki/api/v1/patterns",
            "/loki/api/v1/detected_labels",
            "/loki/api/v1/detected_fields",
            "/loki/api/v1/format_query",
            methods=READ_OR_FORM,
        ),
        *queries(
            "/loki/api/v1/label",
            "/loki/api/v1/label/{name}/values",
            "/loki/api/v1/detected_field/{name}/values",
        ),
        *api("/loki/api/v1/status/buildinfo"),
        *pages("/ready"),
    ),
    hints=(
        (
            "/loki/api/v1/tail",
            "live tailing needs a WebSocket, which this front does not serve; use /loki/api/v1/query_range",
        ),
    ),
)

TEMPO = AllowList(
    title="Tempo",
    rules=(
        *queries(
            "/api/search",
            "/api/search/tags",
            "/api/search/tag/{name}/values",
            "/api/v2/search/tags",
            "/api/v2/search/tag/{name}/values",
            "/api/metrics/query",
            "/api/metrics/query_range",
        ),
        *api("/api/traces/{trace_id}", "/api/v2/traces/{trace_id}", "/api/status/buildinfo"),
        *pages("/api/echo", "/ready"),
    ),
)

JAEGER = AllowList(
    title="Jaeger",
    rules=(
        *queries("/api/traces", "/api/dependencies", "/api/v3/traces", bounded=Bounded.JAEGER),
        *api(
            "/api/traces/{trace_id}",
            "/api/services",
            "/api/services/{service}/operations",
            "/api/operations",
            "/api/v3/traces/{trace_id}",
            "/api/v3/services",
            "/api/v3/operations",
        ),
    ),
)

# Grafana is a site for people, so everything that reads passes, and Grafana's own roles decide what a viewer may see.
# Refused is what reaches past Grafana to a server behind it, beyond what that server's own front passes on, and the
# GETs that change something.
_GRAFANA_POSTS = (
    "/api/frontend-metrics",
    "/api/search-v2",
    "/apis/features.grafana.app/v0alpha1/namespaces/{namespace}/ofrep/v1/evaluate/{flags*}",
)

GRAFANA = AllowList(
    title="Grafana",
    rules=(
        Rule(template="/api/ds/query", methods=frozenset({"POST"}), body=JSON, json=True, bounded=Bounded.GRAFANA),
        *(Rule(template=one, methods=frozenset({"POST"}), body=JSON) for one in _GRAFANA_POSTS),
        *below("/api/datasources/uid/prometheus/resources", PROMETHEUS.rules),
        *below("/api/datasources/proxy/uid/prometheus", PROMETHEUS.rules),
        *below("/api/datasources/proxy/uid/loki", LOKI.rules),
        *below("/api/datasources/proxy/uid/tempo", TEMPO.rules),
        # The plugins of these two name their resources themselves and pass nothing else on.
        *pages(
            *(
                f"/api/datasources/uid/loki/resources/{name}"
                for name in (
                    "labels",
                    "label/{name}/values",
                    "series",
                    "index/stats",
                    "index/volume",
                    "index/volume_range",
                    "patterns",
                    "detected_labels",
                    "detected_fields",
                    "detected_field/{name}/values",
                )
            ),
            "/api/datasources/uid/tempo/resources/tags",
            "/api/datasources/uid/tempo/resources/tag-values",
            "/api/datasources/uid/prometheus/resources/version-detect",
        ),
        *refused("/api/datasources/proxy/{rest*}", "/api/datasources/{kind}/{id}/resources/{rest*}"),
        *refused("/api/datasources/{id}/resources/{rest*}", "/api/snapshots-delete/{key*}", "/api/admin/{rest*}"),
        *refused("/metrics", "/debug/{rest*}", "/logout", "/render/{rest*}"),
        *pages("/{page*}"),
    ),
    hints=(
        (
            "/api/datasources/",
            "what a data source offers beside queries is not passed on; ask the fronts of Prometheus, Loki and traces",
        ),
    ),
)
