"""A front: judge a request by the allow-list, pass it on, stream the answer back."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from opentelemetry.trace import StatusCode

from gateway import headers as header
from gateway.backend import Ask, BackendError
from gateway.guard import ClientGone, path_of, read_body
from gateway.presence import while_present
from gateway.problems import Refused

if TYPE_CHECKING:
    from collections.abc import Mapping

    import httpx2
    from opentelemetry.trace import Span
    from starlette.types import Receive, Scope, Send

    from gateway.backend import Backend
    from gateway.headers import RawHeaders
    from gateway.query_limits import QueryLimits
    from gateway.rules import AllowList, Rule
    from gateway.tracing import Tracing

_MACHINE_READABLE = ("json", "protobuf")


class Forward:
    """An ASGI application that stands for a back end, read-only.

    Args:
        backend: who answers.
        allow: what is passed on.
        tracing: makes the spans.
        body_bytes: the longest request body.
        limits: what the parameters of a query may ask for.
        identity: headers that the gateway asserts towards the back end (Grafana's auth proxy); the caller's own of
            these names never pass.
        also: names of further headers that this back end understands.
    """

    def __init__(
        self,
        backend: Backend,
        allow: AllowList,
        tracing: Tracing,
        *,
        body_bytes: int,
        limits: QueryLimits,
        identity: Mapping[str, str] | None = None,
        also: frozenset[bytes] = frozenset(),
    ) -> None:
        self._backend = backend
        self._allow = allow
        self._tracing = tracing
        self._body_bytes = body_bytes
        self._limits = limits
        self._also = also
        self._grafana = identity is not None
        self._identity: RawHeaders = [(name.encode(), value.encode()) for name, value in (identity or {}).items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request.

        Raises:
            Refused: the answer to give instead, if none has begun.
        """
        headers: RawHeaders = scope["headers"]
        method: str = scope["method"]
        path = path_of(scope)
        rule = self._allow.judge(method, path.text)
        with (
            contextlib.suppress(ClientGone),
            self._tracing.server_span(headers, method=method, route=rule.template, path=path.text) as span,
        ):
            body = await self._body(rule, method, headers, receive)
            self._limits.check(rule.bounded, scope["query_string"], body)
            ask = Ask(
                method=method,
                path=path.raw,
                query=scope["query_string"],
                headers=header.for_backend(headers, grafana=self._grafana, also=self._also) + self._identity,
                body=body,
            )
            await while_present(receive, lambda: self._exchange(ask, rule, span, send))

    async def _body(self, rule: Rule, method: str, headers: RawHeaders, receive: Receive) -> bytes:
        # Bodies are queries, small and bounded, so they are read before a slot of the back end is taken.
        body = await read_body(receive, self._body_bytes)
        if method == "POST":
            given = (header.one(headers, b"content-type") or b"").split(b";")[0].strip().lower().decode("latin-1")
            if given != rule.body:
                raise Refused(415, "bad_data", f"the body must be {rule.body}")
        elif body:
            raise Refused(400, "bad_data", f"a {method} request carries no body")
        return body

    async def _exchange(self, ask: Ask, rule: Rule, parent: Span, send: Send) -> None:
        backend = self._backend
        span, context = self._tracing.client_span(
            parent, method=ask.method, backend=backend.name, host=backend.host, port=backend.port
        )
        ask = Ask(method=ask.method, path=ask.path, query=ask.query, headers=ask.headers + context, body=ask.body)
        try:
            async with backend.ask(ask) as response:
                span.set_attribute("http.response.status_code", response.status_code)
                self._check_content(rule, response)
                await send(
                    {
                        "type": "http.response.start",
                        "status": response.status_code,
                        "headers": header.for_caller(response.headers.raw, base_url=backend.settings.url),
                    }
                )
                parent.set_attribute("http.response.status_code", response.status_code)
                async for chunk in backend.chunks(response):
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        except BackendError as error:
            span.set_attribute("error.type", error.kind)
            span.set_status(StatusCode.ERROR, error.sentence)
            raise
        finally:
            span.end()

    def _check_content(self, rule: Rule, response: httpx2.Response) -> None:
        if not rule.json or not response.is_success:
            return
        given = response.headers.get("content-type", "")
        if not any(kind in given for kind in _MACHINE_READABLE):
            raise self._backend.error(
                502,
                "bad_gateway",
                "content",
                f"{self._backend.name} answered with {given[:80] or 'no content type'}, not JSON",
            )
