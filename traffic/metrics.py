"""What the clients saw, for Prometheus and for the summary line."""

from __future__ import annotations

from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, disable_created_metrics

from traffic.mix import ROUTES

Outcome = Literal["success", "error", "timeout"]
OUTCOMES: tuple[Outcome, ...] = ("success", "error", "timeout")

# Fine around 0.3 s, the objective; the client's patience ends at 30 s.
_BUCKETS = (
    *(0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2),
    *(0.25, 0.275, 0.3, 0.325, 0.35, 0.4, 0.5, 0.75),
    *(1.0, 2.0, 5.0, 10.0, 20.0, 30.0),
)


class Metrics:
    """The generator's metrics in a registry of their own.

    Args:
        rate: configured arrivals per second.
    """

    def __init__(self, rate: float) -> None:
        # Series that say when a counter began: nobody asks for them, and they are a fifth of all.
        disable_created_metrics()
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.duration = Histogram(
            "client_request_duration_seconds",
            "From the scheduled arrival to the whole answer, or to giving up.",
            ["route", "outcome"],
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self.requests = Counter(
            "client_requests",
            "Requests that ended, by what the client saw; status is none where no answer came.",
            ["route", "outcome", "status"],
            registry=self.registry,
        )
        self.in_flight = Gauge(
            "client_requests_in_flight", "Requests without an answer so far.", registry=self.registry
        )
        self.shed = Counter(
            "client_requests_shed",
            "Arrivals that were not sent: too many unanswered, or too late.",
            registry=self.registry,
        )
        self.arrival_rate = Gauge("client_arrival_rate", "Configured arrivals per second.", registry=self.registry)
        self.arrival_rate.set(rate)
        for route in ROUTES.values():
            # From zero, so that a rate counts the first request of its kind too, the first error above all.
            for outcome in OUTCOMES:
                self.duration.labels(route.label, outcome)
            self.requests.labels(route.label, "success", "200")

    def record(self, route: str, outcome: Outcome, status: str, seconds: float) -> None:
        """Count a request that ended."""
        self.duration.labels(route, outcome).observe(seconds)
        self.requests.labels(route, outcome, status).inc()
