"""Asks the stack through the gateway's fronts, as an agent does."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import requests

from infra.errors import DemoError

__all__ = ["QueryRefused", "Stack", "Window"]

_SECONDS = 30.0
_POINTS: Final = 5000
_LEAST_STEP = 5
_TRACES = 200
_UNAUTHORIZED, _NOT_FOUND, _CLIENT_ERROR, _SERVER_ERROR = 401, 404, 400, 500


class QueryRefused(Exception):  # noqa: N818 - the query is at fault, and the text says how
    """A back end says that a query is wrong; the text is its own words."""


@dataclass(frozen=True, slots=True)
class Window:
    """A range of time."""

    start: datetime
    end: datetime

    @property
    def seconds(self) -> float:
        """How long it is."""
        return (self.end - self.start).total_seconds()

    def around(self, moment: datetime, margin: timedelta) -> "Window":
        """The part of time around a moment."""
        return Window(moment - margin, moment + margin)


class Stack:
    """The three signals of a running stack.

    Args:
        settings: COMPASS's connection settings.
    """

    def __init__(self, settings: Mapping[str, str]) -> None:
        self._prometheus = settings["PROMETHEUS_URL"]
        self._loki = settings["LOKI_QUERY_URL"]
        self._traces = settings["TEMPO_URL"]
        self._session = requests.Session()
        self._session.trust_env = False

    def metrics(self, query: str, window: Window) -> list[list[float]]:
        """The values of each series that a PromQL query finds.

        Raises:
            QueryRefused: Prometheus refuses the query.
            DemoError: the gateway or Prometheus does not answer.
        """
        return self._range(f"{self._prometheus}/api/v1/query_range", query, window)

    def log_metrics(self, query: str, window: Window) -> list[list[float]]:
        """The same for a LogQL query that counts."""
        return self._range(f"{self._loki}/loki/api/v1/query_range", query, window)

    def log_lines(self, query: str, window: Window) -> int:
        """How many lines a LogQL query finds."""
        counting = f"sum(count_over_time({query} [{max(1, math.ceil(window.seconds))}s]))"
        answer = self._get(f"{self._loki}/loki/api/v1/query", {"query": counting, "time": window.end.timestamp()})
        result = answer["data"]["result"]
        return int(float(result[0]["value"][1])) if result else 0

    def traces(self, query: str, window: Window) -> list[float]:
        """Milliseconds of each trace that a TraceQL query finds, 200 at most."""
        asked = {
            "q": query,
            "start": int(window.start.timestamp()),
            "end": math.ceil(window.end.timestamp()),
            "limit": _TRACES,
        }
        return [float(trace.get("durationMs", 0)) for trace in self._get(f"{self._traces}/api/search", asked)["traces"]]

    def trace(self, trace_id: str) -> float | None:
        """Milliseconds of one trace, from its first span's start to its last one's end; None if it is not there."""
        try:
            answer = self._get(f"{self._traces}/api/traces/{trace_id}", {}, missing=True)
        except QueryRefused:
            return None
        spans = list(_spans(answer))
        if not spans:
            return None
        return (max(end for _, end in spans) - min(start for start, _ in spans)) / 1e6

    def _range(self, url: str, query: str, window: Window) -> list[list[float]]:
        step = max(_LEAST_STEP, math.ceil(window.seconds / _POINTS))
        asked = {
            "query": query,
            "start": window.start.timestamp(),
            "end": window.end.timestamp(),
            "step": step,
        }
        data = self._get(url, asked)["data"]
        if data["resultType"] != "matrix":
            raise QueryRefused(f"answers with {data['resultType']}, not with numbers over time")
        series = [[float(value) for _, value in one["values"]] for one in data["result"]]
        return [kept for values in series if (kept := [value for value in values if not math.isnan(value)])]

    def _get(self, url: str, asked: Mapping[str, Any], *, missing: bool = False) -> dict[str, Any]:
        where = url.rpartition("@")[2].partition("/")[0]
        try:
            response = self._session.get(url, params=dict(asked), timeout=_SECONDS, allow_redirects=False)
        except requests.RequestException:
            raise DemoError(f"The gateway does not answer at {where}; ./demo status says why.") from None
        status = response.status_code
        if status == _UNAUTHORIZED:
            raise DemoError(f"The gateway at {where} does not know the token; ./demo env writes the present one.")
        try:
            answer: dict[str, Any] = response.json()
        except ValueError:
            answer = {}
        said = str(answer.get("error") or answer.get("errors") or response.reason or status)
        if missing and status in (_CLIENT_ERROR, _NOT_FOUND):
            raise QueryRefused(said)
        if _CLIENT_ERROR <= status < _SERVER_ERROR:
            raise QueryRefused(said)
        if status >= _SERVER_ERROR:
            raise DemoError(f"The stack cannot be asked: {said}.")
        return answer


def _spans(answer: Mapping[str, Any]) -> list[tuple[float, float]]:
    """Start and end of each span in nanoseconds, from Jaeger's and from Tempo's form of a trace."""
    jaeger = [span for trace in answer.get("data") or () for span in trace.get("spans", ())]
    if jaeger:
        return [(span["startTime"] * 1e3, (span["startTime"] + span["duration"]) * 1e3) for span in jaeger]
    groups: list[Any] = answer.get("batches") or answer.get("resourceSpans") or []
    scopes = [scope for group in groups for scope in group.get("scopeSpans", ())]
    spans = [span for scope in scopes for span in scope.get("spans", ())]
    return [(float(span["startTimeUnixNano"]), float(span["endTimeUnixNano"])) for span in spans]
