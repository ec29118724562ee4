"""A stand-in for COMPASS's clients, written from the contract: headers, sessions, order of calls, retries."""

from __future__ import annotations

from collections import deque
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from starlette.responses import JSONResponse

from tests.gateway.agents import MATRIX, STREAMS, VECTOR, form
from tests.gateway.jaeger_data import Jaeger, payment
from tests.gateway.support import TOKEN, make_client

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    import httpx2
    from starlette.responses import Response

    from tests.gateway.conftest import Stack
    from tests.gateway.support import Seen

pytestmark = pytest.mark.anyio

ATTEMPTS = 3


class QueryError(Exception):
    """What COMPASS shows to its model."""


class UnreachableError(Exception):
    """What COMPASS gives up on."""


async def attempts(client: httpx2.AsyncClient, url: str, document: dict[str, Any], **headers: str) -> httpx2.Response:
    """POST; after a 5xx twice again (COMPASS waits in between)."""
    for attempt in range(1, ATTEMPTS + 1):
        response = await client.post(url, json=document, headers=headers)
        if response.status_code == 401:
            raise UnreachableError("401")
        if response.status_code == 404:
            raise QueryError("data source not found, or tool not available")
        if 400 <= response.status_code < 500:
            raise QueryError(response.json().get("error", "unknown error"))
        if response.status_code < 500:
            return response
        if attempt == ATTEMPTS:
            raise UnreachableError(str(response.status_code))
    raise AssertionError("unreachable")


@dataclass
class GrafanaClient:
    """The client of the Grafana front."""

    url: str
    client: httpx2.AsyncClient
    uids: dict[str, str] = field(default_factory=dict[str, str])

    async def discover(self, kind: str) -> str | None:
        """Return the uid of the first data source of a kind."""
        response = await self.client.get(f"{self.url}/api/datasources")
        response.raise_for_status()
        return next((one["uid"] for one in response.json() if kind in one["type"].lower()), None)

    async def call(self, tool: str, **params: object) -> dict[str, Any]:
        """Call a tool and return ``data``."""
        response = await attempts(self.client, f"{self.url}/mcp", {"tool": tool, "params": params})
        return response.json().get("data", {})


@dataclass
class TempoClient:
    """The client of the trace front; the token is in the URL."""

    url: str
    client: httpx2.AsyncClient
    session: str | None = None

    async def connect(self) -> None:
        """Begin a session."""
        response = await self.client.post(
            f"{self.url}/api/mcp",
            json={
                "jsonrpc": "2.0",
                "id": 1,
                "method": "initialize",
                "params": {
                    "protocolVersion": "2024-11-05",
                    "capabilities": {},
                    "clientInfo": {"name": "compass-tempo-client", "version": "0.1.0"},
                },
            },
        )
        response.raise_for_status()
        self.session = response.headers["Mcp-Session-Id"]

    async def search(self, query: str, **arguments: object) -> dict[str, Any]:
        """Search, and return ``data`` of the result."""
        assert self.session is not None
        params = {
            "name": "traceql-search",
            "arguments": {"query": query, "limit": 20, **arguments},
            "_meta": {"sessionId": self.session},
        }
        document = {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": params}
        response = await attempts(self.client, f"{self.url}/api/mcp", document, **{"Mcp-Session-Id": self.session})
        body = response.json()
        if "error" in body:
            raise QueryError(body["error"].get("message", "unknown error"))
        return body["result"].get("data", {})

    async def close(self) -> httpx2.Response:
        """End the session; COMPASS sends no session id with this."""
        document: dict[str, Any] = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {}}
        return await self.client.post(f"{self.url}/api/mcp", json=document)


@asynccontextmanager
async def grafana(stack: Stack, token: str = TOKEN) -> AsyncGenerator[GrafanaClient]:
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    async with make_client(**headers) as client:
        yield GrafanaClient(stack.gateway.url("main"), client)


@asynccontextmanager
async def tempo(stack: Stack, token: str = TOKEN) -> AsyncGenerator[TempoClient]:
    async with make_client(**{"Content-Type": "application/json"}) as client:
        yield TempoClient(stack.gateway.url("traces").replace("http://", f"http://compass:{token}@"), client)


def fail_first(times: int, body: object) -> Any:
    answers = deque([503] * times)

    async def answer(_seen: Seen) -> Response:
        return JSONResponse({"error": "not now"}, answers.popleft()) if answers else JSONResponse(body)

    return answer


async def test_an_investigation_of_metrics_and_logs(stack: Stack) -> None:
    stack.prometheus.always("/api/v1/query", lambda: JSONResponse(VECTOR))
    stack.prometheus.always("/api/v1/query_range", lambda: JSONResponse(MATRIX))
    stack.loki.always("/loki/api/v1/query_range", lambda: JSONResponse(STREAMS))
    end = datetime.now(UTC)
    span = {"start": (end - timedelta(minutes=15)).isoformat(), "end": end.isoformat()}
    async with grafana(stack) as client:
        metrics, logs = await client.discover("prometheus"), await client.discover("loki")
        assert (metrics, logs, await client.discover("tempo"), await client.discover("mimir")) == (
            "prometheus",
            "loki",
            "tempo",
            None,
        )
        now = await client.call("execute_promql_query", query="db_connections", datasource_uid=metrics, context=None)
        assert [series["value"][1] for series in now["result"]] == ["1"]
        ranged = await client.call("execute_promql_query", query="pg_up", datasource_uid=metrics, step="15s", **span)
        assert (ranged["resultType"], ranged["result"]) == ("matrix", [])
        lines = await client.call("execute_logql_query", query='{app="postgres"}', datasource_uid=logs, duration="5m")
        assert [len(stream["values"]) for stream in lines["result"]] == [1]
        query = '{service="payment-service"} |~ "connection.*(refused|timeout|failed)"'
        await client.call("execute_logql_query", query=query, datasource_uid=logs, limit=100, **span)
        assert form(stack.loki.seen[-1])["query"] == query
        assert (await client.call("search_dashboards", title="Database"))["dashboards"] == []


async def test_what_is_wrong_reaches_the_model(stack: Stack) -> None:
    words = "1:5: parse error: unexpected end of input"
    stack.prometheus.always("/api/v1/query", lambda: JSONResponse({"status": "error", "error": words}, 400))
    async with grafana(stack) as client:
        with pytest.raises(QueryError, match="unexpected end of input"):
            await client.call("execute_promql_query", query="sum(", datasource_uid="prometheus")
        with pytest.raises(QueryError, match="not found"):
            await client.call("execute_promql_query", query="up", datasource_uid="nope")
        with pytest.raises(QueryError, match="not available"):
            await client.call("no_such_tool")
    assert len(stack.prometheus.seen) == 1, "a 4xx is not asked again"
    async with grafana(stack, token="wrong") as client:
        with pytest.raises(UnreachableError, match="401"):
            await client.call("search_dashboards", title="x")


async def test_a_back_end_that_recovers_between_the_attempts_is_no_failure(stack: Stack) -> None:
    stack.prometheus.answers["/api/v1/query"] = fail_first(2, VECTOR)
    async with grafana(stack) as client:
        assert (await client.call("execute_promql_query", query="up", datasource_uid="prometheus"))["result"]
        assert len(stack.prometheus.seen) == ATTEMPTS
        stack.prometheus.answers["/api/v1/query"] = fail_first(3, VECTOR)
        with pytest.raises(UnreachableError, match="503"):
            await client.call("execute_promql_query", query="up", datasource_uid="prometheus")


async def test_an_investigation_of_traces(stack: Stack) -> None:
    now = datetime.now(UTC)
    at = int((now - timedelta(minutes=5)).timestamp() * 1e6)
    Jaeger(stack.jaeger, [payment(1, at=at), payment(2, at=at + 10, took=1000)])
    async with tempo(stack) as client:
        await client.connect()
        assert len((await client.search("{}"))["traces"]) == 2
        found = await client.search('{service.name="payment-service"}')
        assert [one["rootServiceName"] for one in found["traces"]] == ["payment-service"] * 2
        span = {"start": (now - timedelta(minutes=10)).isoformat(), "end": now.isoformat()}
        (slow,) = (await client.search('{resource.service.name="payment-service" && duration > 1s}', **span))["traces"]
        assert (slow["traceID"], slow["durationMs"], slow["rootTraceName"]) == (f"{1:032x}", 1500, "POST /payment")
        database = await client.search('{span.db.system="postgresql"}')
        assert len(database["traces"]) == 2
        assert (await client.search('{service.name="database"}'))["traces"] == []
        with pytest.raises(QueryError, match="is not supported here"):
            await client.search('{name="a" || name="b"}')
        assert (await client.close()).status_code == 202


async def test_a_session_of_a_gateway_that_was_restarted_goes_on(stack: Stack) -> None:
    Jaeger(stack.jaeger, [])
    async with tempo(stack) as client:
        client.session = "of-another-process"
        assert (await client.search("{}"))["traces"] == []


async def test_traces_are_asked_for_again_after_a_5xx(stack: Stack) -> None:
    stack.jaeger.answers["/api/traces"] = fail_first(2, {"data": []})
    async with tempo(stack) as client:
        await client.connect()
        assert (await client.search('{resource.service.name="a"}'))["traces"] == []
    async with tempo(stack, token="wrong") as client:
        client.session = "x"
        with pytest.raises(UnreachableError, match="401"):
            await client.search("{}")


async def test_every_call_has_a_connection_of_its_own(stack: Stack) -> None:
    """As COMPASS's synchronous callers need it: they make each call in an event loop of its own, with one client."""
    for front, path, body in (
        ("main", "/api/datasources", b""),
        ("main", "/mcp", b'{"tool": "search_dashboards", "params": {"title": "x"}}'),
        ("main", "/mcp", b"rubbish"),
        ("traces", "/api/mcp", b'{"jsonrpc": "2.0", "id": 1, "method": "ping"}'),
    ):
        head = f"{'POST' if body else 'GET'} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        for credential in (f"Authorization: Bearer {TOKEN}\r\n", ""):
            sent = f"{head}{credential}Content-Length: {len(body)}\r\n\r\n".encode() + body
            # What comes back is read until the gateway closes.
            answer = await stack.gateway.raw(front, sent)
            assert b"connection: close" in answer.lower().split(b"\r\n\r\n")[0]
    kept = await stack.gateway.get("prometheus", "/api/v1/query?query=up")
    assert "connection" not in kept.headers
