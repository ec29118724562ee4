"""The allow-lists against the back ends' documented endpoints, those that read and those that do anything else."""

from __future__ import annotations

import pytest

from gateway.allowlists import GRAFANA, JAEGER, LOKI, PROMETHEUS, TEMPO
from gateway.problems import Refused
from gateway.rules import AllowList, Rule

PASSED = [
    (PROMETHEUS, "GET", "/api/v1/query"),
    (PROMETHEUS, "POST", "/api/v1/query"),
    (PROMETHEUS, "HEAD", "/api/v1/query"),
    (PROMETHEUS, "POST", "/api/v1/query_range"),
    (PROMETHEUS, "POST", "/api/v1/query_exemplars"),
    (PROMETHEUS, "POST", "/api/v1/series"),
    (PROMETHEUS, "POST", "/api/v1/labels"),
    (PROMETHEUS, "GET", "/api/v1/label/__name__/values"),
    (PROMETHEUS, "GET", "/api/v1/metadata"),
    (PROMETHEUS, "GET", "/api/v1/targets"),
    (PROMETHEUS, "GET", "/api/v1/rules"),
    (PROMETHEUS, "GET", "/api/v1/alerts"),
    (PROMETHEUS, "GET", "/api/v1/status/buildinfo"),
    (PROMETHEUS, "GET", "/-/ready"),
    (PROMETHEUS, "GET", "/-/healthy"),
    (PROMETHEUS, "GET", "/"),
    (PROMETHEUS, "GET", "/graph"),
    (PROMETHEUS, "GET", "/query"),
    (PROMETHEUS, "GET", "/assets/index-4711.js"),
    (PROMETHEUS, "GET", "/static/js/main.js"),
    (LOKI, "GET", "/loki/api/v1/query"),
    (LOKI, "POST", "/loki/api/v1/query_range"),
    (LOKI, "GET", "/loki/api/v1/labels"),
    (LOKI, "GET", "/loki/api/v1/label/app/values"),
    (LOKI, "GET", "/loki/api/v1/series"),
    (LOKI, "GET", "/loki/api/v1/index/stats"),
    (LOKI, "GET", "/loki/api/v1/index/volume_range"),
    (LOKI, "GET", "/loki/api/v1/patterns"),
    (LOKI, "GET", "/loki/api/v1/detected_field/level/values"),
    (LOKI, "GET", "/loki/api/v1/status/buildinfo"),
    (LOKI, "GET", "/ready"),
    (TEMPO, "GET", "/api/search"),
    (TEMPO, "GET", "/api/search/tag/service.name/values"),
    (TEMPO, "GET", "/api/v2/search/tags"),
    (TEMPO, "GET", "/api/traces/0af7651916cd43dd8448eb211c80319c"),
    (TEMPO, "GET", "/api/v2/traces/0af7651916cd43dd8448eb211c80319c"),
    (TEMPO, "GET", "/api/echo"),
    (TEMPO, "GET", "/ready"),
    (JAEGER, "GET", "/api/traces"),
    (JAEGER, "GET", "/api/traces/0af7651916cd43dd8448eb211c80319c"),
    (JAEGER, "GET", "/api/services"),
    (JAEGER, "GET", "/api/services/payment-service/operations"),
    (JAEGER, "GET", "/api/operations"),
    (JAEGER, "GET", "/api/v3/traces"),
    (GRAFANA, "GET", "/"),
    (GRAFANA, "GET", "/d/overview/overview"),
    (GRAFANA, "GET", "/public/build/app.js"),
    (GRAFANA, "POST", "/api/ds/query"),
    (GRAFANA, "GET", "/api/datasources/uid/prometheus/resources/api/v1/labels"),
    (GRAFANA, "POST", "/api/datasources/uid/prometheus/resources/api/v1/series"),
    (GRAFANA, "GET", "/api/datasources/uid/loki/resources/labels"),
    (GRAFANA, "GET", "/api/datasources/proxy/uid/tempo/api/v2/search/tags"),
]

REFUSED = [
    # Prometheus: admin, remote storage, ingestion, lifecycle, bulk export, profiles, internals
    *[(PROMETHEUS, "POST", f"/api/v1/admin/tsdb/{what}") for what in ("snapshot", "delete_series", "clean_tombstones")],
    *[(PROMETHEUS, "PUT", f"/api/v1/admin/tsdb/{what}") for what in ("snapshot", "delete_series", "clean_tombstones")],
    (PROMETHEUS, "GET", "/api/v1/admin/tsdb/snapshot"),
    (PROMETHEUS, "POST", "/api/v1/write"),
    (PROMETHEUS, "POST", "/api/v1/read"),
    (PROMETHEUS, "POST", "/api/v1/otlp/v1/metrics"),
    (PROMETHEUS, "POST", "/-/reload"),
    (PROMETHEUS, "PUT", "/-/reload"),
    (PROMETHEUS, "POST", "/-/quit"),
    (PROMETHEUS, "PUT", "/-/quit"),
    (PROMETHEUS, "GET", "/-/quit"),
    (PROMETHEUS, "GET", "/federate"),
    (PROMETHEUS, "GET", "/metrics"),
    (PROMETHEUS, "GET", "/debug/pprof/heap"),
    (PROMETHEUS, "GET", "/api/v1/status/config"),
    (PROMETHEUS, "GET", "/api/v1/status/flags"),
    (PROMETHEUS, "GET", "/api/v1/notifications/live"),
    (PROMETHEUS, "GET", "/consoles/x.html"),
    (PROMETHEUS, "POST", "/api/v1/targets"),
    (PROMETHEUS, "DELETE", "/api/v1/series"),
    (PROMETHEUS, "PUT", "/api/v1/query"),
    (PROMETHEUS, "PATCH", "/"),
    (PROMETHEUS, "OPTIONS", "/api/v1/query"),
    (PROMETHEUS, "GET", "/api/v1/label/a/b/values"),
    (PROMETHEUS, "GET", "/api/v1/query/"),
    (PROMETHEUS, "GET", "/API/v1/query"),
    (PROMETHEUS, "GET", "/x/api/v1/query"),
    (PROMETHEUS, "GET", "/api/v1/query\n"),
    # Loki: ingestion, deletion, flush and shutdown (which answer to GET too), rings, configuration, rules
    (LOKI, "POST", "/loki/api/v1/push"),
    (LOKI, "POST", "/otlp/v1/logs"),
    (LOKI, "POST", "/api/prom/push"),
    *[(LOKI, method, "/loki/api/v1/delete") for method in ("GET", "POST", "PUT", "DELETE")],
    *[(LOKI, method, "/flush") for method in ("GET", "POST")],
    *[(LOKI, method, "/ingester/shutdown") for method in ("GET", "POST")],
    *[(LOKI, method, "/ingester/prepare_shutdown") for method in ("GET", "POST", "DELETE")],
    (LOKI, "GET", "/ring"),
    (LOKI, "POST", "/compactor/ring"),
    (LOKI, "GET", "/config"),
    (LOKI, "GET", "/services"),
    (LOKI, "POST", "/log_level"),
    (LOKI, "GET", "/metrics"),
    (LOKI, "POST", "/loki/api/v1/rules/team"),
    (LOKI, "DELETE", "/loki/api/v1/rules/team"),
    (LOKI, "GET", "/loki/api/v1/tail"),
    (LOKI, "GET", "/loki/api/v1/cache/generation_numbers"),
    # Tempo: ingestion, overrides, lifecycle
    (TEMPO, "POST", "/v1/traces"),
    (TEMPO, "POST", "/api/overrides"),
    (TEMPO, "PATCH", "/api/overrides"),
    (TEMPO, "DELETE", "/api/overrides"),
    (TEMPO, "GET", "/api/overrides"),
    *[(TEMPO, method, "/flush") for method in ("GET", "POST")],
    *[(TEMPO, method, "/shutdown") for method in ("GET", "POST")],
    (TEMPO, "POST", "/live-store/prepare-downscale"),
    (TEMPO, "GET", "/status/config"),
    (TEMPO, "POST", "/api/search"),
    (TEMPO, "GET", "/metrics"),
    # Jaeger: archiving, ingestion, sampling
    (JAEGER, "POST", "/api/archive/0af7651916cd43dd8448eb211c80319c"),
    (JAEGER, "POST", "/api/traces"),
    (JAEGER, "POST", "/v1/traces"),
    (JAEGER, "POST", "/api/transform"),
    (JAEGER, "GET", "/sampling"),
    (JAEGER, "GET", "/metrics"),
    # Grafana: everything that changes something, and what reaches past it
    (GRAFANA, "POST", "/api/dashboards/db"),
    (GRAFANA, "DELETE", "/api/dashboards/uid/x"),
    (GRAFANA, "POST", "/api/datasources"),
    (GRAFANA, "PUT", "/api/datasources/uid/loki"),
    (GRAFANA, "POST", "/api/admin/users"),
    (GRAFANA, "GET", "/api/admin/settings"),
    (GRAFANA, "POST", "/api/serviceaccounts"),
    (GRAFANA, "GET", "/api/snapshots-delete/key"),
    (GRAFANA, "GET", "/logout"),
    (GRAFANA, "GET", "/metrics"),
    (GRAFANA, "GET", "/api/datasources/proxy/uid/loki/ingester/shutdown"),
    (GRAFANA, "GET", "/api/datasources/proxy/uid/loki/flush"),
    (GRAFANA, "GET", "/api/datasources/proxy/1/flush"),
    (GRAFANA, "POST", "/api/datasources/proxy/uid/prometheus/api/v1/admin/tsdb/delete_series"),
    (GRAFANA, "GET", "/api/datasources/proxy/uid/tempo/shutdown"),
    (GRAFANA, "POST", "/api/datasources/uid/prometheus/resources/-/quit"),
    (GRAFANA, "GET", "/api/datasources/uid/prometheus/resources/federate"),
    (GRAFANA, "GET", "/api/datasources/1/resources/labels"),
    (GRAFANA, "POST", "/login"),
]


def identify(case: tuple[AllowList, str, str]) -> str:
    allow, method, path = case
    return f"{allow.title} {method} {path!r}"


@pytest.mark.parametrize("case", PASSED, ids=identify)
def test_what_reads_is_passed_on(case: tuple[AllowList, str, str]) -> None:
    allow, method, path = case
    assert method in allow.judge(method, path).methods


@pytest.mark.parametrize("case", REFUSED, ids=identify)
def test_what_does_anything_else_is_refused_with_a_sentence(case: tuple[AllowList, str, str]) -> None:
    allow, method, path = case
    with pytest.raises(Refused) as caught:
        allow.judge(method, path)
    assert caught.value.status == 403
    assert len(caught.value.sentence) > 20


def test_people_are_told_what_to_use_instead() -> None:
    with pytest.raises(Refused, match="WebSocket"):
        LOKI.judge("GET", "/loki/api/v1/tail")
    with pytest.raises(Refused, match="use /api/v1/query"):
        PROMETHEUS.judge("GET", "/federate")
    with pytest.raises(Refused, match="it takes GET, HEAD"):
        PROMETHEUS.judge("DELETE", "/api/v1/targets")


def test_a_placeholder_stands_for_one_segment_and_a_starred_one_for_the_rest() -> None:
    assert Rule(template="/a/{x}/b").pattern.fullmatch("/a/1/b")
    assert not Rule(template="/a/{x}/b").pattern.fullmatch("/a/1/2/b")
    assert not Rule(template="/a/{x}/b").pattern.fullmatch("/a//b")
    assert Rule(template="/a/{x*}").pattern.fullmatch("/a/1/2")
    assert not Rule(template="/a.b").pattern.fullmatch("/axb"), "the template is text, not a pattern"
