"""A trace per proxied call: a server span that continues the caller's trace, a client span that the back end continues.

Only proxied calls are traced. Readiness polls and the status page's own queries would fill the store with the gateway
watching itself. Calls that are not recorded have no span, and their back ends are told not to sample either.
"""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, Sampler, SamplingResult
from opentelemetry.trace import SpanKind, StatusCode, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from gateway.backend import verification
from gateway.exporter import HttpSpanExporter
from gateway.problems import Refused
from gateway.record import recorded

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from opentelemetry.context import Context
    from opentelemetry.trace import Link, Span, TraceState
    from opentelemetry.util.types import Attributes

SERVER_ERROR = 500
"""The first status that is the server's fault: a span with it, or with a higher one, is an error."""
_PROPAGATED = ("traceparent", "tracestate")
_EXPORT_DELAY_MS = 200
_EXPORT_TIMEOUT_S = 2.0
_QUEUE = 1024


class _Recorded(Sampler):
    """Samples what is recorded, whatever the caller sampled."""

    def should_sample(
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        wanted = ALWAYS_ON if recorded() else ALWAYS_OFF
        return wanted.should_sample(parent_context, trace_id, name, kind, attributes, links, trace_state)

    def get_description(self) -> str:
        return "Recorded"


class Tracing:
    """Makes the spans of proxied calls.

    Args:
        endpoint: full URL of an OTLP/HTTP traces endpoint; None records nothing but still passes the caller's
            context on.
        version: the gateway's version.
        environment: the stack's name.
    """

    def __init__(self, endpoint: str | None, *, version: str, environment: str) -> None:
        self._provider = TracerProvider(
            sampler=ALWAYS_OFF if endpoint is None else _Recorded(),
            resource=Resource.create(
                {
                    "service.name": "gateway",
                    "service.version": version,
                    "service.instance.id": socket.gethostname(),
                    "deployment.environment.name": environment,
                }
            ),
            shutdown_on_exit=False,
        )
        if endpoint is not None:
            self._provider.add_span_processor(
                BatchSpanProcessor(
                    HttpSpanExporter(endpoint, timeout=_EXPORT_TIMEOUT_S, verify=verification(endpoint)),
                    max_queue_size=_QUEUE,
                    schedule_delay_millis=_EXPORT_DELAY_MS,
                    max_export_batch_size=256,
                )
            )
        self._tracer = self._provider.get_tracer("gateway", version)
        self._propagator = TraceContextTextMapPropagator()

    @contextmanager
    def server_span(self, headers: list[tuple[bytes, bytes]], *, method: str, route: str, path: str) -> Generator[Span]:
        """Be in the span of a call: it ends with the block, and has the status of a refusal that leaves it.

        Args:
            headers: the caller's, for its trace context.
            method: the request's method.
            route: the allow-list's template; the span is named after it.
            path: the decoded path. The query is not recorded.
        """
        carrier = {
            name.decode("latin-1"): value.decode("latin-1")
            for name, value in headers
            if name.decode("latin-1") in _PROPAGATED
        }
        span = self._tracer.start_span(
            f"{method} {route}",
            context=self._propagator.extract(carrier) if carrier else None,
            kind=SpanKind.SERVER,
            attributes={"http.request.method": method, "http.route": route, "url.path": path},
        )
        try:
            yield span
        except Refused as refused:
            span.set_attribute("http.response.status_code", refused.status)
            if refused.status >= SERVER_ERROR:
                span.set_status(StatusCode.ERROR, refused.sentence)
            raise
        finally:
            span.end()

    def client_span(
        self, parent: Span, *, method: str, backend: str, host: str, port: int
    ) -> tuple[Span, list[tuple[bytes, bytes]]]:
        """Start the span of asking a back end.

        Returns:
            The span, and the headers that let the back end continue it.
        """
        span = self._tracer.start_span(
            f"{method} {backend}",
            context=set_span_in_context(parent),
            kind=SpanKind.CLIENT,
            attributes={
                "http.request.method": method,
                "server.address": host,
                "server.port": port,
                "peer.service": backend,
            },
        )
        carrier: dict[str, str] = {}
        self._propagator.inject(carrier, context=set_span_in_context(span))
        return span, [(name.encode(), value.encode()) for name, value in carrier.items()]

    def shutdown(self) -> None:
        """Export what is left, for at most as long as one export may take."""
        # The provider would wait for as many exports as are queued; a Collector that hangs must not hold us up.
        last = threading.Thread(target=self._provider.shutdown, name="last-export", daemon=True)
        last.start()
        last.join(_EXPORT_TIMEOUT_S)
