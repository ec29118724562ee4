"""The form in which Jaeger answers, as spans."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

from gateway.traceql.model import Kind, Status
from gateway.traceql.spans import Span

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.traceql.spans import Scalar

_MICRO = 1000
# Tags that Jaeger makes of what OpenTelemetry keeps beside a span's attributes.
STATUS_TAG, KIND_TAG, ERROR_TAG = "otel.status_code", "span.kind", "error"
_MADE = frozenset({STATUS_TAG, KIND_TAG, "otel.status_description", "otel.scope.name", "otel.scope.version"})
_STATUSES = {"OK": Status.OK, "ERROR": Status.ERROR}


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)


class _Tag(_Model):
    key: str
    type: str = "string"
    value: str | bool | int | float

    def scalar(self) -> Scalar:
        # Jaeger's JSON writes a whole number of a float without a point.
        return float(self.value) if self.type == "float64" and not isinstance(self.value, str) else self.value


class _Process(_Model):
    serviceName: str  # noqa: N815 - Jaeger's names
    tags: list[_Tag] = Field(default_factory=list[_Tag])


class _Reference(_Model):
    refType: str  # noqa: N815
    traceID: str  # noqa: N815
    spanID: str  # noqa: N815


class _Span(_Model):
    spanID: str  # noqa: N815
    operationName: str  # noqa: N815
    startTime: int  # noqa: N815
    duration: int
    processID: str  # noqa: N815
    references: list[_Reference] = Field(default_factory=list[_Reference])
    tags: list[_Tag] = Field(default_factory=list[_Tag])


class _Trace(_Model):
    traceID: str  # noqa: N815
    spans: list[_Span] = Field(min_length=1)
    processes: dict[str, _Process]


class _Traces(_Model):
    data: list[_Trace] | None


class Services(_Model):
    """The answer of ``/api/services``."""

    data: list[str] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """A trace with all of its spans; a root has no parent."""

    trace_id: str
    spans: Sequence[Span]

    @property
    def root(self) -> Span | None:
        """The span without a parent, None if it is missing."""
        roots = [span for span in self.spans if span.parent_id is None]
        return min(roots, key=lambda span: span.start, default=None)

    @property
    def start(self) -> int:
        """When the first span began, in nanoseconds since 1970."""
        return min(span.start for span in self.spans)

    @property
    def duration(self) -> int:
        """From the first span's begin to the last one's end, in nanoseconds."""
        return max(span.start + span.duration for span in self.spans) - self.start

    @property
    def latest_start(self) -> int:
        """When the last span began, in nanoseconds since 1970."""
        return max(span.start for span in self.spans)


def traces(document: object) -> list[Trace]:
    """Return the traces of an answer of ``/api/traces``.

    Raises:
        ValueError: the answer has another form.
    """
    return [_trace(trace) for trace in _Traces.model_validate(document).data or []]


def _trace(trace: _Trace) -> Trace:
    resources: dict[str, dict[str, Scalar]] = {
        name: {tag.key: tag.scalar() for tag in process.tags} | {"service.name": process.serviceName}
        for name, process in trace.processes.items()
    }
    return Trace(trace_id=trace.traceID, spans=[_span(span, trace.traceID, resources) for span in trace.spans])


def _span(span: _Span, trace_id: str, resources: dict[str, dict[str, Scalar]]) -> Span:
    tags = {tag.key: tag.scalar() for tag in span.tags}
    status = _STATUSES.get(str(tags.get(STATUS_TAG)), Status.UNSET)
    if STATUS_TAG not in tags and tags.get(ERROR_TAG) is True:
        status = Status.ERROR
    kind = str(tags.get(KIND_TAG))
    parent = next((one.spanID for one in span.references if one.traceID == trace_id), None)
    return Span(
        span_id=span.spanID,
        parent_id=parent,
        name=span.operationName,
        kind=Kind(kind) if kind in {*Kind} else Kind.UNSPECIFIED,
        status=status,
        start=span.startTime * _MICRO,
        duration=span.duration * _MICRO,
        attributes={
            key: value
            for key, value in tags.items()
            if key not in _MADE and not (key == ERROR_TAG and status is Status.ERROR and value is True)
        },
        resource=resources.get(span.processID, {}),
    )
