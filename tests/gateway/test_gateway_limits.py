"""Every refusal for a limit names it: the number and what is counted."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest

from gateway.agents.bounds import Bounds
from gateway.agents.large import LargeAnswers, one_call
from gateway.config import AgentLimits
from gateway.grafana_limits import GrafanaLimits
from gateway.problems import Refused
from gateway.query_limits import QueryLimits
from gateway.rules import Bounded
from tests.gateway.agents import JSON, call, post
from tests.gateway.support import BEARER, FakeBackend, make_config, running, serving

if TYPE_CHECKING:
    from tests.gateway.conftest import Stack

# Fixed, because parameters are in the names of tests, which must be the same in each worker.
NOW = 1_764_000_000
DAY = 86_400
MICRO = 1_000_000
LONG = "x" * 9000
WIDE = "max_over_time(x[1d:5ms])"
BOUNDS = Bounds(AgentLimits())
GRAFANA = GrafanaLimits(BOUNDS)
LIMITS = QueryLimits(BOUNDS)


def panel(*queries: dict[str, Any], **around: Any) -> bytes:
    return json.dumps({"queries": [*queries], "from": "now-1h", "to": "now", **around}).encode()


OVER_IN_GRAFANA = [
    (panel({"expr": LONG}), "limit of 8192 bytes"),
    (panel({"query": LONG}), "limit of 8192 bytes"),
    (panel({"expr": WIDE}), "limit of 11000 points per series"),
    (panel({"expr": "max_over_time(x[1h:5s])"}, **{"from": "now-1d"}), "limit of 11000 points per series"),
    (panel({"expr": "up", "maxDataPoints": 11_001}), "limit of 11000 points per series"),
    (panel({"expr": "up", "interval": "1ms"}), "limit of 11000 points per series"),
    (panel({"expr": "up", "step": "0.1"}), "limit of 11000 points per series"),
    (panel({"expr": "{}", "maxLines": 5001}), "limit of 5000 lines"),
    (panel({"query": "{}", "limit": "5001"}), "limit of 5000 lines"),
    (panel({"expr": "up"}, **{"from": "now-40d"}), "limit of 31d"),
    (panel({"expr": "up"}, **{"from": str((NOW - 40 * DAY) * 1000), "to": str(NOW * 1000)}), "limit of 31d"),
    (panel({"expr": "up"}, **{"from": (NOW - 40 * DAY) * 1000, "to": NOW * 1000}), "limit of 31d"),
    (panel({"expr": "up", "timeRange": {"from": "now-40d", "to": "now"}}), "limit of 31d"),
    (panel(*[{"expr": "up"}] * 33), "limit of 32 queries"),
]


@pytest.mark.parametrize(("body", "part"), OVER_IN_GRAFANA)
def test_what_grafana_s_pages_ask_is_bounded(body: bytes, part: str) -> None:
    with pytest.raises(Refused) as raised:
        GRAFANA.check(body)
    assert raised.value.status in {413, 422}
    assert part in raised.value.sentence


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        panel(),
        panel({"refId": "A", "expr": "up", "intervalMs": 15_000, "maxDataPoints": 1200, "interval": ""}),
        panel({"expr": "rate(x[$__rate_interval])", "interval": "$__interval"}),
        panel({"expr": '{app="postgres"} |~ "[a:b]"', "maxLines": 1000}),
        panel({"expr": "up"}, **{"from": str((NOW - DAY) * 1000), "to": str(NOW * 1000)}),
        panel({"type": "math", "expression": "$A > 3", "datasource": {"uid": "__expr__"}}),
    ],
)
def test_what_is_within_passes(body: bytes) -> None:
    GRAFANA.check(body)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b'{"queries": 5}',
        b'{"queries": [5]}',
        panel({}, **{"from": "yesterday"}),
        panel({"timeRange": 5}),
        # Go would read them.
        panel({"Expr": WIDE}),
        panel({"expr": "up", "EXPR": WIDE}),
        panel({"expre\u017f\u017fion": WIDE}),
        json.dumps({"Queries": [{"expr": WIDE}]}).encode(),
        panel({"expr": "up", "timeRange": {"From": "now-40d", "to": "now"}}),
    ],
)
def test_what_is_not_grafana_s_form_is_refused(body: bytes) -> None:
    with pytest.raises(Refused) as raised:
        GRAFANA.check(body)
    assert raised.value.status == 400


@pytest.mark.parametrize(
    ("parameters", "part"),
    [
        ({"limit": 201}, "limit of 200 traces"),
        ({"limit": "1e9"}, "limit of 200 traces"),
        ({"limit": "9" * 500}, "limit of 200 traces"),
        ({"query.num_traces": 201}, "limit of 200 traces"),
        ({"query.searchDepth": 201}, "limit of 200 traces"),
        ({"traceID": ["a"] * 201}, "limit of 200 traces"),
        ({"start": (NOW - 40 * DAY) * MICRO, "end": NOW * MICRO}, "limit of 31d"),
        ({"start": 0}, "limit of 31d"),
        ({"query.start_time_min": "2020-01-01T00:00:00Z"}, "limit of 31d"),
        ({"lookback": "40d"}, "limit of 31d"),
        ({"lookback": 40 * DAY * 1000}, "limit of 31d"),
    ],
)
def test_what_jaeger_is_asked_for_is_bounded(parameters: dict[str, object], part: str) -> None:
    with pytest.raises(Refused) as raised:
        LIMITS.check(Bounded.JAEGER, urlencode(parameters, doseq=True).encode(), b"")
    assert (raised.value.status, part in raised.value.sentence) == (422, True)


@pytest.mark.parametrize(
    "parameters",
    [
        {"service": "x", "limit": 20, "lookback": "1h", "start": (NOW - 3600) * MICRO, "end": NOW * MICRO},
        {"service": "x", "limit": "many", "lookback": "custom"},
        {"endTs": NOW * 1000, "lookback": DAY * 1000},
    ],
)
def test_jaeger_s_own_searches_pass(parameters: dict[str, object]) -> None:
    LIMITS.check(Bounded.JAEGER, urlencode(parameters).encode(), b"")


@pytest.mark.parametrize("text", ["nan", "yesterday", "1960-01-01T00:00:00Z"])
def test_a_time_that_cannot_be_read_is_not_left_to_jaeger(text: str) -> None:
    for name in ("start", "query.start_time_min", "query.startTimeMin", "end"):
        with pytest.raises(Refused, match=f"^{name} ") as raised:
            LIMITS.check(Bounded.JAEGER, urlencode({name: text}).encode(), b"")
        assert raised.value.status == 400


@pytest.mark.anyio
async def test_the_trace_front_is_held_to_it_and_jaeger_is_not_asked(stack: Stack) -> None:
    for path in ("/api/traces", "/api/v3/traces"):
        answer = await stack.gateway.get("traces", f"{path}?service=x&limit=1000&query.num_traces=1000")
        assert (answer.status_code, "limit of 200 traces" in answer.json()["error"]) == (422, True)
    assert stack.jaeger.seen == []


@pytest.mark.anyio
async def test_grafana_s_front_is_held_to_it_and_grafana_is_not_asked() -> None:
    grafana = FakeBackend("grafana")
    async with serving(grafana) as url:
        config = make_config(distribution="upstream", backends__grafana={"url": url})
        async with running(config) as gateway:
            headers = {**BEARER, **JSON}
            for body, part in (OVER_IN_GRAFANA[0], OVER_IN_GRAFANA[2]):
                answer = await gateway.request("POST", "main", "/api/ds/query", headers=headers, content=body)
                assert answer.status_code in {413, 422}
                assert part in answer.json()["error"]
            assert grafana.seen == []
            within = panel({"expr": "up", "maxDataPoints": 500})
            passed = await gateway.request("POST", "main", "/api/ds/query", headers=headers, content=within)
            assert passed.status_code == 200


TOOLS: list[tuple[str, dict[str, object], str]] = [
    ("execute_promql_query", {"query": LONG}, "limit of 8192 bytes"),
    ("execute_promql_query", {"query": WIDE}, "limit of 11000 points per series"),
    ("execute_promql_query", {"query": "up", "start": NOW - 40 * DAY, "end": NOW}, "limit of 31d"),
    (
        "execute_promql_query",
        {"query": "up", "start": NOW - DAY, "end": NOW, "step": "1s"},
        "limit of 11000 points per series",
    ),
    ("execute_logql_query", {"query": LONG}, "limit of 8192 bytes"),
    ("execute_logql_query", {"query": "{}", "limit": 5001}, "limit of 5000 lines"),
    ("execute_logql_query", {"query": "{}", "duration": "40d"}, "limit of 31d"),
    ("execute_logql_query", {"query": "{}", "duration": "1d", "step": "1s"}, "limit of 11000 points per series"),
]


@pytest.mark.anyio
@pytest.mark.parametrize(("tool", "given", "part"), TOOLS)
async def test_a_tool_names_the_limit(stack: Stack, tool: str, given: dict[str, object], part: str) -> None:
    source = "loki" if "logql" in tool else "prometheus"
    answer = await call(stack.gateway, tool, datasource_uid=source, **given)
    assert answer.status_code in {413, 422}
    assert part in answer.json()["error"]


TRACES: list[tuple[dict[str, object], str]] = [
    ({"query": LONG}, "limit of 8192 bytes"),
    ({"query": "{}", "limit": 201}, "limit of 200 traces"),
    ({"query": "{}", "start": NOW - 40 * DAY, "end": NOW}, "limit of 31d"),
]


@pytest.mark.anyio
@pytest.mark.parametrize(("given", "part"), TRACES)
async def test_a_search_of_traces_names_the_limit(stack: Stack, given: dict[str, object], part: str) -> None:
    message = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "tools/call",
        "params": {"name": "traceql-search", "arguments": given},
    }
    answer = await post(stack.gateway, "/api/mcp", message, front="traces")
    assert part in answer.json()["error"]["message"]


@pytest.mark.anyio
async def test_the_bounds_of_a_request_are_named(stack: Stack) -> None:
    gateway = stack.gateway
    url = await gateway.get("prometheus", "/api/v1/query?query=" + "x" * 20_000)
    assert (url.status_code, "limit of 16384 bytes" in url.json()["error"]) == (414, True)
    body = await post(gateway, "/mcp", b" " * 1_100_000)
    assert (body.status_code, "limit of 1048576 bytes" in body.json()["error"]) == (413, True)
    head = await gateway.raw("main", b"GET / HTTP/1.1\r\nX: " + b"x" * 200_000)
    assert b"limit of 131072 bytes" in head


@pytest.mark.anyio
async def test_too_many_connections_are_told_how_many_are_served() -> None:
    async with running(make_config(limits__connections=8)) as gateway:
        # As many as the limit are served.
        kept = [await gateway.keep_open("main") for _ in range(8)]
        try:
            answer = await gateway.request("GET", "main", "/ready")
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
            assert "limit of 8 connections" in answer.json()["error"]
        finally:
            for writer in kept:
                writer.close()


@pytest.mark.anyio
async def test_who_waits_for_the_turn_of_a_large_answer_is_told_how_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.agents.large._WAIT_SECONDS", 0.01)
    large = LargeAnswers()
    async with one_call():
        await large.wait()
        with pytest.raises(Refused) as raised:
            async with one_call():
                await large.wait()
    assert raised.value.status == 503
    assert "more than 128 KiB" in raised.value.sentence
    assert "within 0.01 s" in raised.value.sentence
