"""The shapes in which Prometheus, Loki, Jaeger, Tempo and Alertmanager answer, as far as the status page reads them.

A back end that answers something else is a fault of that part of the page, so everything is validated before it is
used.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Literal

from pydantic import AwareDatetime, BaseModel, Field, RootModel

from gateway.status.model import ActiveAlert, LogLine, TraceRow


class _Vector(BaseModel):
    class Sample(BaseModel):
        value: tuple[float, str]

    resultType: Literal["vector"]  # noqa: N815 - Prometheus's name
    result: list[Sample]


class Instant(BaseModel):
    """An instant query's answer."""

    data: _Vector

    def value(self) -> float | None:
        """Return the one value, None if there is none or it is not a number."""
        return number(self.data.result[0].value[1]) if self.data.result else None


class _Matrix(BaseModel):
    class Series(BaseModel):
        values: list[tuple[float, str]]

    resultType: Literal["matrix"]  # noqa: N815 - Prometheus's name
    result: list[Series]


class Range(BaseModel):
    """A range query's answer."""

    data: _Matrix

    def values(self, *, start: float, step: float, count: int) -> list[float | None]:
        """Return the first series at equal steps, None for the steps without a sample."""
        values: list[float | None] = [None] * count
        for at, text in self.data.result[0].values if self.data.result else []:
            position = round((at - start) / step)
            if 0 <= position < count:
                values[position] = number(text)
        return values


class _Streams(BaseModel):
    class Stream(BaseModel):
        stream: dict[str, str]
        # [nanoseconds, line] and, if asked for, a third element that says where labels came from.
        values: list[tuple[str, str] | tuple[str, str, object]]

    resultType: Literal["streams"]  # noqa: N815 - Loki's name
    result: list[Stream]


class Streams(BaseModel):
    """A log query's answer."""

    data: _Streams

    def lines(self) -> list[LogLine]:
        """Return the lines of all streams, newest first."""
        lines = [
            LogLine(
                at=datetime.fromtimestamp(int(value[0]) / 1e9, UTC),
                level=(stream.stream.get("detected_level") or stream.stream.get("severity_text") or "?").lower(),
                text=value[1],
                trace_id=stream.stream.get("trace_id", ""),
            )
            for stream in self.data.result
            for value in stream.values
        ]
        return sorted(lines, key=lambda line: line.at, reverse=True)


class JaegerTraces(BaseModel):
    """Jaeger's list of traces: whole traces with their spans."""

    class Trace(BaseModel):
        """One trace."""

        class Span(BaseModel):
            """One span; times in microseconds."""

            operationName: str  # noqa: N815 - Jaeger's names
            startTime: int  # noqa: N815
            duration: int
            references: list[object] = Field(default_factory=list[object])

        traceID: str  # noqa: N815
        spans: list[Span] = Field(min_length=1)

    data: list[Trace]

    def rows(self) -> list[TraceRow]:
        """Return one row for each trace, named after its root, or its first span if the root is missing."""
        return [
            TraceRow(
                trace_id=trace.traceID,
                at=datetime.fromtimestamp(first.startTime / 1e6, UTC),
                name=first.operationName,
                milliseconds=(max(span.startTime + span.duration for span in trace.spans) - first.startTime) / 1e3,
                spans=len(trace.spans),
            )
            for trace in self.data
            for first in [min(trace.spans, key=lambda span: (bool(span.references), span.startTime))]
        ]


class TempoTraces(BaseModel):
    """Tempo's search result."""

    class Trace(BaseModel):
        """One trace."""

        traceID: str  # noqa: N815 - Tempo's names
        rootTraceName: str = ""  # noqa: N815
        startTimeUnixNano: int  # noqa: N815
        durationMs: float = 0  # noqa: N815

    traces: list[Trace] = Field(default_factory=list[Trace])

    def rows(self) -> list[TraceRow]:
        """Return one row for each trace."""
        return [
            TraceRow(
                trace_id=trace.traceID,
                at=datetime.fromtimestamp(trace.startTimeUnixNano / 1e9, UTC),
                name=trace.rootTraceName or "(root not received)",
                milliseconds=trace.durationMs,
                spans=None,
            )
            for trace in self.traces
        ]


class HeldAlert(BaseModel):
    """One alert of Alertmanager's API, version 2."""

    labels: dict[str, str]
    annotations: dict[str, str] = Field(default_factory=dict[str, str])
    startsAt: AwareDatetime  # noqa: N815 - Alertmanager's name

    def row(self) -> ActiveAlert:
        """Return what the page shows of it."""
        return ActiveAlert(
            name=self.labels.get("alertname", "(no name)"),
            severity=self.labels.get("severity", ""),
            summary=self.annotations.get("summary") or self.annotations.get("description") or "",
            since=self.startsAt,
        )


class HeldAlerts(RootModel[list[HeldAlert]]):
    """Alertmanager's list of alerts."""

    def rows(self) -> list[ActiveAlert]:
        """Return one row for each alert, newest first."""
        return sorted((alert.row() for alert in self.root), key=lambda alert: alert.since, reverse=True)


def number(text: str) -> float | None:
    """Return a sample's value, None for what is not a finite number."""
    value = float(text)
    return value if math.isfinite(value) else None
