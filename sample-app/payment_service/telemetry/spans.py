"""Spans, without the OpenTelemetry SDK, which costs many times as much (docs/benchmarks.md has the numbers).

What is the same for every span of a kind (name, kind, most attributes) is encoded once, by OTLP's own classes.
Protobuf messages may be joined by joining their bytes, so a finished span is those bytes, the ids and times, and the
few attributes that differ. Exporting is then no more than joining what is there.
"""

import struct
import traceback
from collections.abc import Callable, Mapping
from random import getrandbits
from typing import Final, TypeAlias

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from payment_service.telemetry.context import RequestContext
from payment_service.telemetry.logs import redact_text

AttributeValue: TypeAlias = str | bool | int | float
SpanSink: TypeAlias = Callable[[bytes], None]

INTERNAL = Span.SpanKind.SPAN_KIND_INTERNAL
SERVER = Span.SpanKind.SPAN_KIND_SERVER
CLIENT = Span.SpanKind.SPAN_KIND_CLIENT

# W3C "sampled", and OTLP's "it is known whether the parent is remote" without and with "it is".
_LOCAL_PARENT = 0x101
_REMOTE_PARENT = 0x301
_STACK_CHARACTERS = 4000

# The ids and times of a span below the request's, and of the request's own, in protobuf's wire format: field number
# and type, length, value. The lengths are fixed, so one call packs all of it. (A test reads it back with OTLP's own
# classes.)
_CHILD: Final = struct.Struct("<BB16sBBQBB8sBQBQ").pack
_OWN: Final = struct.Struct("<BB16sBB8sBQBQ").pack
_TRACE_ID: Final = (1 << 3 | 2, 16)
_SPAN_ID: Final = (2 << 3 | 2, 8)
_PARENT_ID: Final = (4 << 3 | 2, 8)
_START: Final = 7 << 3 | 1
_END: Final = 8 << 3 | 1


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
    """What all spans of a kind have in common, encoded.

    Args:
        name: The span's name.
        kind: The span's kind.
        attributes: Attributes that all of them have.
    """

    __slots__ = ("encoded",)

    def __init__(self, name: str, kind: Span.SpanKind.ValueType, attributes: Mapping[str, AttributeValue]) -> None:
        span = Span(name=name, kind=kind, attributes=to_key_values(attributes), flags=_LOCAL_PARENT)
        self.encoded = span.SerializeToString()


class Tracer:
    """Records finished spans.

    Args:
        sink: Takes each finished span, encoded; None records nothing.
    """

    __slots__ = ("_sink",)

    def __init__(self, sink: SpanSink | None) -> None:
        self._sink = sink

    @property
    def active(self) -> bool:
        """Whether spans are recorded at all."""
        return self._sink is not None

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
        span = template.encoded + _CHILD(
            *_TRACE_ID,
            request.trace_id,
            *_SPAN_ID,
            getrandbits(64),
            *_PARENT_ID,
            request.span_id,
            _START,
            start,
            _END,
            end,
        )
        if attributes or error is not None:
            span += _encode_rest(attributes or {}, error, end)
        self._sink(span)

    def record_server(
        self,
        template: SpanTemplate,
        request: RequestContext,
        start: int,
        end: int,
        *,
        dynamic: bytes,
        failed: bool,
        error: BaseException | None = None,
    ) -> None:
        """Record the request's own span.

        Args:
            template: Its route, method and status.
            request: The request.
            start: Nanoseconds since the epoch.
            end: The same.
            dynamic: Attributes that this span has beyond the template, encoded.
            failed: Whether the service, not the caller, is to blame for the outcome.
            error: The exception behind it, if there was one.
        """
        if self._sink is None or not request.sampled:
            return
        span = template.encoded + _OWN(
            *_TRACE_ID, request.trace_id, *_SPAN_ID, request.span_id, _START, start, _END, end
        )
        span += dynamic
        if request.parent_id or request.trace_state or failed:
            span += _encode_origin(request, failed=failed)
        if error is not None:
            span += _encode_rest({}, error, end)
        self._sink(span)


def encode_attributes(attributes: Mapping[str, AttributeValue]) -> bytes:
    """Attributes as a part of a span.

    Args:
        attributes: Values by name.
    """
    return Span(attributes=to_key_values(attributes)).SerializeToString()


def _encode_origin(request: RequestContext, *, failed: bool) -> bytes:
    part = Span(trace_state=request.trace_state)
    if request.parent_id:
        part.parent_span_id = request.parent_id
        part.flags = _REMOTE_PARENT
    if failed:
        part.status.code = Status.StatusCode.STATUS_CODE_ERROR
    return part.SerializeToString()


def _encode_rest(attributes: Mapping[str, AttributeValue], error: BaseException | None, time: int) -> bytes:
    rest = Span()
    add = rest.attributes.add
    for key, value in attributes.items():
        pair = add()
        pair.key = key
        if isinstance(value, str):
            pair.value.string_value = value
        else:
            pair.value.CopyFrom(to_any_value(value))
    if error is not None:
        _fail(rest, error, time)
    return rest.SerializeToString()


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
