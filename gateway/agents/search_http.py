"""``GET /api/search``: Tempo's HTTP API for TraceQL, whoever stores the traces."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from gateway.agents.traced import answer_call
from gateway.guard import ClientGone, read_body
from gateway.problems import Refused, json_response
from gateway.rules import READ
from gateway.traceql.repair import repair

if TYPE_CHECKING:
    from opentelemetry.trace import Span
    from starlette.responses import Response
    from starlette.types import ASGIApp, Receive, Scope, Send

    from gateway.agents.traces import TraceSearch
    from gateway.metrics import Metrics
    from gateway.tracing import Tracing

_DIALECT, _TOOL = "tempo", "search"
_FIELDS = 32
_OLD = ("tags", "minDuration", "maxDuration")


class SearchHttp:
    """An ASGI application for one path.

    Args:
        search: finds traces.
        tracing: makes the spans.
        metrics: the gateway's; counts searches by status.
        passing: takes what needs no repair, where the back end speaks this dialect itself.
    """

    def __init__(self, search: TraceSearch, tracing: Tracing, metrics: Metrics, *, passing: ASGIApp | None) -> None:
        self._search = search
        self._tracing = tracing
        self._metrics = metrics
        self._passing = passing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request.

        Raises:
            Refused: the answer to give instead.
        """
        if scope["method"] not in READ:
            raise Refused(405, "bad_data", "this path takes GET only", headers={"Allow": "GET, HEAD"})
        given = _parameters(scope["query_string"])
        if self._passing is not None and repair(given.get("q", ""))[1] is None:
            await self._passing(scope, receive, send)
            return
        try:
            if await read_body(receive, 0):
                return
        except ClientGone:
            return
        await answer_call(scope, receive, send, self._tracing, lambda span: self._answer(given, span))

    async def _answer(self, given: dict[str, str], span: Span) -> Response:
        try:
            outcome = await self._search.find(
                _query(given),
                limit=_number(given, "limit"),
                start=given.get("start") or None,
                end=given.get("end") or None,
                spans=_number(given, "spss"),
                span=span,
            )
            response = json_response({**outcome.data, "metadata": outcome.metadata})
        except Refused as refused:
            response = refused.response()
        self._metrics.count_tool_call(_DIALECT, _TOOL, response.status_code)
        return response


def _parameters(query: bytes) -> dict[str, str]:
    try:
        pairs = parse_qsl(query.decode("ascii"), keep_blank_values=True, max_num_fields=_FIELDS)
    except ValueError:
        raise Refused(400, "bad_data", f"the query string has more than {_FIELDS} parameters") from None
    parameters: dict[str, str] = {}
    for name, value in pairs:
        parameters.setdefault(name, value)
    return parameters


def _query(given: dict[str, str]) -> str:
    old = [name for name in _OLD if name in given]
    if old and "q" not in given:
        raise Refused(400, "bad_data", f"{old[0]} is not supported here; write a TraceQL query, q")
    return given.get("q") or "{}"


def _number(given: dict[str, str], name: str) -> int | None:
    text = given.get(name)
    if not text:
        return None
    if not (text.isascii() and text.isdecimal()) or len(text) > 9:  # noqa: PLR2004 - far beyond every limit
        raise Refused(400, "bad_data", f"{name} is not a number")
    return int(text)
