"""``/mcp`` of the main front where Grafana's own MCP server runs: MCP's messages are passed on to it as they are.

COMPASS's calls, which are no MCP, stay with the gateway.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from gateway.agents.either import is_rpc
from gateway.agents.post import parse
from gateway.guard import CLIENT_LEFT, ClientGone, read_body
from gateway.problems import Refused
from gateway.rules import JSON, AllowList, Rule

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from gateway.metrics import Metrics

MCP_GRAFANA = AllowList(
    title="mcp-grafana", rules=(Rule(template="/mcp", methods=frozenset({"POST", "DELETE"}), body=JSON),)
)
MCP_HEADERS = frozenset({b"mcp-session-id", b"mcp-protocol-version", b"last-event-id"})
_DIALECT = "mcp"
# Names that are worth a series of their own; the server has dozens, and callers may send any.
_COUNTED = frozenset(
    {
        "query_prometheus",
        "query_loki_logs",
        "list_datasources",
        "list_prometheus_metric_names",
        "list_prometheus_label_names",
        "list_prometheus_label_values",
        "list_loki_label_names",
        "list_loki_label_values",
        "search_dashboards",
    }
)


class PassedMcp:
    """An ASGI application for one path.

    Args:
        compass: answers COMPASS's calls.
        passing: passes on to the MCP server.
        metrics: the gateway's; counts tools by outcome.
        body_bytes: the longest body.
    """

    def __init__(self, compass: ASGIApp, passing: ASGIApp, metrics: Metrics, *, body_bytes: int) -> None:
        self._compass = compass
        self._passing = passing
        self._metrics = metrics
        self._body_bytes = body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request.

        Raises:
            Refused: the answer to give instead.
        """
        match scope["method"]:
            case "POST":
                try:
                    body = await read_body(receive, self._body_bytes)
                except ClientGone:
                    return
                document = _document(body)
                if is_rpc(document):
                    await self._pass(scope, _again(body, receive), send, document)
                else:
                    await self._compass(scope, _again(body, receive), send)
            case "DELETE":
                await self._passing(scope, receive, send)
            case _:
                # MCP allows a server to have no stream beside its answers.
                sentence = "this path takes POST, and DELETE to end a session"
                raise Refused(405, "bad_data", sentence, headers={"Allow": "POST, DELETE"})

    async def _pass(self, scope: Scope, receive: Receive, send: Send, document: object) -> None:
        tool = _tool(document)
        status = CLIENT_LEFT

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._passing(scope, receive, watched)
        except Refused as refused:
            status = refused.status
            raise
        finally:
            if tool is not None:
                self._metrics.count_tool_call(_DIALECT, tool, status)


def _document(body: bytes) -> object:
    try:
        return parse(body)
    except Refused:
        return None


def _tool(document: object) -> str | None:
    message = cast("dict[str, object]", document) if isinstance(document, dict) else {}
    if message.get("method") != "tools/call":
        return None
    params = message.get("params")
    name = cast("dict[str, object]", params).get("name") if isinstance(params, dict) else None
    return name if isinstance(name, str) and name in _COUNTED else "other"


def _again(body: bytes, receive: Receive) -> Receive:
    """Return a receive that hands out a body which was read already."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Message:
        return messages.pop() if messages else await receive()

    return again
