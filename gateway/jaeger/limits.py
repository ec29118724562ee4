"""Bounds on searches by Jaeger's own API, in its own units: microseconds, and milliseconds for dependencies."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from gateway.agents.times import duration, moment, shown
from gateway.problems import Refused

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gateway.config import AgentLimits

_STARTS = ("start", "query.start_time_min", "query.startTimeMin")
_ENDS = ("end", "query.start_time_max", "query.startTimeMax")
_COUNTS = ("limit", "query.num_traces", "query.numTraces", "query.search_depth", "query.searchDepth")
_MICRO, _MILLI = 1e6, 1e3
_DIGITS = 30


class JaegerLimits:
    """Checks the parameters of a search.

    Args:
        limits: the configured bounds.
    """

    def __init__(self, limits: AgentLimits) -> None:
        self._limits = limits

    def check(self, parameters: Mapping[str, Sequence[str]]) -> None:
        """Accept the parameters; what cannot be read is for Jaeger to refuse.

        Raises:
            Refused: one is over its limit, which the sentence names.
        """
        most = self._limits.traces
        counts = [
            count for name in _COUNTS for text in parameters.get(name, ()) if (count := _number(text)) is not None
        ]
        if any(count > most for count in counts) or len(parameters.get("traceID", ())) > most:
            raise Refused(422, "too_large", f"there are more traces asked for than the limit of {most} traces")
        starts = [at for name in _STARTS for text in parameters.get(name, ()) if (at := _time(text)) is not None]
        ends = [at for name in _ENDS for text in parameters.get(name, ()) if (at := _time(text)) is not None]
        backs = [back for text in parameters.get("lookback", ()) if (back := _lookback(text)) is not None]
        seconds = max(ends, default=moment("now", "end")) - min(starts) if starts else 0.0
        if max(seconds, *backs, 0.0) > self._limits.range_seconds:
            longest = shown(self._limits.range_seconds)
            raise Refused(422, "too_large", f"the range is longer than the limit of {longest}; ask for less")


def _number(text: str) -> float | None:
    try:
        number = float(text[:_DIGITS])
    except ValueError:
        return None
    # "nan" is no number that anything could be compared with.
    return None if math.isnan(number) else number


def _time(text: str) -> float | None:
    number = _number(text)
    if number is not None:
        return number / _MICRO
    try:
        return moment(text, "time")
    except Refused:
        return None


def _lookback(text: str) -> float | None:
    number = _number(text)
    if number is not None:
        return number / _MILLI
    try:
        return duration(text, "lookback")
    except Refused:
        return None
