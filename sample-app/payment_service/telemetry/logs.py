"""Logs: one JSON object a line on stdout, and the same line by OTLP.

The OTLP record's body is the whole line, because that is what a log store searches: ``|= "error"`` finds what says
error.
"""

import logging
import re
import sys
import time
from collections.abc import Callable, MutableMapping
from functools import lru_cache
from typing import Any

import orjson
import structlog

from payment_service.telemetry.context import RequestContext, current_request

LogSink = Callable[[int, str, str, RequestContext | None], None]
"""Takes a record for OTLP: nanoseconds, level, line, the request it belongs to."""

EventDict = MutableMapping[str, Any]

_SECRET_NAMES = re.compile(
    r"password|passwd|secret|token|authorization|cookie|card|cvv|cvc|\bpan\b|iban", re.IGNORECASE
)
_DIGITS = re.compile(r"(?<![0-9A-Za-z])(?:[0-9][ -]?){12,18}[0-9](?![0-9A-Za-z])")
_IDS = frozenset({"trace_id", "span_id", "request_id", "timestamp", "level", "logger", "event_id"})
_REDACTED = "[redacted]"


def redact_text(text: str) -> str:
    """Remove what could be a card number: 13 to 19 digits with a right check digit.

    Args:
        text: Any text that came from outside.
    """
    return _DIGITS.sub(lambda match: _REDACTED if _passes_luhn(match[0]) else match[0], text)


def _passes_luhn(text: str) -> bool:
    digits = [int(char) for char in reversed(text) if char.isdigit()]
    doubled = (sum(divmod(2 * digit, 10)) for digit in digits[1::2])
    return (sum(digits[::2]) + sum(doubled)) % 10 == 0


def redact(_logger: object, _name: str, event: EventDict) -> EventDict:
    """Processor: no secret and no card number leaves in a log line, whoever wrote it."""
    for key, value in event.items():
        if _is_secret(key):
            event[key] = _REDACTED
        elif isinstance(value, str) and key not in _IDS:
            event[key] = redact_text(value)
    return event


@lru_cache(maxsize=256)
def _is_secret(name: str) -> bool:
    return _SECRET_NAMES.search(name) is not None


def add_request(_logger: object, _name: str, event: EventDict) -> EventDict:
    """Processor: where in which trace this was written."""
    request = current_request.get()
    if request is not None:
        event["trace_id"] = request.trace_hex
        event["span_id"] = request.span_hex
        event["request_id"] = request.request_id
    return event


class Renderer:
    """Last processor: makes the line, hands it to OTLP too."""

    def __init__(self, sink: LogSink | None) -> None:
        self._sink = sink

    def __call__(self, _logger: object, name: str, event: EventDict) -> bytes:
        """Called by structlog."""
        now = time.time_ns()
        seconds, nanoseconds = divmod(now, 1_000_000_000)
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
        level = "error" if name == "exception" else name
        line = orjson.dumps(
            {"timestamp": f"{stamp}.{nanoseconds // 1000:06d}Z", "level": level, "event": event.pop("event"), **event},
            default=str,
            option=orjson.OPT_NON_STR_KEYS,
        )
        if self._sink is not None:
            self._sink(now, level, line.decode(), current_request.get())
        return line


class _Forward(logging.Handler):
    """Gives the records of libraries to structlog."""

    def emit(self, record: logging.LogRecord) -> None:
        log = structlog.get_logger(record.name)
        level = (
            "warning" if record.levelno == logging.WARNING else "error" if record.levelno > logging.WARNING else "info"
        )
        getattr(log, level)(record.getMessage(), logger=record.name, exc_info=record.exc_info)


def configure_logging(level: str, sink: LogSink | None = None) -> None:
    """Set up structlog and the standard library's logging for this process.

    Args:
        level: Least severe level written.
        sink: Takes each record for OTLP.
    """
    structlog.configure(
        processors=[
            add_request,
            structlog.processors.format_exc_info,
            redact,
            Renderer(sink),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.BytesLoggerFactory(sys.stdout.buffer),
        cache_logger_on_first_use=True,
    )
    root = logging.getLogger()
    root.setLevel(logging.WARNING)
    if not any(isinstance(handler, _Forward) for handler in root.handlers):
        root.addHandler(_Forward())
