"""The tool ``execute_logql_query``."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from pydantic import StrictInt

from gateway.agents.answers import query_data
from gateway.agents.logql_repair import repair
from gateway.agents.sources import check_source
from gateway.agents.times import duration, iso
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
    context: object = None


class LogQL:
    """Asks Loki over a range: from start to end, or a duration counted back from now.

    Args:
        loki: who answers.
        bounds: of a call.
    """

    name = "execute_logql_query"

    def __init__(self, loki: Upstream, bounds: Bounds) -> None:
        self._loki = loki
        self._bounds = bounds

    async def run(self, parameters: Mapping[str, object], span: Span) -> Outcome:
        """Return what Loki puts into ``data``, the newest lines first."""
        given = read(_Given, parameters)
        check_source(given.datasource_uid, "loki")
        query, note = repair(self._bounds.query(given.query))
        if given.duration is not None and (given.start is not None or given.end is not None):
            raise Refused(400, "bad_data", "give either duration or start and end, not both")
        back = _BACK_SECONDS if given.duration is None else duration(given.duration, "duration")
        first, last = self._bounds.window(given.start, given.end, back=back, now=time.time())
        limit = self._bounds.count(given.limit, default=_LINES, most=self._bounds.limits.log_lines, unit="lines")
        form = {
            "query": query,
            "start": str(int(first * 1000) * 1_000_000),
            "end": str(int(last * 1000) * 1_000_000),
            "limit": str(limit),
            "direction": "backward",
        }
        if given.step is not None:
            form["step"] = f"{self._bounds.step(given.step, first, last):.3f}"
        answer = await self._loki.post("/loki/api/v1/query_range", form, span)
        asked: dict[str, object] = {
            "query": query,
            "datasource": "loki",
            "start": iso(first),
            "end": iso(last),
            "limit": limit,
        }
        if note is not None:
            asked["repaired"] = note
        return Outcome(data=query_data(answer, self._loki), metadata=asked | unknown(_Given, parameters))
