"""A line in the log for each half minute: enough to see at a glance whether clients are served."""

from __future__ import annotations

import math
from collections import Counter

from traffic.mix import ROUTES, Kind

_PAYMENT = ROUTES[Kind.PAY].label
# More than a busy interval has; beyond that the percentile is of the first ones.
_KEPT = 20_000


class Summary:
    """Counts what happened since the last line."""

    def __init__(self) -> None:
        self._outcomes: Counter[str] = Counter()
        self._payments: list[float] = []

    def record(self, route: str, outcome: str, seconds: float) -> None:
        """Count a request that ended."""
        self._outcomes[outcome] += 1
        if route == _PAYMENT and len(self._payments) < _KEPT:
            self._payments.append(seconds)

    def shed(self) -> None:
        """Count an arrival that was not sent."""
        self._outcomes["shed"] += 1

    def take(self) -> dict[str, object]:
        """Return the fields of the line, and begin the next."""
        durations = sorted(self._payments)
        fields: dict[str, object] = {
            **{name: self._outcomes[name] for name in ("success", "error", "timeout", "shed")},
            "payment_p50_ms": percentile(durations, 0.5),
            "payment_p95_ms": percentile(durations, 0.95),
        }
        self._outcomes.clear()
        self._payments.clear()
        return fields


def percentile(ordered: list[float], share: float) -> float | None:
    """Return the nearest-rank percentile in milliseconds, None of nothing."""
    if not ordered:
        return None
    return round(ordered[math.ceil(share * len(ordered)) - 1] * 1000, 1)
