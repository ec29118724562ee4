"""The tool ``execute_promql_query``."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from gateway.agents.answers import query_data
from gateway.agents.sources import check_source
from gateway.agents.times import iso, moment
from gateway.agents.tool import Outcome, Parameters, Text, Time, read, unknown

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.trace import Span

    from gateway.agents.bounds import Bounds
    from gateway.agents.upstream import Upstream

# Without a step: this many points, but not closer than the scrape interval of most jobs.
_POINTS, _SHORTEST_STEP = 250, 15.0


class _Given(Parameters):
    query: Text
    datasource_uid: Text
    start: Time | None = None
    end: Time | None = None
    step: Time | None = None
    context: object = None


class PromQL:
    """Asks Prometheus, over a range where there is a start, else at one moment.

    Args:
        prometheus: who answers.
        bounds: of a call.
    """

    name = "execute_promql_query"

    def __init__(self, prometheus: Upstream, bounds: Bounds) -> None:
        self._prometheus = prometheus
        self._bounds = bounds

    async def run(self, parameters: Mapping[str, object], span: Span) -> Outcome:
        """Return what Prometheus puts into ``data``."""
        given = read(_Given, parameters)
        check_source(given.datasource_uid, "prometheus")
        query = self._bounds.query(given.query)
        asked: dict[str, object] = {"query": query, "datasource": "prometheus"}
        if given.start is None:
            self._bounds.subqueries(query)
            form = {"query": query}
            if given.end is not None:
                at = moment(given.end, "end")
                form["time"] = f"{at:.3f}"
                asked["time"] = iso(at)
            path = "/api/v1/query"
        else:
            first, last = self._bounds.window(given.start, given.end, back=0, now=time.time())
            self._bounds.subqueries(query, range_seconds=last - first)
            wanted = max(_SHORTEST_STEP, (last - first) // _POINTS) if given.step is None else given.step
            step = self._bounds.step(wanted, first, last)
            form = {"query": query, "start": f"{first:.3f}", "end": f"{last:.3f}", "step": f"{step:.3f}"}
            asked |= {"start": iso(first), "end": iso(last), "step": f"{step:g}s"}
            path = "/api/v1/query_range"
        answer = await self._prometheus.post(path, form, span)
        notes = {name: answer[name] for name in ("warnings", "infos") if answer.get(name)}
        return Outcome(data=query_data(answer, self._prometheus), metadata=asked | notes | unknown(_Given, parameters))
