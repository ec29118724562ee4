"""Answers a call in a span of its own, as long as the caller is there."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from opentelemetry.trace import StatusCode

from gateway.agents.large import one_call
from gateway.guard import ClientGone, path_of
from gateway.presence import while_present
from gateway.problems import Refused
from gateway.tracing import SERVER_ERROR

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from opentelemetry.trace import Span
    from starlette.responses import Response
    from starlette.types import Receive, Scope, Send

    from gateway.tracing import Tracing

# Others wait for who takes a large answer.
_TAKE_SECONDS = 10.0
_PIECE = 64 * 1024


async def answer_call(
    scope: Scope, receive: Receive, send: Send, tracing: Tracing, answer: Callable[[Span], Awaitable[Response]]
) -> None:
    """Send the answer; the request's body must have been read.

    Args:
        scope: of the request.
        receive: of the request.
        send: of the request.
        tracing: makes the span, which is named after the path: only fixed paths are served like this.
        answer: is given the span, the parent of what the back ends are asked.

    Raises:
        Refused: the answer to give instead.
    """
    path = path_of(scope).text
    with (
        contextlib.suppress(ClientGone),
        tracing.server_span(scope["headers"], method=scope["method"], route=path, path=path) as span,
    ):
        async with one_call() as call:
            response = await while_present(receive, lambda: answer(span))
            span.set_attribute("http.response.status_code", response.status_code)
            if response.status_code >= SERVER_ERROR:
                span.set_status(StatusCode.ERROR)
            if call.slot is None:
                await response(scope, receive, send)
            else:
                await _send_soon(response, send)


async def _send_soon(response: Response, send: Send) -> None:
    """Send in pieces, so that the server waits for the caller and does not keep the whole."""
    body = memoryview(response.body)
    try:
        async with asyncio.timeout(_TAKE_SECONDS):
            await send({"type": "http.response.start", "status": response.status_code, "headers": response.raw_headers})
            for at in range(0, len(body), _PIECE):
                piece = bytes(body[at : at + _PIECE])
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
    except TimeoutError:
        raise Refused(
            504, "timeout", f"the caller did not take a large answer within the limit of {_TAKE_SECONDS:g} s"
        ) from None
