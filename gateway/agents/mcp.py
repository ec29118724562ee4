"""The Model Context Protocol over HTTP, as far as tools need it.

Every message is answered on its own, as JSON: a session id is given out because clients want one, but nothing is
kept for it. A tool's result has MCP's ``content``, and ``data`` and ``metadata`` beside it, which COMPASS reads.

A call that fails is a result with ``isError``, as the protocol wants it, since only results reach a model; a call of no
tool, or with arguments that it does not take, is an error of JSON-RPC. Where COMPASS calls, everything that fails is
one: it reads ``data`` only, and would see an empty answer in a result; and a back end that does not answer is an HTTP
status of 5xx, after which COMPASS asks again.
"""

from __future__ import annotations

import json
import secrets
from typing import TYPE_CHECKING, Protocol, cast

from opentelemetry.trace import StatusCode
from starlette.responses import Response

from gateway.agents.jsonrpc import (
    INTERNAL_ERROR,
    INVALID_PARAMS,
    INVALID_REQUEST,
    NO_METHOD,
    PARSE_ERROR,
    Request,
    RpcError,
    id_of,
    request_of,
)
from gateway.agents.post import parse
from gateway.agents.tool import BadCall, Tool
from gateway.guard import CLIENT_LEFT
from gateway.problems import Refused, json_response
from gateway.tracing import SERVER_ERROR

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from opentelemetry.trace import Span

    from gateway.agents.post import Posted
    from gateway.headers import RawHeaders
    from gateway.metrics import Metrics

# In order. Not 2025-03-26, whose servers must take batches; who asks for it is offered the one before.
PROTOCOLS = ("2024-11-05", "2025-06-18", "2025-11-25")
_PROTOCOL_HEADER = b"mcp-protocol-version"
_DIALECT = "mcp"
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
        for_compass: whether calls that fail are errors of JSON-RPC.
    """

    def __init__(self, tools: Sequence[McpTool], metrics: Metrics, *, version: str, for_compass: bool = False) -> None:
        self._tools = {tool.name: tool for tool in tools}
        self._metrics = metrics
        self._version = version
        self._for_compass = for_compass

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
            if request is None or request.method != "initialize":
                _check_protocol(posted.headers)
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
                    "protocolVersion": _agreed(request.params.get("protocolVersion")),
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
            return self._failed(refused, span)
        finally:
            self._metrics.count_tool_call(_DIALECT, label, status)
        # What a model should know beside the data, for clients that read nothing but content.
        notes = {name: outcome.metadata[name] for name in _NOTES if name in outcome.metadata}
        return {
            "content": [_text(_json(outcome.data)), *([_text(_json(notes))] if notes else [])],
            "isError": False,
            "data": outcome.data,
            "metadata": outcome.metadata,
        }

    def _failed(self, refused: Refused, span: Span) -> Mapping[str, object]:
        """Return the result of a call that failed.

        Raises:
            RpcError: it has none.
        """
        if isinstance(refused, BadCall):
            raise RpcError(INVALID_PARAMS, refused.sentence)
        down = refused.status >= SERVER_ERROR
        if self._for_compass:
            code, status = (INTERNAL_ERROR, refused.status) if down else (INVALID_PARAMS, 200)
            raise RpcError(code, refused.sentence, status=status)
        if down:
            # The status of the answer does not say so; without the sentence, which may quote the query.
            span.set_status(StatusCode.ERROR)
        return {"content": [_text(refused.sentence)], "isError": True}

    def _called(self, params: Mapping[str, object]) -> tuple[McpTool, Mapping[str, object]]:
        name, arguments = params.get("name"), params.get("arguments")
        tool = self._tools.get(name) if isinstance(name, str) else None
        if tool is None:
            raise BadCall(404, "not_found", f"there is no tool of this name; there are {', '.join(self._tools)}")
        if arguments is not None and not isinstance(arguments, dict):
            raise BadCall(400, "bad_data", "arguments must be an object")
        return tool, cast("dict[str, object]", arguments or {})


def _agreed(wanted: object) -> str:
    """Return the version of the protocol to speak: the newest that is not newer than the client's, if there is one."""
    known = [version for version in PROTOCOLS if isinstance(wanted, str) and version <= wanted]
    return known[-1] if known else PROTOCOLS[-1]


def _check_protocol(headers: RawHeaders) -> None:
    """Check the version that a client says it agreed upon.

    Raises:
        RpcError: it is none of ours.
    """
    if any(name == _PROTOCOL_HEADER and value.decode("latin-1") not in PROTOCOLS for name, value in headers):
        sentence = (
            f"the header MCP-Protocol-Version names a version that is not served; there are {', '.join(PROTOCOLS)}"
        )
        raise RpcError(INVALID_REQUEST, sentence, status=400)


def _json(document: Mapping[str, object]) -> str:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"))


def _text(text: str) -> Mapping[str, str]:
    return {"type": "text", "text": text}
