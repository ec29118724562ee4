"""The outermost layer.

Each request becomes a span, a log line and a measurement, and gets an answer whatever happens.
"""

import asyncio
import time
from collections.abc import Callable
from functools import lru_cache
from http import HTTPStatus
from typing import Any, Final, Protocol

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from payment_service.problems import Problem, answer_unexpected
from payment_service.telemetry.context import RequestContext, begin, current_request
from payment_service.telemetry.logs import redact_text
from payment_service.telemetry.metrics import SERVICE, Metrics, exemplar
from payment_service.telemetry.spans import SERVER, AttributeValue, SpanTemplate, Tracer, encode_attributes

log = structlog.get_logger("payment_service.http")

_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_QUIET_ROUTES: Final = frozenset({"/health", "/health/live", "/health/ready", "/metrics"})
_UNMATCHED: Final = "unmatched"
_SHOWN = 256


class _Observer(Protocol):
    """A histogram's child."""

    def observe(self, amount: float, exemplar: dict[str, str] | None = None) -> None: ...


class TelemetryMiddleware:
    """Wraps an application.

    Args:
        app: The application.
        tracer: Records spans.
        metrics: Counts; None measures nothing.
        timeout: Seconds after which a request is answered with 504.
        is_draining: Whether the process is about to end; connections are then closed after their answer.
        silent_path: Path of the one route that leaves no trace in any signal.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        tracer: Tracer,
        metrics: Metrics | None,
        timeout: float,
        is_draining: Callable[[], bool],
        silent_path: str,
    ) -> None:
        self._app = app
        self._tracer = tracer
        self._metrics = metrics
        self._timeout = timeout
        self._is_draining = is_draining
        self._silent_path = silent_path
        self._templates: dict[tuple[str, str, int], SpanTemplate] = {}
        self._histograms: dict[tuple[str, str, int], _Observer] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path: str = scope["path"]
        if path == self._silent_path:
            await self._answer(scope, receive, _Responder(send, None, draining=self._is_draining()))
            return
        request = _begin(scope, traced=self._tracer.active and path not in _QUIET_ROUTES)
        token = current_request.set(request)
        start, started = time.time_ns(), time.perf_counter()
        responder = _Responder(send, request.request_id, draining=self._is_draining())
        if self._metrics is not None:
            self._metrics.http_in_flight.inc()
        try:
            error = await self._answer(scope, receive, responder)
            self._tell(scope, request, responder.status, start, time.perf_counter() - started, error)
        finally:
            if self._metrics is not None:
                self._metrics.http_in_flight.dec()
            current_request.reset(token)

    async def _answer(self, scope: Scope, receive: Receive, responder: "_Responder") -> Exception | None:
        """Run the application; whatever it raises becomes an answer.

        Returns:
            What it raised.
        """
        deadline = asyncio.timeout(self._timeout)
        try:
            async with deadline:
                await self._app(scope, receive, responder)
        except Exception as error:  # noqa: BLE001  # the last resort of every request; logged with its traceback by _tell
            if not responder.started:
                response = (
                    Problem(HTTPStatus.GATEWAY_TIMEOUT, "The request took too long.").to_response()
                    if deadline.expired()
                    else answer_unexpected(error)
                )
                await response(scope, receive, responder)
            return error
        return None

    def _tell(
        self, scope: Scope, request: RequestContext, status: int, start: int, seconds: float, error: Exception | None
    ) -> None:
        method: str = scope["method"] if scope["method"] in _METHODS else "_OTHER"
        matched = scope.get("route")
        route: str = _UNMATCHED if matched is None else matched.path
        key = (method, route, status)
        failed = status >= HTTPStatus.INTERNAL_SERVER_ERROR
        if self._metrics is not None:
            histogram = self._histograms.get(key)
            if histogram is None:
                histogram = self._histograms[key] = self._metrics.http_duration.labels(
                    SERVICE, method, route, str(status)
                )
            histogram.observe(seconds, exemplar(request))
        if request.sampled:
            template = self._templates.get(key) or self._make_template(scope, key)
            client = scope.get("client")
            dynamic = _encode_dynamic(scope["path"][:_SHOWN], client[0] if client else "")
            self._tracer.record_server(
                template, request, start, start + int(seconds * 1e9), dynamic=dynamic, failed=failed, error=error
            )
        fields: dict[str, Any] = {
            "method": method,
            "route": route,
            "status": status,
            "duration_ms": round(seconds * 1000, 3),
        }
        if matched is None:
            fields["path"] = redact_text(scope["path"][:_SHOWN])
        if failed:
            log.error(
                "request failed", **fields, exc_info=error if status == HTTPStatus.INTERNAL_SERVER_ERROR else None
            )
        elif route in _QUIET_ROUTES:
            log.debug("request", **fields)
        else:
            log.info("request", **fields)

    def _make_template(self, scope: Scope, key: tuple[str, str, int]) -> SpanTemplate:
        method, route, status = key
        attributes: dict[str, AttributeValue] = {
            "http.request.method": method,
            "http.response.status_code": status,
            "url.scheme": scope.get("scheme", "http"),
            "network.protocol.version": scope.get("http_version", "1.1"),
        }
        name = method
        if route != _UNMATCHED:
            attributes["http.route"] = route
            name = f"{method} {route}"
        if scope.get("server"):
            attributes["server.address"], attributes["server.port"] = scope["server"]
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            attributes["error.type"] = str(status)
        template = self._templates[key] = SpanTemplate(name, SERVER, attributes)
        return template


class _Responder:
    """Watches the answer go out, and adds what every answer has."""

    __slots__ = ("_headers", "_send", "started", "status")

    def __init__(self, send: Send, request_id: str | None, *, draining: bool) -> None:
        self._send = send
        self._headers = [] if request_id is None else [(b"x-request-id", request_id.encode())]
        if draining:
            self._headers.append((b"connection", b"close"))
        self.started = False
        self.status = 500

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started = True
            self.status = message["status"]
            message["headers"] = [*message.get("headers", ()), *self._headers]
        await self._send(message)


def _begin(scope: Scope, *, traced: bool) -> RequestContext:
    traceparent = tracestate = request_id = None
    for name, value in scope["headers"]:
        if name == b"traceparent":
            traceparent = value.decode("latin-1")
        elif name == b"tracestate":
            tracestate = value.decode("latin-1")
        elif name == b"x-request-id":
            request_id = value.decode("latin-1")
    return begin(traceparent, tracestate, request_id, traced=traced)


@lru_cache(maxsize=1024)
def _encode_dynamic(path: str, client: str) -> bytes:
    attributes = {"url.path": redact_text(path)}
    return encode_attributes(attributes | {"client.address": client} if client else attributes)
