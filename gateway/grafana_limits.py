"""Bounds on what Grafana's pages ask of the data sources: ``POST /api/ds/query``, a JSON document of several queries.

How close points lie Grafana decides itself, by ``maxDataPoints`` and the range; so these two are what counts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from pydantic_core import from_json

from gateway.agents.times import duration, moment
from gateway.problems import Refused

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.agents.bounds import Bounds

_QUERIES = 32
_TEXTS = ("expr", "query", "expression")
_LINES = ("maxLines", "limit")
_STEPS = ("step", "interval")
# Go reads a member whatever the case of its name; here it would go unseen.
_READ = {
    name.casefold(): name for name in ("queries", "timeRange", "from", "to", "maxDataPoints", *_TEXTS, *_LINES, *_STEPS)
}
_MILLI = 1000
# Grafana's own default range.
_BACK_SECONDS = 6 * 3600.0


class GrafanaLimits:
    """Checks the body of ``/api/ds/query``.

    Args:
        bounds: of a query.
    """

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds

    def check(self, body: bytes) -> None:
        """Accept a body.

        Raises:
            Refused: it is over a limit, which the sentence names, or its form is not Grafana's.
        """
        try:
            document: object = from_json(body)
        except ValueError as error:
            raise Refused(400, "bad_data", f"the body is not JSON: {error}") from None
        asked = _object(document, "the body")
        queries = asked.get("queries", [])
        if not isinstance(queries, list):
            raise Refused(400, "bad_data", "queries must be a list")
        found = [_object(one, "a query") for one in cast("list[object]", queries)]
        if len(found) > _QUERIES:
            raise Refused(422, "too_large", f"there are more than the limit of {_QUERIES} queries in one request")
        for one in found:
            own = one.get("timeRange")
            self._check_query(one, self._range(asked if own is None else _object(own, "timeRange")))

    def _range(self, asked: Mapping[str, object]) -> float:
        end = _moment(asked.get("to") or "now", "to")
        start = end - _BACK_SECONDS if not asked.get("from") else _moment(asked["from"], "from")
        self._bounds.range(end - start)
        return max(0.0, end - start)

    def _check_query(self, query: Mapping[str, object], seconds: float) -> None:
        limits = self._bounds.limits
        for text in (query.get(name) for name in _TEXTS):
            if isinstance(text, str):
                self._bounds.length(text)
                self._bounds.subqueries(text, range_seconds=seconds)
        if _number(query.get("maxDataPoints")) > limits.points:
            sentence = f"maxDataPoints is more than the limit of {limits.points} points per series"
            raise Refused(422, "too_large", sentence)
        if any(_number(query.get(name)) > limits.log_lines for name in _LINES):
            raise Refused(
                422, "too_large", f"there are more lines asked for than the limit of {limits.log_lines} lines"
            )
        for step in (_seconds(query.get(name)) for name in _STEPS):
            if step is not None:
                self._bounds.points(seconds, step)


def _object(given: object, name: str) -> Mapping[str, object]:
    if not isinstance(given, dict):
        raise Refused(400, "bad_data", f"{name} must be an object")
    found = cast("dict[str, object]", given)
    for written in found:
        meant = _READ.get(written.casefold(), written)
        if written != meant:
            raise Refused(400, "bad_data", f"{written[:80]!r} must be written as {meant}")
    return found


def _moment(given: object, name: str) -> float:
    """Return seconds since 1970 of what Grafana's pages send: milliseconds, as a number or text, or ``now-1h``."""
    text = str(int(given)) if isinstance(given, float) and given.is_integer() else str(given)
    if text.isascii() and text.isdecimal():
        return moment(float(text) / _MILLI, name)
    return moment(text, name)


def _number(given: object) -> float:
    try:
        return float(given) if isinstance(given, int | float | str) else 0.0
    except (ValueError, OverflowError):
        return 0.0


def _seconds(given: object) -> float | None:
    # A variable such as $__interval, which Grafana fills in within its own bounds, is none.
    try:
        return duration(given, "step") if isinstance(given, int | float | str) else None
    except Refused:
        return None
