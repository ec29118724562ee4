"""COMPASS's own form of calling tools on the Grafana front."""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING, Any

import pytest
from starlette.responses import JSONResponse, PlainTextResponse, Response
from structlog.testing import capture_logs

from tests.gateway.agents import JSON, MATRIX, STREAMS, VECTOR, call, form, post, query
from tests.gateway.support import TOKEN, FakeBackend, free_url, make_config, raw_server, running, serving

if TYPE_CHECKING:
    from tests.gateway.conftest import Stack
    from tests.gateway.support import RunningGateway, Seen

pytestmark = pytest.mark.anyio

PROM = {"datasource_uid": "prometheus"}
LOKI = {"datasource_uid": "loki"}


@pytest.fixture(autouse=True)
def _answers(stack: Stack) -> None:  # pyright: ignore[reportUnusedFunction] - a fixture
    stack.prometheus.always("/api/v1/query", lambda: JSONResponse(VECTOR))
    stack.prometheus.always("/api/v1/query_range", lambda: JSONResponse(MATRIX))
    stack.loki.always("/loki/api/v1/query_range", lambda: JSONResponse(STREAMS))


async def test_a_query_without_a_range_is_an_instant_query(stack: Stack) -> None:
    response = await call(stack.gateway, "execute_promql_query", query='up{job="x"}', context=None, **PROM)
    assert response.status_code == 200
    assert response.json()["data"] == VECTOR["data"]
    (seen,) = stack.prometheus.seen
    assert (seen.method, seen.path, form(seen)) == ("POST", "/api/v1/query", {"query": 'up{job="x"}'})


async def test_a_query_with_a_range_is_a_range_query(stack: Stack) -> None:
    response = await call(
        stack.gateway,
        "execute_promql_query",
        query="up",
        start="2025-11-21T14:00:00Z",
        end="2025-11-21T15:30:00+01:00",
        step="15s",
        context={"timeframe": "5m"},
        **PROM,
    )
    assert response.json()["data"] == MATRIX["data"]
    (seen,) = stack.prometheus.seen
    assert seen.path == "/api/v1/query_range"
    assert form(seen) == {"query": "up", "start": "1763733600.000", "end": "1763735400.000", "step": "15.000"}


async def test_a_time_without_a_zone_is_utc_and_the_end_is_now_where_none_is_given(stack: Stack) -> None:
    start = time.time() - 600
    text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(start))
    response = await call(stack.gateway, "execute_promql_query", query="up", start=text, **PROM)
    asked = form(stack.prometheus.seen[0])
    assert float(asked["start"]) == int(start)
    assert abs(float(asked["end"]) - time.time()) < 30
    assert asked["step"] == "15.000"
    assert response.json()["metadata"]["step"] == "15s"


async def test_a_lone_end_is_the_moment_of_an_instant_query(stack: Stack) -> None:
    await call(stack.gateway, "execute_promql_query", query="up", end="2025-11-21T14:00:00Z", step="15s", **PROM)
    assert form(stack.prometheus.seen[0]) == {"query": "up", "time": "1763733600.000"}


async def test_mimir_is_prometheus(stack: Stack) -> None:
    response = await call(stack.gateway, "execute_promql_query", query="up", datasource_uid="mimir")
    assert response.status_code == 200


@pytest.mark.parametrize(
    ("duration", "seconds"), [("5m", 300), ("1h", 3600), ("2d", 172_800), ("1h30m", 5400), (90, 90)]
)
async def test_a_duration_counts_back_from_now(stack: Stack, duration: object, seconds: int) -> None:
    response = await call(stack.gateway, "execute_logql_query", query='{app="postgres"}', duration=duration, **LOKI)
    assert response.json()["data"] == STREAMS["data"]
    (seen,) = stack.loki.seen
    asked = form(seen)
    assert (seen.path, asked["query"], asked["limit"]) == ("/loki/api/v1/query_range", '{app="postgres"}', "100")
    assert (int(asked["end"]) - int(asked["start"])) / 1e9 == pytest.approx(seconds, abs=0.01)
    assert int(asked["end"]) / 1e9 == pytest.approx(time.time(), abs=30)


async def test_logs_are_asked_for_from_start_to_end_with_a_limit(stack: Stack) -> None:
    span = {"start": "2025-11-21T14:00:00Z", "end": "2025-11-21T15:00:00.25Z"}
    await call(stack.gateway, "execute_logql_query", query="{}", limit=7, **span, **LOKI)
    asked = form(stack.loki.seen[0])
    assert (asked["start"], asked["end"]) == ("1763733600000000000", "1763737200250000000")
    assert (asked["limit"], asked["direction"]) == ("7", "backward")


async def test_logs_of_the_last_hour_come_without_a_range(stack: Stack) -> None:
    await call(stack.gateway, "execute_logql_query", query="{}", **LOKI)
    asked = form(stack.loki.seen[0])
    assert int(asked["end"]) - int(asked["start"]) == pytest.approx(3600e9, abs=1e7)


async def test_there_are_no_dashboards_without_grafana(stack: Stack) -> None:
    response = await call(stack.gateway, "search_dashboards", title="Database")
    assert response.status_code == 200
    assert response.json()["data"] == {"dashboards": []}


async def test_dashboards_are_grafanas() -> None:
    grafana = FakeBackend("grafana")
    found: list[dict[str, Any]] = [
        {"id": 1, "uid": "x", "title": "Overview", "url": "/d/x/overview", "type": "dash-db", "tags": []}
    ]
    grafana.always("/api/search", lambda: JSONResponse(found))
    async with serving(grafana) as url:
        config = make_config(distribution="upstream", backends__grafana={"url": url, "user": "viewer"})
        async with running(config) as gateway:
            response = await call(gateway, "search_dashboards", title="Over view&type=x")
            grafana.always("/api/search", lambda: JSONResponse({"not": "a list"}))
            rubbish = await call(gateway, "search_dashboards", title="x")
    (seen, _) = grafana.seen
    assert response.json()["data"]["dashboards"] == [{"title": "Overview", "url": "/d/x/overview", "uid": "x"}]
    assert query(seen) == {"type": "dash-db", "query": "Over view&type=x", "limit": "100"}
    assert seen.headers["x-webauth-user"] == "viewer"
    assert "authorization" not in seen.headers
    assert rubbish.status_code == 502


async def test_the_servers_own_words_come_back(stack: Stack) -> None:
    words = 'invalid parameter "query": 1:5: parse error: unclosed left parenthesis'
    stack.prometheus.always(
        "/api/v1/query", lambda: JSONResponse({"status": "error", "errorType": "bad_data", "error": words}, 400)
    )
    response = await call(stack.gateway, "execute_promql_query", query="sum(", **PROM)
    assert (response.status_code, response.json()["error"]) == (400, words)
    lokis = "parse error at line 1, col 6: syntax error: unexpected IDENTIFIER"
    stack.loki.always("/loki/api/v1/query_range", lambda: PlainTextResponse(lokis + "\n", 400))
    response = await call(stack.gateway, "execute_logql_query", query="{app", **LOKI)
    assert (response.status_code, response.json()["error"]) == (400, lokis)


@pytest.mark.parametrize(
    ("given", "answered"),
    [(422, 422), (429, 429), (401, 502), (403, 502), (404, 502), (500, 502), (503, 503), (504, 504)],
)
async def test_a_back_ends_status_is_not_taken_for_the_gateways(stack: Stack, given: int, answered: int) -> None:
    stack.prometheus.always("/api/v1/query", lambda: JSONResponse({"error": "its words"}, given))
    response = await call(stack.gateway, "execute_promql_query", query="up", **PROM)
    assert response.status_code == answered
    assert "its words" in response.json()["error"]


@pytest.mark.parametrize(
    ("body", "status", "part"),
    [
        (b"", 400, "not JSON"),
        (b"[" * 100_000, 400, "recursion"),
        (b'{"tool": "\\ud800"}', 400, "not JSON"),
        (b"NaN", 400, "not JSON"),
        (b"[]", 400, "must be an object"),
        (b"{}", 400, "tool must be"),
        (b'{"tool": 1}', 400, "tool must be"),
        (b'{"tool": "drop_tables"}', 404, "there is no tool 'drop_tables'"),
        (b'{"tool": "execute_promql_query", "params": []}', 400, "params must be"),
        (b'{"tool": "execute_promql_query"}', 400, "query: Field required; datasource_uid: Field required"),
    ],
)
async def test_a_call_in_another_form_is_told_what_is_wrong(stack: Stack, body: bytes, status: int, part: str) -> None:
    response = await post(stack.gateway, "/mcp", body)
    assert response.status_code == status
    assert part in response.json()["error"]


@pytest.mark.parametrize(
    ("tool", "params", "status", "part"),
    [
        ("promql", {"datasource_uid": "nope"}, 404, "no data source with the uid 'nope'"),
        ("promql", {"datasource_uid": "loki"}, 400, "take prometheus"),
        ("logql", {"datasource_uid": "tempo"}, 400, "take loki"),
        ("promql", {"query": 1}, 400, "query: Input should be a valid string"),
        ("promql", {"query": " "}, 400, "query is empty"),
        ("promql", {"query": "x" * 9000}, 413, "limit of 8192 bytes"),
        ("promql", {"start": "yesterday"}, 400, "start is neither"),
        ("promql", {"start": "9" * 12}, 400, "between 1970 and 2200"),
        ("promql", {"start": 10**400}, 400, "start is neither"),
        ("promql", {"start": "0001-01-01T00:00:00+14:00"}, 400, "start"),
        ("promql", {"start": "2025-11-21", "end": "2025-11-20"}, 400, "start is later than end"),
        ("promql", {"start": "2999-01-01"}, 400, "between 1970"),
        ("promql", {"start": "2025-01-01", "end": "2025-11-20"}, 422, "limit of 31d"),
        ("promql", {"start": 0, "end": 86400, "step": "1s"}, 422, "limit of 11000 points"),
        ("promql", {"start": 0, "end": 60, "step": "15 apples"}, 400, "step is not a duration"),
        ("promql", {"start": 0, "end": 60, "step": "0s"}, 400, "step is not a duration"),
        ("promql", {"start": True}, 400, "start: Input should be"),
        ("logql", {"duration": "5m", "start": 0}, 400, "either duration or start"),
        ("logql", {"duration": "-5m"}, 400, "duration is not"),
        ("logql", {"duration": "90d"}, 422, "limit of 31d"),
        ("logql", {"duration": 10**400}, 422, "limit of 31d"),
        ("logql", {"limit": 0}, 400, "limit must be at least 1"),
        ("logql", {"limit": 5001}, 422, "more than the limit of 5000"),
        ("logql", {"limit": "ten"}, 400, "limit: Input should be a valid integer"),
    ],
)
async def test_parameters_over_a_limit_or_of_another_kind_are_named(
    stack: Stack, tool: str, params: dict[str, Any], status: int, part: str
) -> None:
    given: dict[str, Any] = {"query": "up", **(PROM if tool == "promql" else LOKI), **params}
    response = await call(stack.gateway, f"execute_{tool}_query", **given)
    assert (response.status_code, part in response.json()["error"]) == (status, True), response.text
    assert stack.prometheus.seen == stack.loki.seen == []


async def test_parameters_that_nobody_knows_are_ignored_and_named(stack: Stack) -> None:
    response = await call(stack.gateway, "execute_promql_query", query="up", url="http://evil.example", **PROM)
    assert response.json()["metadata"]["ignored"] == ["url"]
    assert "evil" not in stack.prometheus.seen[0].body.decode()


async def test_the_token_is_asked_for(stack: Stack) -> None:
    for headers in ({}, {"Authorization": "Bearer wrong"}):
        response = await stack.gateway.request("POST", "main", "/mcp", headers={**JSON, **headers}, content=b"{}")
        assert response.status_code == 401


async def test_other_methods_bodies_and_origins_are_refused(stack: Stack) -> None:
    gateway = stack.gateway
    got = await gateway.get("main", "/mcp")
    assert (got.status_code, got.headers["allow"]) == (405, "POST")
    text = await post(gateway, "/mcp", {}, **{"Content-Type": "text/plain"})
    assert text.status_code == 415
    foreign = await post(gateway, "/mcp", {}, Origin="https://evil.example")
    assert foreign.status_code == 403
    large = await post(gateway, "/mcp", b" " * 1_100_000)
    assert (large.status_code, "1048576 bytes" in large.json()["error"]) == (413, True)


@pytest.mark.parametrize(
    "answer",
    [b"", b"{", b"[]", b"{}", b'{"data":[]}', b'{"data":{"resultType":1,"result":[]}}', b'{"data":{"resultType":"x"}}'],
)
async def test_rubbish_is_a_502_that_names_the_back_end(stack: Stack, answer: bytes) -> None:
    stack.prometheus.always("/api/v1/query", lambda: Response(answer, media_type="application/json"))
    response = await call(stack.gateway, "execute_promql_query", query="up", **PROM)
    assert (response.status_code, response.json()["backend"]) == (502, "prometheus")


async def test_an_answer_over_the_limit_is_refused(stack: Stack) -> None:
    config = make_config(
        backends__prometheus={"url": stack.prometheus.url}, limits={"agents": {"answer_bytes": 300_000}}
    )
    fits = VECTOR["data"] | {"result": ["x" * 200_000]}
    async with running(config) as gateway:
        stack.prometheus.always("/api/v1/query", lambda: JSONResponse({"data": fits}))
        assert (await call(gateway, "execute_promql_query", query="up", **PROM)).json()["data"] == fits
        stack.prometheus.always("/api/v1/query", lambda: JSONResponse({"data": "x" * 400_000}))
        response = await call(gateway, "execute_promql_query", query="up", **PROM)
    assert (response.status_code, "limit of 300000 bytes" in response.json()["error"]) == (422, True)


async def test_a_back_end_that_is_down_is_a_502_and_the_other_signal_works(stack: Stack) -> None:
    config = make_config(backends__prometheus={"url": free_url()}, backends__loki={"url": stack.loki.url})
    async with running(config) as gateway:
        down = await call(gateway, "execute_promql_query", query="up", **PROM)
        works = await call(gateway, "execute_logql_query", query="{}", **LOKI)
    assert (down.status_code, down.json()["error"]) == (502, "prometheus cannot be reached: connection refused")
    assert works.status_code == 200


async def test_a_caller_who_leaves_frees_the_back_end() -> None:
    asked, gone = asyncio.Event(), asyncio.Event()

    async def wait_for_end(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        asked.set()
        while await reader.read(1024):
            pass
        gone.set()

    async with raw_server(wait_for_end) as url, running(make_config(backends__prometheus={"url": url})) as gateway:
        task = asyncio.create_task(call(gateway, "execute_promql_query", query="up", **PROM))
        await asked.wait()
        task.cancel()
        async with asyncio.timeout(60):
            await gone.wait()
        metrics = (await gateway.get("internal", "/metrics")).text
    assert 'gateway_requests_total{code="499",front="main"} 1.0' in metrics


async def test_calls_are_counted_by_dialect_and_tool_and_nothing_of_them_is_logged(stack: Stack) -> None:
    with capture_logs() as lines:
        await call(stack.gateway, "execute_promql_query", query="secret_metric", **PROM)
        await call(stack.gateway, "secret_tool")
    metrics = (await stack.gateway.request("GET", "internal", "/metrics")).text
    assert 'gateway_tool_calls_total{dialect="compass",outcome="200",tool="execute_promql_query"}' in metrics
    assert 'gateway_tool_calls_total{dialect="compass",outcome="404",tool="other"}' in metrics
    assert "secret" not in metrics + repr(lines)
    assert TOKEN not in repr(lines)


async def test_the_callers_trace_continues_into_the_back_end(stack: Stack) -> None:
    trace_id = "0af7651916cd43dd8448eb211c80319c"
    document = {"tool": "execute_promql_query", "params": {"query": "up", **PROM}}
    await post(stack.gateway, "/mcp", document, traceparent=f"00-{trace_id}-b7ad6b7169203331-01")
    assert trace_id in stack.prometheus.seen[0].headers["traceparent"]
    assert "authorization" not in stack.prometheus.seen[0].headers


async def test_large_answers_wait_for_each_other_and_small_ones_do_not(stack: Stack) -> None:
    large = VECTOR["data"] | {"result": ["x" * 300_000]}
    stack.prometheus.always("/api/v1/query", lambda: JSONResponse({"data": large}))

    async def ask(gateway: RunningGateway) -> object:
        return (await call(gateway, "execute_promql_query", query="up", **PROM)).json()["data"]

    assert await asyncio.gather(*(ask(stack.gateway) for _ in range(8))) == [large] * 8
    # Somebody who takes nothing of an answer that no buffer holds.
    endless = VECTOR["data"] | {"result": ["x" * 4_000_000]}
    asked = asyncio.Event()

    async def answer(_seen: Seen) -> Response:
        asked.set()
        return JSONResponse({"data": endless})

    stack.prometheus.answers["/api/v1/query"] = answer
    _, writer = await asyncio.open_connection("127.0.0.1", stack.gateway.ports["main"], limit=1024)
    document = json.dumps({"tool": "execute_promql_query", "params": {"query": "up", **PROM}})
    head = f"POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {TOKEN}\r\n"
    head += f"Content-Type: {JSON['Content-Type']}\r\n"
    writer.write(f"{head}Content-Length: {len(document)}\r\n\r\n{document}".encode())
    async with asyncio.timeout(30):
        await asked.wait()
    stack.prometheus.always("/api/v1/query", lambda: JSONResponse(VECTOR))
    assert await ask(stack.gateway) == VECTOR["data"]
    writer.close()
    stack.prometheus.always("/api/v1/query", lambda: JSONResponse({"data": large}))
    assert await ask(stack.gateway) == large


@pytest.mark.parametrize(
    ("given", "asked"),
    [
        ('{service="a"} |= "deployment" or |= "deploy"', '{service="a"} |= "deployment" or "deploy"'),
        ('{service="a"}|~"x" or |~ "y" or |~"z|= \\""', '{service="a"}|~"x" or "y" or "z|= \\""'),
    ],
)
async def test_a_filter_that_is_said_twice_is_repaired_and_said_so(stack: Stack, given: str, asked: str) -> None:
    answer = await call(stack.gateway, "execute_logql_query", query=given, **LOKI)
    assert form(stack.loki.seen[0])["query"] == asked
    assert "left out" in answer.json()["metadata"]["repaired"]


@pytest.mark.parametrize(
    "given",
    [
        '{service="a"} |= "x" or "y"',
        '{service="a"} |= "x" or != "y"',
        '{service="a"} |= "x or |= y"',
        '{service="a"} |= "x" or |= "y" | json',
        'sum(rate({service="a"} |= "x" or |= "y" [5m]))',
    ],
)
async def test_nothing_else_of_a_query_for_logs_is_changed(stack: Stack, given: str) -> None:
    answer = await call(stack.gateway, "execute_logql_query", query=given, **LOKI)
    assert form(stack.loki.seen[0])["query"] == given
    assert "repaired" not in answer.json()["metadata"]
