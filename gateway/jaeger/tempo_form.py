"""Traces in the form of Tempo's ``/api/search``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.traceql.model import Attribute, Intrinsic, Scope, Status

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.jaeger.answers import Trace
    from gateway.traceql.model import Query
    from gateway.traceql.spans import Scalar, Span

_MILLION = 1_000_000
# Tempo's own words.
_NO_ROOT = "<root span not yet received>"


def found(trace: Trace, matched: Sequence[Span], query: Query, *, spans: int) -> dict[str, object]:
    """Return one trace of a search result.

    Args:
        trace: all of it.
        matched: the spans that the query finds.
        query: its fields are shown of each span.
        spans: how many spans are shown.
    """
    root = trace.root
    span_set: dict[str, object] = {
        "spans": [_span(span, query) for span in sorted(matched, key=lambda span: span.start)[:spans]],
        "matched": len(matched),
    }
    return {
        "traceID": trace.trace_id,
        "rootServiceName": _NO_ROOT if root is None else root.service,
        "rootTraceName": "" if root is None else root.name,
        "startTimeUnixNano": str(trace.start),
        "durationMs": trace.duration // _MILLION,
        "spanSet": span_set,
        "spanSets": [span_set],
        "serviceStats": _statistics(trace),
    }


def _span(span: Span, query: Query) -> dict[str, object]:
    shown: dict[str, dict[str, object]] = {}
    for comparison in query.comparisons:
        match comparison.field:
            case Attribute(scope=scope, name=name):
                value = (span.attributes if scope is Scope.SPAN else span.resource).get(name)
            case Intrinsic.STATUS:
                name, value = "status", span.status.value
            case Intrinsic.KIND:
                name, value = "kind", span.kind.value
            case Intrinsic.NAME | Intrinsic.DURATION:
                continue
        if value is not None:
            shown[name] = {"key": name, "value": _value(value)}
    return {
        "spanID": span.span_id,
        "name": span.name,
        "startTimeUnixNano": str(span.start),
        "durationNanos": str(span.duration),
        "attributes": list(shown.values()),
    }


def _value(value: Scalar) -> dict[str, object]:
    match value:
        case bool():
            return {"boolValue": value}
        case int():
            return {"intValue": str(value)}
        case float():
            return {"doubleValue": value}
        case str():
            return {"stringValue": value}


def _statistics(trace: Trace) -> dict[str, dict[str, int]]:
    statistics: dict[str, dict[str, int]] = {}
    for span in trace.spans:
        one = statistics.setdefault(span.service, {"spanCount": 0})
        one["spanCount"] += 1
        if span.status is Status.ERROR:
            one["errorCount"] = one.get("errorCount", 0) + 1
    return statistics
