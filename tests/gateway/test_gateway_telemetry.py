from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest
import structlog
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from starlette.responses import JSONResponse, Response
from structlog.testing import capture_logs

from gateway import logs
from gateway.metrics import Metrics
from tests.gateway.agents import call
from tests.gateway.support import TOKEN, FakeBackend, free_url, make_config, port_of, running, serving

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from tests.gateway.conftest import Stack
    from tests.gateway.support import RunningGateway

pytestmark = pytest.mark.anyio

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"


async def spans_of(sink: FakeBackend, count: int) -> Sequence[Span]:
    async with asyncio.timeout(60):
        while True:
            requests = [ExportTraceServiceRequest.FromString(seen.body) for seen in sink.seen]
            resources = [resource for request in requests for resource in request.resource_spans]
            spans = [span for resource in resources for scope in resource.scope_spans for span in scope.spans]
            if len(spans) >= count:
                names = {one.key: one.value.string_value for one in resources[0].resource.attributes}
                assert names["service.name"] == "gateway"
                assert names["deployment.environment.name"] == "test"
                return spans
            await asyncio.sleep(0.01)


def attributes(span: Span) -> dict[str, str | int]:
    return {one.key: one.value.string_value or one.value.int_value for one in span.attributes}


@pytest.fixture
async def traced(stack: Stack) -> AsyncGenerator[tuple[RunningGateway, FakeBackend]]:
    sink = FakeBackend("collector")
    sink.always("/v1/traces", lambda: Response(b"", media_type="application/x-protobuf"))
    async with serving(sink) as url:
        changes = {
            "telemetry__otlp_endpoint": f"{url}/v1/traces",
            "backends__prometheus": {"url": stack.prometheus.url},
        }
        async with running(make_config(**changes)) as gateway:
            yield gateway, sink


async def test_a_call_is_one_trace_from_the_caller_to_the_back_end(
    stack: Stack, traced: tuple[RunningGateway, FakeBackend]
) -> None:
    gateway, sink = traced
    await gateway.get(
        "prometheus", "/api/v1/label/job/values?match=secret", traceparent=f"00-{TRACE_ID}-b7ad6b7169203331-01"
    )
    spans = {span.kind: span for span in await spans_of(sink, 2)}
    server, client = spans[Span.SPAN_KIND_SERVER], spans[Span.SPAN_KIND_CLIENT]
    assert server.trace_id.hex() == client.trace_id.hex() == TRACE_ID
    assert server.parent_span_id.hex() == "b7ad6b7169203331"
    assert client.parent_span_id == server.span_id
    assert server.name == "GET /api/v1/label/{name}/values"
    assert attributes(server) == {
        "http.request.method": "GET",
        "http.route": "/api/v1/label/{name}/values",
        "url.path": "/api/v1/label/job/values",
        "http.response.status_code": 200,
    }
    assert attributes(client)["peer.service"] == "prometheus"
    assert attributes(client)["server.port"] == port_of(stack.prometheus.url)
    (seen,) = stack.prometheus.seen
    assert seen.headers["traceparent"] == f"00-{TRACE_ID}-{client.span_id.hex()}-01"
    assert "secret" not in str(spans)


async def test_a_failed_call_is_an_error_in_its_trace(traced: tuple[RunningGateway, FakeBackend]) -> None:
    gateway, sink = traced
    assert (await gateway.get("loki", "/loki/api/v1/labels")).status_code == 502
    spans = await spans_of(sink, 2)
    assert {span.status.code for span in spans} == {2}
    assert {attributes(span).get("error.type") for span in spans} == {"connect", None}


async def test_an_agents_call_is_one_trace_without_the_query(
    stack: Stack, traced: tuple[RunningGateway, FakeBackend]
) -> None:
    gateway, sink = traced
    words = {"error": "secret_metric timed out"}
    stack.prometheus.always("/api/v1/query", lambda: JSONResponse(words, 503))
    response = await call(gateway, "execute_promql_query", query="secret_metric", datasource_uid="prometheus")
    assert response.status_code == 503
    spans = {span.kind: span for span in await spans_of(sink, 2)}
    server, client = spans[Span.SPAN_KIND_SERVER], spans[Span.SPAN_KIND_CLIENT]
    assert (server.name, server.status.code) == ("POST /mcp", 2)
    assert attributes(server)["gateway.tool"] == "execute_promql_query"
    assert (client.parent_span_id, attributes(client)["error.type"]) == (server.span_id, "status")
    assert "secret" not in str(spans)


async def test_what_is_refused_or_polled_makes_no_trace(traced: tuple[RunningGateway, FakeBackend]) -> None:
    gateway, sink = traced
    for path in ("/ready", "/ready/stack", "/status"):
        await gateway.get("main", path)
    await gateway.get("prometheus", "/federate")
    await gateway.get("prometheus", "/-/ready")
    spans = await spans_of(sink, 2)
    assert {span.name for span in spans} == {"GET /-/ready", "GET prometheus"}


async def test_without_an_endpoint_the_callers_context_is_still_passed_on(stack: Stack) -> None:
    await stack.gateway.get("prometheus", "/api/v1/query", traceparent=f"00-{TRACE_ID}-b7ad6b7169203331-01")
    assert TRACE_ID in stack.prometheus.seen[0].headers["traceparent"]


async def test_a_collector_that_is_gone_costs_nothing_and_is_reported_once(stack: Stack) -> None:
    changes = {
        "telemetry__otlp_endpoint": f"{free_url()}/v1/traces",
        "backends__prometheus": {"url": stack.prometheus.url},
    }
    with capture_logs() as lines:
        async with running(make_config(**changes)) as gateway:
            started = time.perf_counter()
            for _ in range(20):
                assert (await gateway.get("prometheus", "/api/v1/query")).status_code == 200
            assert time.perf_counter() - started < 10
    assert [line["event"] for line in lines].count("spans are not exported") == 1


async def test_the_metrics_of_the_contract_are_there(stack: Stack) -> None:
    await stack.gateway.get("prometheus", "/api/v1/query")
    await stack.gateway.get("prometheus", "/-/quit")
    await stack.gateway.request("GET", "main", "/ready/stack")
    response = await stack.gateway.request("GET", "internal", "/metrics")
    lines = response.text.splitlines()

    def value(series: str) -> float:
        return next(float(line.removeprefix(series)) for line in lines if line.startswith(series + " "))

    assert value('gateway_requests_total{code="200",front="prometheus"}') >= 1
    assert value('gateway_requests_total{code="403",front="prometheus"}') >= 1
    assert value('gateway_request_duration_seconds_count{front="prometheus"}') >= 2
    assert value('gateway_upstream_duration_seconds_count{backend="prometheus"}') >= 1
    assert value('gateway_probe_up{service="loki"}') == 1
    assert value("process_resident_memory_bytes") > 0
    assert 'gateway_probe_up{service="postgres"}' not in response.text, "nobody asked it"


async def test_metrics_come_as_openmetrics_to_who_asks_for_it(stack: Stack) -> None:
    response = await stack.gateway.request(
        "GET", "internal", "/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"}
    )
    assert response.headers["content-type"].startswith("application/openmetrics-text")
    assert response.text.endswith("# EOF\n")


async def test_a_scrape_keeps_the_probes_fresh_where_nobody_polls() -> None:
    async with running(make_config(probes=[{"service": "loki", "url": free_url()}])) as gateway:
        text = (await gateway.request("GET", "internal", "/metrics")).text
    assert 'gateway_probe_up{service="loki"} 0.0' in text


async def test_neither_token_nor_query_nor_answer_is_logged(stack: Stack) -> None:
    with capture_logs() as lines:
        await stack.gateway.get("prometheus", "/api/v1/query?query=secret_metric")
        await stack.gateway.get("prometheus", "/api/v1/query%00", Authorization=f"Bearer {TOKEN}x")
        await stack.gateway.get("prometheus", f"/{TOKEN}/../x")
    text = repr(lines)
    assert "'path': '/api/v1/query'" in text
    assert TOKEN not in text
    assert "secret_metric" not in text
    assert stack.prometheus.name not in repr([line.get("answer") for line in lines])


async def test_polls_are_not_worth_a_line(stack: Stack) -> None:
    with capture_logs() as lines:
        await stack.gateway.request("GET", "main", "/ready/stack")
        await stack.gateway.get("main", "/api/datasources")
    assert [(line["path"], line["log_level"]) for line in lines] == [
        ("/ready/stack", "debug"),
        ("/api/datasources", "info"),
    ]


def test_a_line_is_json_and_never_holds_a_secret(capsys: pytest.CaptureFixture[str]) -> None:
    before = structlog.get_config()
    try:
        logs.configure("INFO", secrets=["hunter2", "swordfish"])
        structlog.stdlib.get_logger().info("went to hunter2", url="http://x:hunter2@y", number=1)
        structlog.stdlib.get_logger().info("swordfish, hunter2")
        structlog.stdlib.get_logger().debug("not written")
        import logging  # noqa: PLC0415 - the record of a library

        logging.getLogger("some.library").warning("failed with %s", "hunter2")
    finally:
        structlog.configure(**before)
    out = capsys.readouterr().out
    assert "hunter2" not in out
    assert "swordfish" not in out
    assert out.count("[hidden]") == 5
    assert '"event": "went to [hidden]"' in out
    assert '"level": "warning"' in out
    assert "not written" not in out


def test_two_gateways_keep_their_metrics_apart() -> None:
    one, two = Metrics(), Metrics()
    one.requests.labels("main", "200").inc()
    assert b'code="200"' in one.render("")[0]
    assert b'code="200"' not in two.render("")[0]
