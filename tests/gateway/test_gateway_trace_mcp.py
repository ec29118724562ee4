"""MCP on the trace front, over Jaeger and over Tempo."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest
from starlette.responses import JSONResponse, PlainTextResponse
from structlog.testing import capture_logs

from tests.gateway.agents import JSON, post, query
from tests.gateway.jaeger_data import START, Jaeger, payment
from tests.gateway.support import BEARER, TOKEN, FakeBackend, free_url, make_config, running, serving

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    import httpx2

    from tests.gateway.conftest import Stack
    from tests.gateway.support import RunningGateway

pytestmark = pytest.mark.anyio

WINDOW = {"start": "2025-11-21T13:50:00+00:00", "end": "2025-11-21T14:10:00+00:00"}
FOUND: dict[str, Any] = {"traces": [{"traceID": "1", "durationMs": 5}], "metrics": {"inspectedBytes": "7"}}


async def rpc(gateway: RunningGateway, method: str, params: object = None, **message: object) -> httpx2.Response:
    document: dict[str, object] = {"jsonrpc": "2.0", "id": 2, "method": method, **message}
    if params is not None:
        document["params"] = params
    return await post(gateway, "/api/mcp", document, front="traces")


async def find(gateway: RunningGateway, **arguments: object) -> httpx2.Response:
    return await rpc(gateway, "tools/call", {"name": "traceql-search", "arguments": arguments})


@pytest.fixture
async def tempo(anyio_backend: str) -> AsyncGenerator[tuple[RunningGateway, FakeBackend]]:
    assert anyio_backend == "asyncio"
    backend = FakeBackend("tempo")
    backend.always("/api/search", lambda: JSONResponse(FOUND))
    async with (
        serving(backend) as url,
        running(make_config(backends__traces={"kind": "tempo", "url": url})) as gateway,
    ):
        yield gateway, backend


async def test_a_session_begins_with_its_id_in_a_header(stack: Stack) -> None:
    params = {"protocolVersion": "2024-11-05", "capabilities": {}, "clientInfo": {"name": "x", "version": "1"}}
    one, two = await rpc(stack.gateway, "initialize", params, id=1), await rpc(stack.gateway, "initialize", params)
    assert one.status_code == 200
    assert len({one.headers["mcp-session-id"], two.headers["mcp-session-id"]}) == 2
    body = one.json()
    assert (body["jsonrpc"], body["id"]) == ("2.0", 1)
    assert body["result"]["protocolVersion"] == "2024-11-05"
    assert body["result"]["capabilities"]["tools"] is not None
    assert {*body["result"]["serverInfo"]} == {"name", "version"}


async def test_the_tool_is_listed_with_what_it_takes(stack: Stack) -> None:
    (tool,) = (await rpc(stack.gateway, "tools/list", {})).json()["result"]["tools"]
    assert tool["name"] == "traceql-search"
    assert "TraceQL" in tool["description"]
    assert {*tool["inputSchema"]["properties"]} == {"query", "limit", "start", "end"}
    assert tool["inputSchema"]["required"] == ["query"]


async def test_a_call_answers_with_data_and_with_content(stack: Stack) -> None:
    Jaeger(stack.jaeger, [payment(7)])
    result = (await find(stack.gateway, query='{service.name="payment-service"}', limit=20, **WINDOW)).json()["result"]
    (trace,) = result["data"]["traces"]
    assert (trace["traceID"], trace["durationMs"]) == (f"{7:032x}", 1500)
    assert (trace["rootServiceName"], trace["rootTraceName"]) == ("payment-service", "POST /payment")
    content, notes = result["content"]
    assert content["type"] == notes["type"] == "text"
    assert json.loads(content["text"]) == result["data"]
    assert json.loads(notes["text"]) == {"repaired": result["metadata"]["repaired"]}
    assert result["isError"] is False
    assert "resource.service.name" in result["metadata"]["repaired"]
    assert query(stack.jaeger.seen[0])["start"] == str(START - 600_000_000)


async def test_the_last_hour_is_searched_without_a_range(stack: Stack) -> None:
    Jaeger(stack.jaeger, [])
    result = (await find(stack.gateway, query='{resource.service.name="a"}')).json()["result"]
    assert result["data"]["traces"] == []
    assert len(result["content"]) == 1
    asked = query(stack.jaeger.seen[0])
    assert (int(asked["end"]) - int(asked["start"])) / 1e6 == pytest.approx(3600, abs=1)
    assert asked["limit"] == "20"


async def test_tempo_is_asked_itself_with_the_repair_applied(tempo: tuple[RunningGateway, FakeBackend]) -> None:
    gateway, backend = tempo
    result = (await find(gateway, query='{service.name="a"}', limit=5, **WINDOW)).json()["result"]
    assert result["data"] == FOUND
    assert "repaired" in result["metadata"]
    (seen,) = backend.seen
    assert query(seen) == {
        "q": '{resource.service.name="a"}',
        "limit": "5",
        "spss": "3",
        "start": str(START // 1_000_000 - 600),
        "end": str(START // 1_000_000 + 600),
    }
    beyond = '{ name = "a" || name = "b" } | count() > 2'
    assert "repaired" not in (await find(gateway, query=beyond)).json()["result"]["metadata"]
    assert query(backend.seen[1])["q"] == beyond, "Tempo knows all of TraceQL"
    backend.always("/api/search", lambda: JSONResponse({"metrics": {}}))
    assert (await find(gateway, query="{}")).json()["result"]["data"]["traces"] == []


async def test_tempos_own_words_come_back(tempo: tuple[RunningGateway, FakeBackend]) -> None:
    gateway, backend = tempo
    backend.always(
        "/api/search", lambda: PlainTextResponse("invalid TraceQL query: parse error at line 1, col 2\n", 400)
    )
    error = (await find(gateway, query="{nonsense}")).json()["error"]
    assert error["message"] == "invalid TraceQL query: parse error at line 1, col 2"
    backend.always("/api/search", lambda: JSONResponse({"traces": 5}))
    assert (await find(gateway, query="{}")).status_code == 502


async def test_tempos_http_search_passes_untouched_but_for_the_repair(
    tempo: tuple[RunningGateway, FakeBackend],
) -> None:
    gateway, backend = tempo
    plain = "q=%7Bname%3D%22a%22%7D+%7C+count%28%29+%3E+2&start=1&end=2&tags=x%3Dy"
    response = await gateway.get("traces", f"/api/search?{plain}")
    assert (response.json(), backend.seen[0].query) == (FOUND, plain)
    given = urlencode({"q": '{service.name="a"}', "start": "1000", "end": "1000"})
    repaired = await gateway.get("traces", f"/api/search?{given}")
    assert repaired.json()["traces"] == FOUND["traces"]
    assert "repaired" in repaired.json()["metadata"]
    assert query(backend.seen[1])["q"] == '{resource.service.name="a"}'
    assert (query(backend.seen[1])["start"], query(backend.seen[1])["end"]) == ("1000", "1001")
    assert (await gateway.request("POST", "traces", "/api/search", headers=BEARER)).status_code == 405
    assert (await gateway.get("traces", "/api/v2/search/tags")).status_code == 200, "the rest of the front still passes"


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        ({}, "query: Field required"),
        ({"query": 5}, "query: Input should be a valid string"),
        ({"query": "{"}, "parse error at line 1, col 2"),
        ({"query": '{name="a" || name="b"}'}, "the operator || is not supported here"),
        ({"query": "{}", "limit": 1000}, "limit of 200"),
        ({"query": "{}", "start": "soon"}, "start is neither"),
        ({"query": "{" + " " * 9000}, "limit of 8192 bytes"),
    ],
)
async def test_what_is_wrong_with_a_call_is_an_error_that_says_so(
    stack: Stack, arguments: dict[str, object], part: str
) -> None:
    response = await find(stack.gateway, **arguments)
    assert response.status_code == 200
    assert (response.json()["error"]["code"], part in response.json()["error"]["message"]) == (-32602, True)
    assert stack.jaeger.seen == []


@pytest.mark.parametrize(
    ("message", "status", "code"),
    [
        (b"", 400, -32700),
        (b"[" * 10_000, 400, -32700),
        (b"[]", 400, -32600),
        (b"5", 400, -32600),
        (b"{}", 400, -32600),
        (b'{"jsonrpc":"1.0","id":1,"method":"ping"}', 400, -32600),
        (b'{"jsonrpc":"2.0","id":1}', 400, -32600),
        (b'{"jsonrpc":"2.0","id":null,"method":"ping"}', 400, -32600),
        (b'{"jsonrpc":"2.0","id":1e999,"method":"ping"}', 400, -32600),
        (b'{"jsonrpc":"2.0","id":true,"method":"ping"}', 400, -32600),
        (b'{"jsonrpc":"2.0","id":1,"method":"ping","params":[]}', 200, -32602),
        (b'{"jsonrpc":"2.0","id":1,"method":"resources/list"}', 200, -32601),
        (b'{"jsonrpc":"2.0","id":1,"method":"tools/call"}', 200, -32602),
        (b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"get-trace"}}', 200, -32602),
        (
            b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"traceql-search","arguments":1}}',
            200,
            -32602,
        ),
    ],
)
async def test_what_is_no_request_is_told_so(stack: Stack, message: bytes, status: int, code: int) -> None:
    response = await post(stack.gateway, "/api/mcp", message, front="traces")
    assert (response.status_code, response.json()["error"]["code"]) == (status, code)


async def test_notifications_and_answers_get_no_answer(stack: Stack) -> None:
    messages: list[dict[str, Any]] = [
        {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {}},
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        {"jsonrpc": "2.0", "id": 5, "result": {}},
    ]
    for message in messages:
        response = await post(stack.gateway, "/api/mcp", message, front="traces")
        assert (response.status_code, response.content) == (202, b"")


async def test_a_ping_is_answered(stack: Stack) -> None:
    assert (await rpc(stack.gateway, "ping", id="a")).json() == {"jsonrpc": "2.0", "id": "a", "result": {}}


async def test_a_back_end_that_is_down_is_a_5xx_so_that_clients_ask_again() -> None:
    async with running(make_config(backends__traces={"kind": "jaeger", "url": free_url()})) as gateway:
        response = await find(gateway, query="{}")
    assert response.status_code == 502
    assert response.json()["error"] == {"code": -32603, "message": "jaeger cannot be reached: connection refused"}


async def test_other_methods_and_callers_without_the_token_are_refused(stack: Stack) -> None:
    for method in ("GET", "DELETE", "PUT"):
        response = await stack.gateway.request(method, "traces", "/api/mcp", headers=BEARER)
        assert (response.status_code, response.headers["allow"]) == (405, "POST")
    response = await stack.gateway.request("POST", "traces", "/api/mcp", headers=JSON, content=b"{}")
    assert response.status_code == 401
    assert (await post(stack.gateway, "/api/mcp", {}, front="traces", Origin="https://evil.example")).status_code == 403


async def test_searches_are_counted_and_nothing_of_them_is_logged(stack: Stack) -> None:
    Jaeger(stack.jaeger, [payment(1)])
    with capture_logs() as lines:
        await find(stack.gateway, query='{resource.service.name="secret"}')
        await rpc(stack.gateway, "tools/call", {"name": "secret"})
        await stack.gateway.get("traces", "/api/search?q=%7Bname%3D%22secret%22%7D")
    metrics = (await stack.gateway.request("GET", "internal", "/metrics")).text
    assert 'gateway_tool_calls_total{dialect="mcp",outcome="200",tool="traceql-search"}' in metrics
    assert 'gateway_tool_calls_total{dialect="mcp",outcome="404",tool="other"}' in metrics
    assert 'gateway_tool_calls_total{dialect="tempo",outcome="200",tool="search"}' in metrics
    assert "secret" not in metrics + repr(lines)
    assert TOKEN not in repr(lines)
