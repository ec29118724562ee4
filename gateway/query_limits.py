"""Bounds on what a query asks for, on the fronts that pass queries on as they are.

Only what is over a limit is refused here; whether the rest makes sense is for the back end to say. What cannot be
read as a number, a time or a duration, it cannot read either.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from gateway.agents.times import duration, moment, shown
from gateway.grafana_limits import GrafanaLimits
from gateway.jaeger.limits import JaegerLimits
from gateway.problems import Refused
from gateway.rules import Bounded
from gateway.subqueries import check_subqueries

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gateway.config import AgentLimits

_FIELDS = 256
_QUERIES = ("query", "q", "match[]", "match")
# Loki takes seconds, nanoseconds and everything between: what is not seconds by its size is nanoseconds.
_NANOSECONDS_FROM = 10**11
_DEFAULT_RANGE = 3600.0


class QueryLimits:
    """Checks the parameters that Prometheus, Loki and Tempo share, and hands those of Jaeger and Grafana on.

    Args:
        limits: the configured bounds.
    """

    def __init__(self, limits: AgentLimits) -> None:
        self._limits = limits
        self._grafana = GrafanaLimits(limits)
        self._jaeger = JaegerLimits(limits)

    def check(self, bounded: Bounded, query: bytes, body: bytes) -> None:
        """Accept a request's parameters.

        Args:
            bounded: in whose form they are.
            query: the query string.
            body: a form, or nothing.

        Raises:
            Refused: one is over its limit, which the sentence names.
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
        self._check_length(parameters)
        self._check_lines(parameters.get("limit", ()))
        self._check_range(parameters)

    def _check_length(self, parameters: Mapping[str, Sequence[str]]) -> None:
        most = self._limits.query_bytes
        for name in _QUERIES:
            if any(len(text.encode()) > most for text in parameters.get(name, ())):
                raise Refused(413, "too_large", f"the query is longer than the limit of {most} bytes; shorten it")

    def _check_lines(self, limits: Sequence[str]) -> None:
        most = self._limits.log_lines
        if any(text.isascii() and text.isdecimal() and (len(text) > 9 or int(text) > most) for text in limits):  # noqa: PLR2004 - digits, so that no number is too long to convert
            raise Refused(422, "too_large", f"limit is more than the limit of {most} lines, series or traces")

    def _check_range(self, parameters: Mapping[str, Sequence[str]]) -> None:
        # Of a parameter that is given twice a back end may take either.
        starts = [time for text in parameters.get("start", ()) if (time := _time(text)) is not None]
        ends = [time for text in parameters.get("end", ()) if (time := _time(text)) is not None]
        now = moment("now", "end")
        seconds = max(ends, default=now) - min(starts) if starts else _DEFAULT_RANGE
        lengths = [length for text in parameters.get("since", ()) if (length := _seconds(text)) is not None]
        seconds = max(seconds, *lengths) if lengths else seconds
        # At one moment there is no start, and Prometheus counts nothing but the subquery's own range.
        asked = seconds if starts or lengths else 0
        for text in (text for name in _QUERIES for text in parameters.get(name, ())):
            check_subqueries(text, range_seconds=asked, points=self._limits.points)
        if seconds > self._limits.range_seconds:
            longest = shown(self._limits.range_seconds)
            raise Refused(422, "too_large", f"the range is longer than the limit of {longest}; ask for less")
        given = [_seconds(text) for name in ("step", "interval") for text in parameters.get(name, ())]
        steps = [step for step in given if step is not None and step > 0]
        if any(seconds / step + 1 > self._limits.points for step in steps):
            raise Refused(
                422,
                "too_large",
                f"the range and step make more than the limit of {self._limits.points} points per series; "
                "take a longer step or a shorter range",
            )


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


def _time(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        try:
            return moment(text, "time")
        except Refused:
            return None
    return number / 1e9 if abs(number) >= _NANOSECONDS_FROM else number


def _seconds(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        try:
            return duration(text, "duration")
        except Refused:
            return None
