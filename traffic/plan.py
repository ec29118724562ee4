"""The sequence of arrivals: decided by the seed alone, whatever the service answers."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

from traffic.mix import ROUTES, Kind

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# Amounts of everyday payments: median about 30, a long tail, nothing below 1 or above 5000.
_LOG_MEAN = 3.4
_LOG_DEVIATION = 0.9
_LEAST, _MOST = 1.0, 5000.0
_PAGE_SIZES = (10, 20, 50)
_REPORT_DAYS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """A client that comes at a time of its own choosing.

    Attributes:
        gap: seconds since the arrival before.
        kind: what it wants.
        amount: what it would pay.
        pick: which of the known ids it means, from 0 (the newest) to just below 1 (the oldest).
        page: how many payments of a history it asks for.
        days_ago: the day of the report it asks for.
    """

    gap: float
    kind: Kind
    amount: float
    pick: float
    page: int
    days_ago: int


def arrivals(seed: int, rate: float, mix: Mapping[Kind, float]) -> Iterator[Arrival]:
    """Yield arrivals of a Poisson process without end.

    Args:
        seed: the same seed yields the same arrivals.
        rate: arrivals per second.
        mix: weights that replace the default ones.

    Raises:
        ValueError: all weights are zero.
    """
    weights = {kind: mix.get(kind, route.weight) for kind, route in ROUTES.items()}
    kinds, cumulative, total = list[Kind](), list[float](), 0.0
    for kind, weight in weights.items():
        total += weight
        kinds.append(kind)
        cumulative.append(total)
    if total <= 0:
        raise ValueError("at least one weight must be above zero")
    # Streams of their own, so that another mix or rate leaves the rest of the sequence as it was.
    gaps, choices, contents = (random.Random(f"{seed} {name}") for name in ("gaps", "choices", "contents"))  # noqa: S311 - traffic, not secrets
    while True:
        yield Arrival(
            gap=gaps.expovariate(rate),
            kind=choices.choices(kinds, cum_weights=cumulative)[0],
            amount=round(min(max(contents.lognormvariate(_LOG_MEAN, _LOG_DEVIATION), _LEAST), _MOST), 2),
            pick=contents.random(),
            page=contents.choice(_PAGE_SIZES),
            days_ago=contents.randint(1, _REPORT_DAYS),
        )
