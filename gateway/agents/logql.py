"""The tool ``execute_logql_query``."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Literal

from pydantic import StrictBool, StrictInt

from gateway.agents.answers import query_data
from gateway.agents.logql_repair import repair
from gateway.agents.sources import check_source
from gateway.agents.times import duration, iso, moment
from gateway.agents.tool import Outcome, Parameters, Text, Time, read, unknown
from gateway.problems import Refused

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.trace import Span

    from gateway.agents.bounds import Bounds
    from gateway.agents.upstream import Upstream

# Loki's own defaults.
_BACK_SECONDS = 3600.0
_LINES = 100


class _Given(Parameters):
    query: Text
    datasource_uid: Text
    start: Time | None = None
    end: Time | None = None
    step: Time | None = None
    limit: StrictInt | None = None
    duration: Time | None = None
    direction: Literal["forward", "backward"] = "backward"
    instant: StrictBool = False
    context: object = None


class LogQL:
    """Asks Loki over a range, from start to end or a duration counted back from now; or at one moment, if told so.

    Args:
        loki: who answers.
        bounds: of a call.
    """

    name = "execute_logql_query"

    def __init__(self, loki: Upstream, bounds: Bounds) -> None:
        self._loki = loki
        self._bounds = bounds

    async def run(self, parameters: Mapping[str, object], span: Span) -> Outcome:
        """Return what Loki puts into ``data``, the newest lines first unless told otherwise."""
        given = read(_Given, parameters)
        check_source(given.datasource_uid, "loki")
        query, note = repair(self._bounds.query(given.query))
        path, form, asked = self._at_one_moment(given) if given.instant else self._over_a_range(given)
        limit = self._bounds.count(given.limit, default=_LINES, most=self._bounds.limits.log_lines, unit="lines")
        form |= {"query": query, "limit": str(limit), "direction": given.direction}
        answer = await self._loki.post(path, form, span)
        metadata: dict[str, object] = {"query": query, "datasource": "loki", **asked, "limit": limit}
        if note is not None:
            metadata["repaired"] = note
        return Outcome(data=query_data(answer, self._loki), metadata=metadata | unknown(_Given, parameters))

    def _at_one_moment(self, given: _Given) -> tuple[str, dict[str, str], dict[str, object]]:
        """Return path, form and metadata."""
        at = time.time() if given.end is None else moment(given.end, "end")
        return "/loki/api/v1/query", {"time": _nanoseconds(at)}, {"time": iso(at)}

    def _over_a_range(self, given: _Given) -> tuple[str, dict[str, str], dict[str, object]]:
        """Return path, form and metadata."""
        if given.duration is not None and (given.start is not None or given.end is not None):
            raise Refused(400, "bad_data", "give either duration or start and end, not both")
        back = _BACK_SECONDS if given.duration is None else duration(given.duration, "duration")
        first, last = self._bounds.window(given.start, given.end, back=back, now=time.time())
        form = {"start": _nanoseconds(first), "end": _nanoseconds(last)}
        if given.step is not None:
            form["step"] = f"{self._bounds.step(given.step, first, last):.3f}"
        return "/loki/api/v1/query_range", form, {"start": iso(first), "end": iso(last)}


def _nanoseconds(seconds: float) -> str:
    return str(int(seconds * 1000) * 1_000_000)
