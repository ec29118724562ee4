"""Spans, without the OpenTelemetry SDK: measured, the SDK's spans and their encoding cost 25 times as much (docs/benchmarks.md).

A span here is OTLP's own message. What is the same for every span of a kind (name, kind, most attributes) is made once as a
template and copied by the protobuf runtime; a request adds its ids, its times and the few attributes that differ.
"""

import os
import traceback
from collections.abc import Callable, Mapping
from typing import TypeAlias

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from payment_service.telemetry.context import RequestContext
from payment_service.telemetry.logs import redact_text

AttributeValue: TypeAlias = str | bool | int | float
SpanSink: TypeAlias = Callable[[Span], None]

INTERNAL = Span.SpanKind.SPAN_KIND_INTERNAL
SERVER = Span.SpanKind.SPAN_KIND_SERVER
CLIENT = Span.SpanKind.SPAN_KIND_CLIENT

# W3C "sampled", and OTLP's "it is known whether the parent is remote" without and with "it is".
_LOCAL_PARENT = 0x101
_REMOTE_PARENT = 0x301
_STACK_CHARACTERS = 4000


def to_any_value(value: AttributeValue) -> AnyValue:
    """OTLP's form of an attribute's value.

    Args:
        value: The value.
    """
    match value:
        case bool():
            return AnyValue(bool_value=value)
        case int():
            return AnyValue(int_value=value)
        case float():
            return AnyValue(double_value=value)
        case str():
            return AnyValue(string_value=value)


def to_key_values(attributes: Mapping[str, AttributeValue]) -> list[KeyValue]:
    """OTLP's form of attributes.

    Args:
        attributes: Values by name.
    """
    return [KeyValue(key=key, value=to_any_value(value)) for key, value in attributes.items()]


class SpanTemplate:
    """What all spans of a kind have in common."""

    __slots__ = ("message",)

    def __init__(self, name: str, kind: Span.SpanKind, attributes: Mapping[str, AttributeValue]) -> None:
        self.message = Span(name=name, kind=kind, attributes=to_key_values(attributes), flags=_LOCAL_PARENT)


class Tracer:
    """Records finished spans.

    Args:
        sink: Takes each finished span; None records nothing.
    """

    __slots__ = ("_sink",)

    def __init__(self, sink: SpanSink | None) -> None:
        self._sink = sink

    def records(self, request: RequestContext | None) -> bool:
        """Whether spans of this request are wanted.

        Args:
            request: The request, or None outside one.
        """
        return self._sink is not None and request is not None and request.sampled

    def record(
        self,
        template: SpanTemplate,
        request: RequestContext,
        start: int,
        end: int,
        *,
        attributes: Mapping[str, AttributeValue] | None = None,
        error: BaseException | None = None,
    ) -> None:
        """Record a span below the request's.

        Args:
            template: Its kind.
            request: The request that it belongs to.
            start: Nanoseconds since the epoch.
            end: The same.
            attributes: What this span has beyond the template.
            error: What made it fail.
        """
        if self._sink is None or not request.sampled:
            return
        span = Span()
        span.CopyFrom(template.message)
        span.trace_id = request.trace_id
        span.span_id = os.urandom(8)
        span.parent_span_id = request.span_id
        span.start_time_unix_nano = start
        span.end_time_unix_nano = end
        if attributes:
            _add(span, attributes)
        if error is not None:
            _fail(span, error, end)
        self._sink(span)

    def record_server(
        self,
        template: SpanTemplate,
        request: RequestContext,
        start: int,
        end: int,
        *,
        attributes: Mapping[str, AttributeValue],
        failed: bool,
        error: BaseException | None = None,
    ) -> None:
        """Record the request's own span.

        Args:
            template: Its route, method and status.
            request: The request.
            start: Nanoseconds since the epoch.
            end: The same.
            attributes: What this span has beyond the template.
            failed: Whether the service, not the caller, is to blame for the outcome.
            error: The exception behind it, if there was one.
        """
        if self._sink is None or not request.sampled:
            return
        span = Span()
        span.CopyFrom(template.message)
        span.trace_id = request.trace_id
        span.span_id = request.span_id
        if request.parent_id:
            span.parent_span_id = request.parent_id
            span.flags = _REMOTE_PARENT
        if request.trace_state:
            span.trace_state = request.trace_state
        span.start_time_unix_nano = start
        span.end_time_unix_nano = end
        _add(span, attributes)
        if error is not None:
            _fail(span, error, end)
        elif failed:
            span.status.code = Status.StatusCode.STATUS_CODE_ERROR
        self._sink(span)


def _add(span: Span, attributes: Mapping[str, AttributeValue]) -> None:
    add = span.attributes.add
    for key, value in attributes.items():
        pair = add()
        pair.key = key
        if isinstance(value, str):
            pair.value.string_value = value
        else:
            pair.value.CopyFrom(to_any_value(value))


def _fail(span: Span, error: BaseException, time: int) -> None:
    message = redact_text(str(error))
    kind = f"{type(error).__module__}.{type(error).__qualname__}".removeprefix("builtins.")
    span.status.code = Status.StatusCode.STATUS_CODE_ERROR
    span.status.message = message
    event = span.events.add(name="exception", time_unix_nano=time)
    stack = redact_text("".join(traceback.format_exception(error)))[-_STACK_CHARACTERS:]
    event.attributes.extend(
        to_key_values({"exception.type": kind, "exception.message": message, "exception.stacktrace": stack})
    )
