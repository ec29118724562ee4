"""Tools of mcp-grafana that query, under its names and with its arguments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from gateway.agents.schema import DATASOURCE, END, START, schema
from gateway.agents.tool import GivenInt, GivenText, Outcome, Parameters, Text, read, unknown
from gateway.problems import Refused

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.trace import Span

    from gateway.agents.logql import LogQL
    from gateway.agents.promql import PromQL


class _Prometheus(Parameters):
    datasourceUid: Text  # noqa: N815 - mcp-grafana's names
    expr: Text
    startTime: GivenText = None  # noqa: N815
    endTime: GivenText = None  # noqa: N815
    stepSeconds: GivenInt = None  # noqa: N815
    queryType: Literal["range", "instant", ""] = ""  # noqa: N815


class QueryPrometheus:
    """``query_prometheus``: a range query where there is a start, unless it is to be an instant one.

    Args:
        promql: asks.
    """

    name = "query_prometheus"
    description = "Query Prometheus with PromQL, at one moment or over a range."
    schema: Mapping[str, object] = schema(
        {**DATASOURCE, "expr": ("text", "PromQL")},
        startTime=START,
        endTime=END,
        stepSeconds=("number", "Seconds between two points of a range"),
        queryType=("text", "range or instant"),
    )

    def __init__(self, promql: PromQL) -> None:
        self._promql = promql

    async def run(self, parameters: Mapping[str, object], span: Span) -> Outcome:
        """Return what Prometheus puts into ``data``."""
        given = read(_Prometheus, parameters)
        if given.queryType == "range" and not given.startTime:
            raise Refused(400, "bad_data", "queryType range needs startTime")
        asked: dict[str, object] = {"query": given.expr, "datasource_uid": given.datasourceUid, "end": given.endTime}
        if given.queryType != "instant":
            asked |= {"start": given.startTime, "step": given.stepSeconds}
        outcome = await self._promql.run(asked, span)
        return Outcome(data=outcome.data, metadata=outcome.metadata | unknown(_Prometheus, parameters))


class _Loki(Parameters):
    datasourceUid: Text  # noqa: N815
    logql: Text
    startRfc3339: GivenText = None  # noqa: N815
    endRfc3339: GivenText = None  # noqa: N815
    limit: GivenInt = None
    direction: Literal["forward", "backward", ""] = ""
    queryType: Literal["range", "instant", ""] = ""  # noqa: N815
    stepSeconds: GivenInt = None  # noqa: N815


class QueryLokiLogs:
    """``query_loki_logs``: over a range, the newest first, unless told otherwise.

    Args:
        logql: asks.
    """

    name = "query_loki_logs"
    description = "Query Loki with LogQL over a range, by default the last hour; the newest lines come first."
    schema: Mapping[str, object] = schema(
        {**DATASOURCE, "logql": ("text", "LogQL")},
        startRfc3339=START,
        endRfc3339=END,
        limit=("number", "Most lines; 100 if not given"),
        direction=("text", "backward, the newest first, if not given; or forward"),
        queryType=("text", "range, or instant for the value of a metric query at the end of the range"),
        stepSeconds=("number", "Seconds between two points of a metric query"),
    )

    def __init__(self, logql: LogQL) -> None:
        self._logql = logql

    async def run(self, parameters: Mapping[str, object], span: Span) -> Outcome:
        """Return what Loki puts into ``data``."""
        given = read(_Loki, parameters)
        instant = given.queryType == "instant"
        asked: dict[str, object] = {
            "query": given.logql,
            "datasource_uid": given.datasourceUid,
            "start": given.startRfc3339,
            "end": given.endRfc3339 or (given.startRfc3339 if instant else None),
            "limit": given.limit,
            "direction": given.direction or "backward",
            "instant": instant,
            "step": given.stepSeconds,
        }
        outcome = await self._logql.run(asked, span)
        return Outcome(data=outcome.data, metadata=outcome.metadata | unknown(_Loki, parameters))
