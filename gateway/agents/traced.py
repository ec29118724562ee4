"""Answers a call in a span of its own, as long as the caller is there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry.trace import StatusCode

from gateway.guard import ClientGone, path_of
from gateway.presence import while_present
from gateway.problems import Refused

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from opentelemetry.trace import Span
    from starlette.responses import Response
    from starlette.types import Receive, Scope, Send

    from gateway.tracing import Tracing

_SERVER_ERROR = 500


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
    span = tracing.server_span(scope["headers"], method=scope["method"], route=path, path=path)
    try:
        response = await while_present(receive, lambda: answer(span))
        span.set_attribute("http.response.status_code", response.status_code)
        if response.status_code >= _SERVER_ERROR:
            span.set_status(StatusCode.ERROR)
        await response(scope, receive, send)
    except ClientGone:
        return
    except Refused as refused:
        span.set_attribute("http.response.status_code", refused.status)
        if refused.status >= _SERVER_ERROR:
            span.set_status(StatusCode.ERROR, refused.sentence)
        raise
    finally:
        span.end()
