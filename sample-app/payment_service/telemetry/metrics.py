"""Metrics for Prometheus, with exemplars that lead from a number to a trace."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.exposition import choose_encoder

from payment_service.telemetry.context import RequestContext

SERVICE = "payment-service"

# 0.3 is the service level.
_BUCKETS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0)
_ACQUIRE_BUCKETS = (0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.3, 1.0, 5.0, 10.0, 20.0)


def exemplar(request: RequestContext | None) -> dict[str, str] | None:
    """The labels of an exemplar, if the request's trace is recorded.

    Args:
        request: The request.
    """
    if request is None or not request.sampled:
        return None
    return {"trace_id": request.trace_hex, "span_id": request.span_hex}


class Metrics:
    """All metrics of the service, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self.http_duration = Histogram(
            "http_request_duration_seconds",
            "Time to answer a request",
            ("service", "method", "route", "status"),
            buckets=_BUCKETS,
            registry=registry,
        )
        self.http_in_flight = Gauge("http_requests_in_flight", "Requests being answered", registry=registry)
        self.payments = Counter(
            "payment_requests_total", "Payments asked for", ("service", "outcome"), registry=registry
        )
        self.payment_duration = Histogram(
            "payment_duration_seconds", "Time to make a payment, retries included", buckets=_BUCKETS, registry=registry
        )
        self.payment_amount = Counter(
            "payment_amount_minor_total", "Money taken, in minor units", ("currency",), registry=registry
        )
        self.pool_size = Gauge("db_pool_size", "Open connections of the pool", registry=registry)
        self.pool_idle = Gauge("db_pool_idle", "Open connections that nobody uses", registry=registry)
        self.pool_in_use = Gauge("db_pool_in_use", "Connections in use", registry=registry)
        self.pool_max = Gauge("db_pool_max", "Most connections that the pool may open", registry=registry)
        self.pool_pending = Gauge("db_pool_pending_acquires", "Requests waiting for a connection", registry=registry)
        self.pool_acquire_duration = Histogram(
            "db_pool_acquire_duration_seconds", "Time to get a connection", buckets=_ACQUIRE_BUCKETS, registry=registry
        )
        self.pool_acquire_timeouts = Counter(
            "db_pool_acquire_timeouts_total", "Requests that got no connection in time", registry=registry
        )
        self.breaker_state = Gauge(
            "circuit_breaker_state", "1 for the present state", ("name", "state"), registry=registry
        )
        self.breaker_transitions = Counter(
            "circuit_breaker_transitions_total", "Changes of state", ("name", "state"), registry=registry
        )
        self.query_retries = Counter("db_query_retries_total", "Operations tried again", ("reason",), registry=registry)
        self.retention_deleted = Counter(
            "retention_deleted_rows_total", "Rows removed by the retention", ("table",), registry=registry
        )
        self.telemetry_dropped = Counter(
            "telemetry_dropped_total", "Spans and log records that were not sent", ("signal",), registry=registry
        )

    def watch_pool(
        self,
        *,
        size: Callable[[], float],
        idle: Callable[[], float],
        in_use: Callable[[], float],
        limit: Callable[[], float],
        pending: Callable[[], float],
    ) -> None:
        """Read the pool's gauges from the pool when they are scraped.

        Args:
            size: Open connections.
            idle: Of these, unused ones.
            in_use: Connections in use.
            limit: Most connections.
            pending: Requests that wait.
        """
        self.pool_size.set_function(size)
        self.pool_idle.set_function(idle)
        self.pool_in_use.set_function(in_use)
        self.pool_max.set_function(limit)
        self.pool_pending.set_function(pending)

    def count_dropped(self, signal: str, number: int) -> None:
        """Count telemetry that was not sent.

        Args:
            signal: ``traces`` or ``logs``.
            number: How many.
        """
        self.telemetry_dropped.labels(signal).inc(number)

    def render(self, accept: str) -> tuple[bytes, str]:
        """All metrics as text.

        Args:
            accept: The scraper's ``Accept`` header; exemplars exist in OpenMetrics only.

        Returns:
            The text and its content type.
        """
        encode, content_type = choose_encoder(accept)
        return encode(self.registry), content_type
