"""The request that is being served: its place in a trace and its id, known to everything that runs for it."""

import os
import re
from contextvars import ContextVar
from dataclasses import dataclass

_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_REQUEST_ID = re.compile(r"(?=[0-9-]*[A-Za-z])[A-Za-z0-9-]{8,64}")
_SAMPLED = 1


@dataclass(slots=True)
class RequestContext:
    """Identity of one request. ``span_id`` is its server span, the parent of all others.

    Attributes:
        trace_id: 16 bytes.
        span_id: 8 bytes.
        parent_id: The caller's span, empty without one.
        sampled: Whether its spans are recorded; a caller may have decided against it.
        trace_state: The caller's ``tracestate``, handed on unread.
        request_id: The caller's ``X-Request-ID`` if it is a plausible one, else made here.
        trace_hex: ``trace_id`` as text.
        span_hex: ``span_id`` as text.
    """

    trace_id: bytes
    span_id: bytes
    parent_id: bytes
    sampled: bool
    trace_state: str
    request_id: str
    trace_hex: str
    span_hex: str


current_request: ContextVar[RequestContext | None] = ContextVar("current_request", default=None)


def begin(traceparent: str | None, tracestate: str | None, request_id: str | None, *, traced: bool) -> RequestContext:
    """The context of a new request, by the rules of W3C Trace Context.

    Args:
        traceparent: Header of that name. A malformed one is ignored, as the standard demands.
        tracestate: Header of that name.
        request_id: Header ``X-Request-ID``. One that could hide a card number (digits only) is not taken over.
        traced: Whether this kind of request is traced at all.
    """
    ids = os.urandom(24)
    span_id = ids[16:]
    match = _TRACEPARENT.fullmatch(traceparent) if traceparent else None
    if match is not None and _is_valid(match):
        trace_hex, trace_id, parent_id = match[2], bytes.fromhex(match[2]), bytes.fromhex(match[3])
        traced = traced and bool(int(match[4], 16) & _SAMPLED)
    else:
        trace_id, parent_id, tracestate = ids[:16], b"", None
        trace_hex = trace_id.hex()
    own_id = request_id if request_id and _REQUEST_ID.fullmatch(request_id) else ids[:16].hex()
    return RequestContext(trace_id, span_id, parent_id, traced, tracestate or "", own_id, trace_hex, span_id.hex())


def _is_valid(match: re.Match[str]) -> bool:
    version_ok = match[1] != "ff" and (match[1] != "00" or match[5] is None)
    return version_ok and match[2].strip("0") != "" and match[3].strip("0") != ""
