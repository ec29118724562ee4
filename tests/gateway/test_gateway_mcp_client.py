"""MCP's own Python client against the gateway: what any other agent sees."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError
from mcp.types import CallToolResult, TextContent
from starlette.responses import JSONResponse

from tests.gateway.agents import VECTOR
from tests.gateway.jaeger_data import Jaeger, payment
from tests.gateway.support import BEARER, make_client

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from tests.gateway.conftest import Stack

pytestmark = pytest.mark.anyio

PROMETHEUS = {"datasourceUid": "prometheus"}
WORDS = "1:4: parse error: unexpected end of input"


@asynccontextmanager
async def connected(url: str) -> AsyncGenerator[Client]:
    async with make_client(**BEARER) as http, Client(streamable_http_client(url, http_client=http)) as client:
        yield client


def text(result: CallToolResult) -> str:
    content = result.content[0]
    assert isinstance(content, TextContent)
    return content.text


async def test_metrics_are_read_and_a_query_that_fails_is_a_result(stack: Stack) -> None:
    async with connected(f"{stack.gateway.url('main')}/mcp") as client:
        assert client.protocol_version == "2025-11-25"
        assert client.server_info is not None
        assert client.server_info.name == "compass-demo-gateway"
        assert "query_prometheus" in {tool.name for tool in (await client.list_tools()).tools}

        stack.prometheus.always("/api/v1/query", lambda: JSONResponse(VECTOR))
        good = await client.call_tool("query_prometheus", {"expr": "up", **PROMETHEUS})
        assert (good.is_error, json.loads(text(good))) == (False, VECTOR["data"])

        stack.prometheus.always("/api/v1/query", lambda: JSONResponse({"status": "error", "error": WORDS}, 400))
        bad = await client.call_tool("query_prometheus", {"expr": "up{", **PROMETHEUS})
        assert (bad.is_error, text(bad)) == (True, WORDS)

        with pytest.raises(MCPError, match="no tool of this name"):
            await client.call_tool("nothing", {})


async def test_traces_are_read_and_a_query_that_fails_is_an_error(stack: Stack) -> None:
    Jaeger(stack.jaeger, [payment(7)])
    async with connected(f"{stack.gateway.url('traces')}/api/mcp") as client:
        (tool,) = (await client.list_tools()).tools
        window = {"start": "2025-11-21T13:50:00+00:00", "end": "2025-11-21T14:10:00+00:00"}
        found = await client.call_tool(tool.name, {"query": "{}", **window})
        assert json.loads(text(found))["traces"][0]["rootServiceName"] == "payment-service"
        with pytest.raises(MCPError, match="parse error"):
            await client.call_tool(tool.name, {"query": "{"})
