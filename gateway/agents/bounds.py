"""Bounds on an agent's call, each answered with an error that says the limit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.agents.times import duration, moment, shown
from gateway.problems import Refused
from gateway.subqueries import check_subqueries

if TYPE_CHECKING:
    from gateway.config import AgentLimits


class Bounds:
    """Checks the parameters that all tools share.

    Args:
        limits: the configured bounds.
    """

    def __init__(self, limits: AgentLimits) -> None:
        self.limits = limits

    def query(self, text: str) -> str:
        """Return the query.

        Raises:
            Refused: it is empty or too long.
        """
        if not text.strip():
            raise Refused(400, "bad_data", "query is empty")
        if len(text.encode()) > self.limits.query_bytes:
            raise Refused(
                413, "too_large", f"the query is longer than the limit of {self.limits.query_bytes} bytes; shorten it"
            )
        return text

    def subqueries(self, query: str, *, range_seconds: float = 0) -> None:
        """Check the points that the query's subqueries make.

        Args:
            query: PromQL.
            range_seconds: between start and end of the whole query, 0 at one moment.

        Raises:
            Refused: too many.
        """
        check_subqueries(query, range_seconds=range_seconds, points=self.limits.points)

    def window(
        self, start: str | float | None, end: str | float | None, *, back: float, now: float
    ) -> tuple[float, float]:
        """Return start and end in seconds since 1970.

        Args:
            start: as given; None for ``back`` before the end.
            end: as given; None for now.
            back: seconds.
            now: seconds since 1970.

        Raises:
            Refused: no times, in the wrong order, or too far apart.
        """
        last = now if end is None else moment(end, "end")
        first = max(0.0, last - back) if start is None else moment(start, "start")
        if first > last:
            what = "now, the end that holds where none is given" if end is None else "end"
            raise Refused(400, "bad_data", f"start is later than {what}")
        if last - first > self.limits.range_seconds:
            raise Refused(
                422,
                "too_large",
                f"the range is longer than the limit of {shown(self.limits.range_seconds)}; ask for less",
            )
        return first, last

    def step(self, given: str | float, first: float, last: float) -> float:
        """Return the step in seconds.

        Raises:
            Refused: it is no duration, or makes too many points.
        """
        seconds = duration(given, "step")
        if (last - first) / seconds + 1 > self.limits.points:
            raise Refused(
                422,
                "too_large",
                f"the range and step make more than the limit of {self.limits.points} points per series; "
                "take a longer step or a shorter range",
            )
        return seconds

    def count(self, given: int | None, *, default: int, most: int, unit: str, name: str = "limit") -> int:
        """Return how many results are wanted.

        Raises:
            Refused: fewer than one, or more than the most.
        """
        if given is None:
            return min(default, most)
        if given < 1:
            raise Refused(400, "bad_data", f"{name} must be at least 1")
        if given > most:
            raise Refused(422, "too_large", f"{name} is more than the limit of {most} {unit}")
        return given
