"""The kinds of requests that clients send, and how often by default."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What a client wants."""

    PAY = "pay"
    STATUS = "status"
    HISTORY = "history"
    REFUND = "refund"
    SETTLE = "settle"
    REPORT = "report"
    TOTALS = "totals"


@dataclass(frozen=True, slots=True)
class Route:
    """A route of the payment service.

    Attributes:
        method: HTTP method.
        template: path with its parameters in braces.
        weight: share of the default mix.
    """

    method: str
    template: str
    weight: float

    @property
    def label(self) -> str:
        """The value of the metrics' label ``route``."""
        return f"{self.method} {self.template}"


ROUTES = {
    Kind.PAY: Route("POST", "/payment", 50),
    Kind.STATUS: Route("GET", "/payment/{payment_id}", 22),
    Kind.HISTORY: Route("GET", "/customers/{customer_id}/payments", 12),
    Kind.REFUND: Route("POST", "/payment/{payment_id}/refund", 5),
    Kind.SETTLE: Route("POST", "/settlement-runs", 3),
    Kind.REPORT: Route("GET", "/reports/settlement", 3),
    Kind.TOTALS: Route("GET", "/merchants/{merchant_id}/totals", 5),
}
