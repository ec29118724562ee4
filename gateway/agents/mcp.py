"""The Model Context Protocol over HTTP, as far as tools need it.

Every message is answered on its own, as JSON: a session id is given out because clients want one, but nothing is
kept for it. A tool's result has MCP's ``content``, and ``data`` and ``metadata`` beside it, which COMPASS reads. What
is wrong with a query is an error of JSON-RPC and not a result with ``isError``, in which COMPASS would see an empty
answer; a back end that does not answer is an HTTP status of 5xx, after which COMPASS asks again.
"""

from __future__ import annotations

import json
import secrets
from typing import TYPE_CHECKING, Protocol, cast

from starlette.responses import Response

from gateway.agents.jsonrpc import (
    INTERNAL_ERROR,
    INVALID_PARAMS,
    NO_METHOD,
    PARSE_ERROR,
    Request,
    RpcError,
    id_of,
    request_of,
)
from gateway.agents.post import parse
from gateway.agents.tool import Tool
from gateway.guard import CLIENT_LEFT
from gateway.problems import Refused, json_response

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from opentelemetry.trace import Span

    from gateway.agents.post import Posted
    from gateway.metrics import Metrics

PROTOCOL = "2024-11-05"
_DIALECT = "mcp"
_SERVER_ERROR = 500
_NOTES = ("repaired", "notes", "ignored", "warnings", "infos")
_METHODS = ("initialize", "ping", "tools/list", "tools/call")


class McpTool(Tool, Protocol):
    """A tool that says what it is for and takes."""

    @property
    def description(self) -> str:
        """What it does, for a language model."""
        ...

    @property
    def schema(self) -> Mapping[str, object]:
        """JSON schema of its arguments."""
        ...


class Mcp:
    """Answers messages.

    Args:
        tools: what can be called.
        metrics: the gateway's; counts calls by tool and status.
        version: the gateway's.
    """

    def __init__(self, tools: Sequence[McpTool], metrics: Metrics, *, version: str) -> None:
        self._tools = {tool.name: tool for tool in tools}
        self._metrics = metrics
        self._version = version

    async def answer(self, posted: Posted) -> Response:
        """Return the answer to one message; 202 without a body for what is not answered."""
        message_id = None
        try:
            try:
                document = parse(posted.body)
            except Refused as refused:
                raise RpcError(PARSE_ERROR, refused.sentence, status=refused.status) from None
            message_id = id_of(document)
            request = request_of(document)
            if request is None or not request.answered:
                return Response(status_code=202)
            result = await self._result(request, posted.span)
        except RpcError as error:
            return error.response(message_id)
        headers = {"Mcp-Session-Id": secrets.token_hex(16)} if request.method == "initialize" else {}
        return json_response({"jsonrpc": "2.0", "id": message_id, "result": result}, headers=headers)

    async def _result(self, request: Request, span: Span) -> Mapping[str, object]:
        match request.method:
            case "initialize":
                return {
                    "protocolVersion": PROTOCOL,
                    "capabilities": {"tools": {"listChanged": False}},
                    "serverInfo": {"name": "compass-demo-gateway", "version": self._version},
                }
            case "ping":
                return {}
            case "tools/list":
                return {
                    "tools": [
                        {"name": tool.name, "description": tool.description, "inputSchema": tool.schema}
                        for tool in self._tools.values()
                    ]
                }
            case "tools/call":
                return await self._call(request.params, span)
            case _:
                raise RpcError(
                    NO_METHOD, f"there is no method {request.method[:80]!r}; there are {', '.join(_METHODS)}"
                )

    async def _call(self, params: Mapping[str, object], span: Span) -> Mapping[str, object]:
        label, status = "other", CLIENT_LEFT
        try:
            tool, arguments = self._called(params)
            label = tool.name
            span.set_attribute("gateway.tool", label)
            outcome = await tool.run(arguments, span)
            status = 200
        except Refused as refused:
            status = refused.status
            if status >= _SERVER_ERROR:
                raise RpcError(INTERNAL_ERROR, refused.sentence, status=status) from None
            raise RpcError(INVALID_PARAMS, refused.sentence) from None
        finally:
            self._metrics.count_tool_call(_DIALECT, label, status)
        # What a model should know beside the data, for clients that read nothing but content.
        notes = {name: outcome.metadata[name] for name in _NOTES if name in outcome.metadata}
        return {
            "content": [_text(outcome.data), *([_text(notes)] if notes else [])],
            "isError": False,
            "data": outcome.data,
            "metadata": outcome.metadata,
        }

    def _called(self, params: Mapping[str, object]) -> tuple[McpTool, Mapping[str, object]]:
        name, arguments = params.get("name"), params.get("arguments")
        tool = self._tools.get(name) if isinstance(name, str) else None
        if tool is None:
            raise Refused(404, "not_found", f"there is no tool of this name; there are {', '.join(self._tools)}")
        if arguments is not None and not isinstance(arguments, dict):
            raise Refused(400, "bad_data", "arguments must be an object")
        return tool, cast("dict[str, object]", arguments or {})


def _text(document: Mapping[str, object]) -> Mapping[str, str]:
    return {"type": "text", "text": json.dumps(document, ensure_ascii=False, separators=(",", ":"))}
