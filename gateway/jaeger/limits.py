"""Bounds on searches by Jaeger's own API, in its own units: microseconds, and milliseconds for dependencies."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from gateway.agents.times import duration, moment
from gateway.problems import Refused

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gateway.agents.bounds import Bounds

_STARTS = ("start", "query.start_time_min", "query.startTimeMin")
_ENDS = ("end", "query.start_time_max", "query.startTimeMax")
_COUNTS = ("limit", "query.num_traces", "query.numTraces", "query.search_depth", "query.searchDepth")
_MICRO, _MILLI = 1e6, 1e3
_DIGITS = 30


class JaegerLimits:
    """Checks the parameters of a search.

    Args:
        bounds: of a query.
    """

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds

    def check(self, parameters: Mapping[str, Sequence[str]]) -> None:
        """Accept the parameters.

        Raises:
            Refused: one is over its limit, which the sentence names, or a time cannot be read.
        """
        most = self._bounds.limits.traces
        counts = [
            count for name in _COUNTS for text in parameters.get(name, ()) if (count := _number(text)) is not None
        ]
        if any(count > most for count in counts) or len(parameters.get("traceID", ())) > most:
            raise Refused(422, "too_large", f"there are more traces asked for than the limit of {most} traces")
        starts = [_time(text, name) for name in _STARTS for text in parameters.get(name, ())]
        ends = [_time(text, name) for name in _ENDS for text in parameters.get(name, ())]
        backs = [back for text in parameters.get("lookback", ()) if (back := _lookback(text)) is not None]
        seconds = max(ends, default=moment("now", "end")) - min(starts) if starts else 0.0
        self._bounds.range(max(seconds, *backs, 0.0))


def _number(text: str) -> float | None:
    try:
        number = float(text[:_DIGITS])
    except ValueError:
        return None
    # "nan" is no number that anything could be compared with.
    return None if math.isnan(number) else number


def _time(text: str, name: str) -> float:
    number = _number(text)
    return moment(text, name) if number is None else number / _MICRO


def _lookback(text: str) -> float | None:
    number = _number(text)
    if number is not None:
        return number / _MILLI
    try:
        return duration(text, "lookback")
    except Refused:
        return None
