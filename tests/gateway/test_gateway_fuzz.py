"""Random bodies in both dialects, and random answers of the back ends: no 500, no hang."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.responses import JSONResponse, Response

from tests.gateway.agents import JSON, MATRIX, STREAMS, VECTOR
from tests.gateway.jaeger_data import Jaeger, payment
from tests.gateway.support import BEARER, make_client

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    import httpx2

    from tests.gateway.conftest import Stack

pytestmark = pytest.mark.anyio

# One gateway serves all examples of a test, on purpose.
FUZZ = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
SECONDS = 20

VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
TIMES = st.one_of(
    st.sampled_from(
        [
            "2025-11-21T14:00:00Z",
            "2025-11-21",
            "5m",
            "1h",
            "0s",
            "-1",
            "15s",
            "now",
            "now-1h",
            "now-",
            "1e400",
            "9" * 40,
            "",
        ]
    ),
    st.datetimes().map(lambda moment: moment.isoformat()),
    st.integers(),
    st.floats(),
    VALUES,
)
SOUP = st.lists(
    st.sampled_from(
        [
            "{",
            "}",
            "(",
            ")",
            "&&",
            "||",
            "=",
            "!=",
            "=~",
            "!~",
            "<",
            ">=",
            "name",
            "duration",
            "span.a",
            "status",
            "resource.service.name",
            ".b",
            "service.name",
            "server",
            "error",
            '"x"',
            '"(a*)*"',
            "`y`",
            "1s",
            "5",
            "-",
            " ",
            "|",
            '"',
            "\n",
        ]
    ),
    max_size=10,
).map(" ".join)
COMPARISONS = st.lists(
    st.sampled_from(
        [
            'resource.service.name="payment-service"',
            "duration > 1ms",
            'name =~ "(P.*|S+)*"',
            "kind = client",
            "span.http.status_code >= 500",
            "status != ok",
            'span.db.system != "x"',
        ]
    ),
    max_size=4,
).map(lambda parts: "{" + " && ".join(parts) + "}")
QUERIES = st.one_of(SOUP, COMPARISONS, st.text(max_size=40), VALUES)
PARAMETERS = st.fixed_dictionaries(
    {},
    optional={
        "query": QUERIES,
        "datasource_uid": st.sampled_from(["prometheus", "loki", "tempo", "mimir"]) | VALUES,
        "start": TIMES,
        "end": TIMES,
        "step": TIMES,
        "duration": TIMES,
        "limit": st.integers() | VALUES,
        "context": VALUES,
        "title": VALUES,
        "datasourceUid": st.sampled_from(["prometheus", "loki", "tempo"]) | VALUES,
        "expr": QUERIES,
        "logql": QUERIES,
        "startTime": TIMES,
        "endTime": TIMES,
        "startRfc3339": TIMES,
        "stepSeconds": st.integers() | VALUES,
        "labelName": st.sampled_from(["job", "../../-/quit", "a/b", "a%2fb"]) | VALUES,
        "regex": QUERIES,
        "page": st.integers() | VALUES,
        "matches": st.lists(st.fixed_dictionaries({"filters": VALUES})) | VALUES,
    },
)
TOOLS = (
    st.sampled_from(
        [
            "execute_promql_query",
            "execute_logql_query",
            "search_dashboards",
            "traceql-search",
            "query_prometheus",
            "query_loki_logs",
            "list_datasources",
            "list_prometheus_metric_names",
            "list_prometheus_label_names",
            "list_prometheus_label_values",
            "list_loki_label_names",
            "list_loki_label_values",
        ]
    )
    | VALUES
)
COMPASS_CALLS = st.fixed_dictionaries({"tool": TOOLS, "params": PARAMETERS | VALUES})
MESSAGES = st.fixed_dictionaries(
    {
        "jsonrpc": st.just("2.0") | VALUES,
        "method": st.sampled_from(["initialize", "tools/list", "tools/call", "ping", "notifications/cancelled"])
        | VALUES,
    },
    optional={
        "id": st.integers() | st.text() | VALUES,
        "params": st.fixed_dictionaries({"name": TOOLS, "arguments": PARAMETERS | VALUES}) | VALUES,
    },
)


def body(document: object) -> bytes:
    """Return JSON as Python writes it, which allows NaN and halves of surrogate pairs."""
    return json.dumps(document).encode()


@pytest.fixture
async def client(stack: Stack) -> AsyncGenerator[httpx2.AsyncClient]:
    stack.prometheus.always("/api/v1/query", lambda: JSONResponse(VECTOR))
    stack.prometheus.always("/api/v1/query_range", lambda: JSONResponse(MATRIX))
    stack.loki.always("/loki/api/v1/query_range", lambda: JSONResponse(STREAMS))
    names: list[str] = ["a", "b"]
    for path in ("/api/v1/label/__name__/values", "/api/v1/labels", "/api/v1/label/job/values"):
        stack.prometheus.always(path, lambda: JSONResponse({"data": names}))
    for path in ("/loki/api/v1/labels", "/loki/api/v1/label/job/values"):
        stack.loki.always(path, lambda: JSONResponse({"data": names}))
    Jaeger(stack.jaeger, [payment(number) for number in range(1, 5)])
    async with make_client(**BEARER, **JSON) as opened:
        yield opened


async def check(response: httpx2.Response) -> None:
    assert response.status_code in {200, 202, 400, 404, 413, 422}, response.text
    if response.status_code != 202:
        document = json.loads(response.content, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
        assert ("error" in document) == (response.status_code != 200) or document.get("jsonrpc") == "2.0"


@FUZZ
@given(content=st.binary(max_size=200) | VALUES.map(body) | COMPASS_CALLS.map(body))
async def test_compass_dialect(stack: Stack, client: httpx2.AsyncClient, content: bytes) -> None:
    async with asyncio.timeout(SECONDS):
        await check(await client.post(stack.gateway.url("main") + "/mcp", content=content))


@FUZZ
@given(content=st.binary(max_size=200) | VALUES.map(body) | MESSAGES.map(body))
async def test_trace_dialect(stack: Stack, client: httpx2.AsyncClient, content: bytes) -> None:
    async with asyncio.timeout(SECONDS):
        await check(await client.post(stack.gateway.url("traces") + "/api/mcp", content=content))


@FUZZ
@given(content=MESSAGES.map(body))
async def test_grafana_mcp(stack: Stack, client: httpx2.AsyncClient, content: bytes) -> None:
    stack.prometheus.seen.clear()
    async with asyncio.timeout(SECONDS):
        await check(await client.post(stack.gateway.url("main") + "/mcp", content=content))
    assert all(seen.path.startswith("/api/v1/") and "quit" not in seen.path for seen in stack.prometheus.seen)


@FUZZ
@given(
    parameters=st.dictionaries(
        st.sampled_from(["q", "limit", "start", "end", "spss", "tags", "x"]),
        SOUP | COMPARISONS | st.sampled_from(["1", "5m", "9" * 30, ""]) | st.text(max_size=20).filter(str.isprintable),
        max_size=5,
    )
)
async def test_search(stack: Stack, client: httpx2.AsyncClient, parameters: dict[str, str]) -> None:
    async with asyncio.timeout(SECONDS):
        url = stack.gateway.url("traces") + "/api/search?" + urlencode(parameters)
        await check(await client.get(url))


@FUZZ
@given(answer=st.binary(max_size=100) | VALUES.map(body), status=st.integers(200, 599))
async def test_answers_of_back_ends(stack: Stack, client: httpx2.AsyncClient, answer: bytes, status: int) -> None:
    def respond() -> Response:
        return Response(b"" if status in {204, 205, 304} else answer, status_code=status)

    stack.prometheus.always("/api/v1/query", respond)
    stack.jaeger.always("/api/services", respond)
    stack.jaeger.always("/api/traces", respond)
    call = {"tool": "execute_promql_query", "params": {"query": "up", "datasource_uid": "prometheus"}}
    async with asyncio.timeout(SECONDS):
        metrics = await client.post(stack.gateway.url("main") + "/mcp", json=call)
        assert metrics.status_code != 500
        assert metrics.json()["error"]
        for query in ("{}", '{resource.service.name="a"}'):
            traces = await client.get(stack.gateway.url("traces") + "/api/search?" + urlencode({"q": query}))
            assert traces.status_code != 500
            assert isinstance(traces.json(), dict)
