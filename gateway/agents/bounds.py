"""Bounds on what a query may ask for, each answered with an error that says the limit.

The checks are the same in every dialect; how a dialect writes queries, times and counts is for its own module to read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.agents.times import duration, moment, shown
from gateway.problems import Refused
from gateway.subqueries import check_subqueries

if TYPE_CHECKING:
    from gateway.config import AgentLimits


class Bounds:
    """Checks what queries of all dialects have in common, and the parameters that tools share.

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
        self.length(text)
        return text

    def length(self, text: str) -> None:
        """Check the length of a query.

        Raises:
            Refused: it is too long.
        """
        # Half a surrogate pair, which JSON may hold, has no bytes of its own.
        if len(text.encode("utf-8", "replace")) > self.limits.query_bytes:
            raise Refused(
                413, "too_large", f"the query is longer than the limit of {self.limits.query_bytes} bytes; shorten it"
            )

    def range(self, seconds: float) -> None:
        """Check the time between start and end.

        Raises:
            Refused: it is too long.
        """
        if seconds > self.limits.range_seconds:
            longest = shown(self.limits.range_seconds)
            raise Refused(422, "too_large", f"the range is longer than the limit of {longest}; ask for less")

    def points(self, range_seconds: float, step: float) -> None:
        """Check the points that a step makes of a range.

        Args:
            range_seconds: between start and end.
            step: seconds, more than nothing.

        Raises:
            Refused: too many.
        """
        if range_seconds / step + 1 > self.limits.points:
            raise Refused(
                422,
                "too_large",
                f"the range and step make more than the limit of {self.limits.points} points per series; "
                "take a longer step or a shorter range",
            )

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
        self.range(last - first)
        return first, last

    def step(self, given: str | float, first: float, last: float) -> float:
        """Return the step in seconds.

        Raises:
            Refused: it is no duration, or makes too many points.
        """
        seconds = duration(given, "step")
        self.points(last - first, seconds)
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
