"""An endpoint that takes a JSON document by POST: bounded, traced, and given up when the caller leaves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic_core import from_json

from gateway import headers as header
from gateway.agents.traced import answer_call
from gateway.guard import ClientGone, read_body
from gateway.problems import Refused
from gateway.rules import JSON

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from opentelemetry.trace import Span
    from starlette.responses import Response
    from starlette.types import Receive, Scope, Send

    from gateway.headers import RawHeaders
    from gateway.tracing import Tracing


@dataclass(frozen=True, slots=True, kw_only=True)
class Posted:
    """What a caller sent.

    Attributes:
        body: the document as it came; :func:`parse` reads it.
        span: the span of answering it, parent of what the back ends are asked.
        headers: as received, names in lower case.
    """

    body: bytes
    span: Span
    headers: RawHeaders


class JsonPost:
    """An ASGI application for one path.

    Args:
        answer: makes the answer.
        tracing: makes the spans.
        body_bytes: the longest body.
    """

    def __init__(self, answer: Callable[[Posted], Awaitable[Response]], tracing: Tracing, *, body_bytes: int) -> None:
        self._answer = answer
        self._tracing = tracing
        self._body_bytes = body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request.

        Raises:
            Refused: the answer to give instead.
        """
        if scope["method"] != "POST":
            raise Refused(405, "bad_data", "this path takes POST only", headers={"Allow": "POST"})
        given = (header.one(scope["headers"], b"content-type") or b"").split(b";")[0].strip().lower().decode("latin-1")
        if given != JSON:
            raise Refused(415, "bad_data", f"the body must be {JSON}")
        try:
            body = await read_body(receive, self._body_bytes)
        except ClientGone:
            return
        headers: RawHeaders = scope["headers"]

        def answer(span: Span) -> Awaitable[Response]:
            return self._answer(Posted(body=body, span=span, headers=headers))

        await answer_call(scope, receive, send, self._tracing, answer)


def parse(body: bytes) -> object:
    """Return the JSON document of a body.

    Raises:
        Refused: it is none, is nested deeper than 200 levels, or holds half a surrogate pair.
    """
    try:
        document: object = from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise Refused(400, "bad_data", f"the body is not JSON: {error}") from None
    return document
