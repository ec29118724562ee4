"""With Grafana's own MCP server, MCP's messages pass and COMPASS's calls stay."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from starlette.responses import JSONResponse, Response, StreamingResponse

from tests.gateway.agents import VECTOR
from tests.gateway.support import BEARER, TOKEN, FakeBackend, free_url, make_config, running, serving

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    import httpx2

    from tests.gateway.support import RunningGateway, Seen

pytestmark = pytest.mark.anyio

JSON = {**BEARER, "Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
CALL: dict[str, Any] = {
    "jsonrpc": "2.0",
    "id": 7,
    "method": "tools/call",
    "params": {"name": "query_prometheus", "arguments": {}},
}
COMPASS = {"tool": "execute_promql_query", "params": {"query": "up", "datasource_uid": "prometheus"}}


@pytest.fixture
async def stack() -> AsyncGenerator[tuple[RunningGateway, FakeBackend, FakeBackend]]:
    server, other = FakeBackend("mcp-grafana"), FakeBackend("other")
    other.always("/api/v1/query", lambda: JSONResponse(VECTOR))
    async with serving(server) as url, serving(other) as rest:
        config = make_config(
            distribution="upstream",
            backends__grafana={"url": rest},
            backends__prometheus={"url": rest},
            backends__mcp_grafana={"url": url},
        )
        async with running(config) as gateway:
            yield gateway, server, other


async def post(gateway: RunningGateway, document: object, **headers: str) -> httpx2.Response:
    body = json.dumps(document).encode()
    return await gateway.request("POST", "main", "/mcp", headers={**JSON, **headers}, content=body)


async def test_messages_pass_with_their_session_and_without_the_token(
    stack: tuple[RunningGateway, FakeBackend, FakeBackend],
) -> None:
    gateway, server, other = stack
    server.always("/mcp", lambda: JSONResponse({"jsonrpc": "2.0"}, headers={"Mcp-Session-Id": "s-1"}))
    sent = {"Mcp-Session-Id": "s-0", "Mcp-Protocol-Version": "2025-06-18", "X-Grafana-Api-Key": "theirs"}
    answer = await post(gateway, CALL, **sent)
    assert (answer.status_code, answer.headers["mcp-session-id"]) == (200, "s-1")
    (seen,) = server.seen
    assert (seen.method, seen.path, json.loads(seen.body)) == ("POST", "/mcp", CALL)
    assert (seen.headers["mcp-session-id"], seen.headers["mcp-protocol-version"]) == ("s-0", "2025-06-18")
    assert "event-stream" in seen.headers["accept"]
    assert not {"authorization", "x-grafana-api-key", "cookie"} & set(seen.headers)
    assert TOKEN not in str(seen)
    assert other.seen == []
    metrics = (await gateway.get("internal", "/metrics")).text
    assert 'gateway_tool_calls_total{dialect="mcp",outcome="200",tool="query_prometheus"} 1.0' in metrics


async def test_an_answer_in_events_passes_as_it_is(stack: tuple[RunningGateway, FakeBackend, FakeBackend]) -> None:
    gateway, server, _ = stack

    async def events() -> AsyncGenerator[bytes]:
        yield b'event: message\ndata: {"jsonrpc":"2.0","id":7,"result":{}}\n\n'

    async def answer(_seen: Seen) -> Response:
        return StreamingResponse(events(), media_type="text/event-stream")

    server.answers["/mcp"] = answer
    got = await post(gateway, CALL)
    assert got.headers["content-type"].startswith("text/event-stream")
    assert got.text.startswith("event: message\n")


async def test_a_session_is_ended_and_there_is_no_stream_beside_answers(
    stack: tuple[RunningGateway, FakeBackend, FakeBackend],
) -> None:
    gateway, server, _ = stack
    ended = await gateway.request("DELETE", "main", "/mcp", headers={**BEARER, "Mcp-Session-Id": "s-0"})
    assert ended.status_code == 200
    assert (server.seen[0].method, server.seen[0].headers["mcp-session-id"]) == ("DELETE", "s-0")
    streamed = await gateway.request("GET", "main", "/mcp", headers={**BEARER, "Accept": "text/event-stream"})
    assert (streamed.status_code, streamed.headers["allow"]) == (405, "POST, DELETE")
    assert len(server.seen) == 1


async def test_compass_is_answered_by_the_gateway(stack: tuple[RunningGateway, FakeBackend, FakeBackend]) -> None:
    gateway, server, other = stack
    answer = await post(gateway, COMPASS)
    assert answer.json()["data"]["resultType"] == "vector"
    assert [seen.path for seen in other.seen] == ["/api/v1/query"]
    for rubbish in (b"", b"[1]", b"{", b"\xff"):
        assert (await gateway.request("POST", "main", "/mcp", headers=JSON, content=rubbish)).status_code == 400
    assert server.seen == []


async def test_names_that_nobody_knows_make_no_series(
    stack: tuple[RunningGateway, FakeBackend, FakeBackend],
) -> None:
    gateway, _, _ = stack
    for name in ("made-up", 3, None):
        await post(gateway, {**CALL, "params": {"name": name}})
    await post(gateway, {**CALL, "params": []})
    metrics = (await gateway.get("internal", "/metrics")).text
    assert 'gateway_tool_calls_total{dialect="mcp",outcome="200",tool="other"} 4.0' in metrics
    assert "made-up" not in metrics


async def test_a_server_that_is_down_is_named(stack: tuple[RunningGateway, FakeBackend, FakeBackend]) -> None:
    _, _, other = stack
    config = make_config(
        distribution="upstream",
        backends__grafana={"url": other.url or free_url()},
        backends__mcp_grafana={"url": free_url()},
    )
    async with running(config) as gateway:
        answer = await post(gateway, CALL)
        metrics = (await gateway.get("internal", "/metrics")).text
    assert (answer.status_code, answer.json()["backend"]) == (502, "mcp-grafana")
    assert 'gateway_tool_calls_total{dialect="mcp",outcome="502",tool="query_prometheus"} 1.0' in metrics


async def test_the_token_body_and_origin_are_judged_first(
    stack: tuple[RunningGateway, FakeBackend, FakeBackend],
) -> None:
    gateway, server, _ = stack
    body = json.dumps(CALL).encode()
    for headers, status in (
        ({"Content-Type": "application/json"}, 401),
        ({**JSON, "Origin": "http://evil.example"}, 403),
        ({**BEARER, "Content-Type": "text/plain"}, 415),
    ):
        assert (await gateway.request("POST", "main", "/mcp", headers=headers, content=body)).status_code == status
    large = await gateway.request("POST", "main", "/mcp", headers=JSON, content=b" " * 1_100_000)
    assert large.status_code == 413
    assert server.seen == []
