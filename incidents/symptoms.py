"""What customers feel, and several incidents share as evidence."""

from typing import Final

from incidents.model import Compares, Evidence, Signal

__all__ = ["PAYMENT_LATENCY"]

PAYMENT_LATENCY: Final = Evidence(
    signal=Signal.METRICS,
    name="payment latency",
    query="payment:client_latency_seconds:p95_30s",
    shows="The service level is broken: p95 of payments is far above its baseline.",
    compares=Compares.rises(3.0, margin=0.25),
)
