"""Bounds on what a query asks for, on the fronts that pass queries on as they are.

Refused is what is over a limit, and a time or a duration that cannot be read here: a back end might read it (Go knows
``0x1p0`` and the year 0), and nobody would have counted. Whether the rest makes sense is for the back end to say.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from gateway.agents.times import duration, moment
from gateway.grafana_limits import GrafanaLimits
from gateway.jaeger.limits import JaegerLimits
from gateway.problems import Refused
from gateway.rules import Bounded

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gateway.agents.bounds import Bounds

_FIELDS = 256
_QUERIES = ("query", "q", "match[]", "match")
# Loki takes seconds, nanoseconds and everything between: what is not seconds by its size is nanoseconds.
_NANOSECONDS_FROM = 10**11
_DEFAULT_RANGE = 3600.0


class QueryLimits:
    """Checks the parameters that Prometheus, Loki and Tempo share, and hands those of Jaeger and Grafana on.

    Args:
        bounds: of a query.
    """

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._grafana = GrafanaLimits(bounds)
        self._jaeger = JaegerLimits(bounds)

    def check(self, bounded: Bounded, query: bytes, body: bytes) -> None:
        """Accept a request's parameters.

        Args:
            bounded: in whose form they are.
            query: the query string.
            body: a form, or nothing.

        Raises:
            Refused: one is over its limit, which the sentence names, or a time or duration cannot be read.
        """
        match bounded:
            case Bounded.NOT:
                return
            case Bounded.GRAFANA:
                self._grafana.check(body)
            case Bounded.JAEGER:
                self._jaeger.check(_parameters(query, body))
            case Bounded.QUERY:
                self._check(_parameters(query, body))

    def _check(self, parameters: Mapping[str, Sequence[str]]) -> None:
        queries = [text for name in _QUERIES for text in parameters.get(name, ())]
        for text in queries:
            self._bounds.length(text)
        self._check_lines(parameters.get("limit", ()))
        self._check_range(parameters, queries)

    def _check_lines(self, limits: Sequence[str]) -> None:
        most = self._bounds.limits.log_lines
        digits = [text.removeprefix("+") for text in limits]
        if any(text.isascii() and text.isdecimal() and (len(text) > 9 or int(text) > most) for text in digits):  # noqa: PLR2004 - digits, so that no number is too long to convert
            raise Refused(422, "too_large", f"limit is more than the limit of {most} lines, series or traces")

    def _check_range(self, parameters: Mapping[str, Sequence[str]], queries: Sequence[str]) -> None:
        # Of a parameter that is given twice a back end may take either.
        starts = [_time(text, "start") for text in parameters.get("start", ())]
        ends = [_time(text, "end") for text in parameters.get("end", ())]
        now = moment("now", "end")
        # A query at one moment may name any start, since nobody reads it: less than nothing is nothing.
        seconds = max(0.0, max(ends, default=now) - min(starts)) if starts else _DEFAULT_RANGE
        lengths = [_seconds(text, "since") for text in parameters.get("since", ())]
        seconds = max(seconds, *lengths) if lengths else seconds
        # At one moment there is no start, and Prometheus counts nothing but the subquery's own range.
        asked = seconds if starts or lengths else 0
        for text in queries:
            self._bounds.subqueries(text, range_seconds=asked)
        self._bounds.range(seconds)
        for step in [_seconds(text, name) for name in ("step", "interval") for text in parameters.get(name, ())]:
            if step > 0:
                self._bounds.points(seconds, step)


def _parameters(query: bytes, body: bytes) -> Mapping[str, Sequence[str]]:
    parameters: dict[str, list[str]] = {}
    for source in (query, body):
        try:
            found = parse_qs(source.decode("latin-1"), max_num_fields=_FIELDS)
        except ValueError:
            raise Refused(422, "too_large", f"more than the limit of {_FIELDS} parameters") from None
        for name, values in found.items():
            parameters.setdefault(name, []).extend(values)
    return parameters


def _time(text: str, name: str) -> float:
    number = _number(text)
    if number is None:
        return moment(text, name)
    return number / 1e9 if abs(number) >= _NANOSECONDS_FROM else number


def _seconds(text: str, name: str) -> float:
    number = _number(text)
    return duration(text, name) if number is None else number


def _number(text: str) -> float | None:
    """Return a finite number; with others nothing would ever be over a limit."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
