"""What the gateway says about itself on the internal listener's ``/metrics``."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, disable_created_metrics
from prometheus_client.exposition import choose_encoder

from gateway.record import recorded

if TYPE_CHECKING:
    from collections.abc import Generator

# A front adds well under a millisecond, a slow query takes seconds.
_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Metrics:
    """The gateway's metrics in a registry of their own, so that several gateways fit in one process (tests)."""

    def __init__(self) -> None:
        # Series that say when a counter began: nobody asks for them, and they are a fifth of all.
        disable_created_metrics()
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.requests = Counter(
            "gateway_requests",
            "Requests answered, by front and status code.",
            ["front", "code"],
            registry=self.registry,
        )
        self.request_duration = Histogram(
            "gateway_request_duration_seconds",
            "From a request's head to its answer's last byte, by front.",
            ["front"],
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self.tool_calls = Counter(
            "gateway_tool_calls",
            "Calls of agents' tools answered, by dialect, tool and outcome.",
            ["dialect", "tool", "outcome"],
            registry=self.registry,
        )
        self.upstream_duration = Histogram(
            "gateway_upstream_duration_seconds",
            "From asking a back end to its answer's last byte.",
            ["backend"],
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self.upstream_errors = Counter(
            "gateway_upstream_errors",
            "Requests that a back end did not answer properly, by what went wrong.",
            ["backend", "kind"],
            registry=self.registry,
        )
        self.upstream_in_flight = Gauge(
            "gateway_upstream_in_flight", "Requests that a back end is working on.", ["backend"], registry=self.registry
        )
        self.probe_up = Gauge(
            "gateway_probe_up",
            "Whether a service answered its probe the last time.",
            ["service"],
            registry=self.registry,
        )
        self.alerts_received = Counter(
            "gateway_alerts_received",
            "Alerts received from Alertmanager, by status.",
            ["status"],
            registry=self.registry,
        )

    def count_request(self, front: str, status: int, seconds: float | None = None) -> None:
        """Count a request that was answered.

        Args:
            front: name of the listener.
            status: of the answer.
            seconds: how long it took; None for what lasts as long as its caller likes.
        """
        if not recorded():
            return
        self.requests.labels(front, str(status)).inc()
        if seconds is not None:
            self.request_duration.labels(front).observe(seconds)

    def count_tool_call(self, dialect: str, tool: str, status: int) -> None:
        """Count a call of an agent's tool that was answered."""
        if recorded():
            self.tool_calls.labels(dialect, tool, str(status)).inc()

    def of_backend(self, name: str) -> BackendMetrics:
        """Return the part that is about one back end; its series are there from now on."""
        return BackendMetrics(self, name)

    def render(self, accept: str) -> tuple[bytes, str]:
        """Return the exposition and its content type, in the format that the Accept header asks for."""
        encoder, content_type = choose_encoder(accept)
        return encoder(self.registry), content_type


class BackendMetrics:
    """What is counted of one back end.

    Args:
        metrics: the gateway's.
        name: of the back end.
    """

    def __init__(self, metrics: Metrics, name: str) -> None:
        self._in_flight = metrics.upstream_in_flight.labels(name)
        self._duration = metrics.upstream_duration.labels(name)
        self._errors = metrics.upstream_errors
        self._name = name

    @contextmanager
    def asking(self) -> Generator[None]:
        """Count a request as long as it lasts, and measure it."""
        if not recorded():
            yield
            return
        started = time.perf_counter()
        self._in_flight.inc()
        try:
            yield
        finally:
            self._in_flight.dec()
            self._duration.observe(time.perf_counter() - started)

    def failed(self, kind: str) -> None:
        """Count a request that was not answered properly."""
        if recorded():
            self._errors.labels(self._name, kind).inc()
