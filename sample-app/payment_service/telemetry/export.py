"""Sends spans and log records to an OTLP/HTTP receiver, from a thread of its own.

A request only appends to a bounded queue: a receiver that is slow or gone costs telemetry, never a request. What does
not fit is dropped and counted.
"""

import http.client
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import TypeAlias
from urllib.parse import urlsplit

import structlog
from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, SeverityNumber
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans

from payment_service import __version__
from payment_service.telemetry.context import RequestContext
from payment_service.telemetry.spans import AttributeValue, to_key_values

Count: TypeAlias = Callable[[str, int], None]

_SEVERITIES = {
    "debug": SeverityNumber.SEVERITY_NUMBER_DEBUG,
    "info": SeverityNumber.SEVERITY_NUMBER_INFO,
    "warning": SeverityNumber.SEVERITY_NUMBER_WARN,
    "error": SeverityNumber.SEVERITY_NUMBER_ERROR,
    "critical": SeverityNumber.SEVERITY_NUMBER_FATAL,
}
_QUEUE_LIMIT = 8192
_BATCH_LIMIT = 2048
_SEND_TIMEOUT = 5.0
_BACKOFF_FIRST = 0.2
_BACKOFF_MOST = 5.0
_RETRYABLE = frozenset({429, 502, 503, 504})


class _Signal:
    """The queue of one signal, and how its batches look: items that are encoded already, within an encoded frame."""

    def __init__(
        self, path: str, resource: bytes, scope: bytes, item_field: int, dropped: Callable[[int], None]
    ) -> None:
        self.path = path
        self.queue: deque[bytes] = deque()
        self.unsent: bytes | None = None
        self.unsent_size = 0
        self._resource = resource
        self._scope = scope
        self._tag = bytes((item_field << 3 | 2,))
        self._prefixes: dict[int, bytes] = {}
        self._dropped = dropped

    def put(self, item: bytes) -> None:
        if len(self.queue) >= _QUEUE_LIMIT:
            self._dropped(1)
            return
        self.queue.append(item)

    def next_batch(self) -> bytes | None:
        """The batch that failed last time, else a new one of what is waiting."""
        if self.unsent is None and self.queue:
            items = [self.queue.popleft() for _ in range(min(len(self.queue), _BATCH_LIMIT))]
            self.unsent, self.unsent_size = self._frame(items), len(items)
        return self.unsent

    def finish(self, *, lost: bool) -> None:
        if lost:
            self._dropped(self.unsent_size)
        self.unsent = None

    def _frame(self, items: list[bytes]) -> bytes:
        """The export request.

        Field 1 is the group of a resource, its field 2 the group of a scope, its field 2 the items.
        """
        prefixes = self._prefixes
        parts: list[bytes] = [self._scope]
        for item in items:
            size = len(item)
            prefix = prefixes.get(size)
            if prefix is None:
                prefix = prefixes[size] = self._tag + varint(size)
            parts += (prefix, item)
        scoped = b"".join(parts)
        group = self._resource + b"\x12" + varint(len(scoped)) + scoped
        return b"\x0a" + varint(len(group)) + group


def varint(number: int) -> bytes:
    """Protobuf's encoding of a non-negative integer.

    Args:
        number: The integer.
    """
    encoded = bytearray()
    while number > 0x7F:  # noqa: PLR2004  # seven bits a byte
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


class OtlpExporter:
    """The exporting thread.

    Args:
        endpoint: Base URL of the receiver, such as ``http://collector:4318``.
        resource: Attributes of everything sent.
        interval: Seconds between two batches.
        count_dropped: Called with the signal and how many items were dropped.
    """

    def __init__(
        self, endpoint: str, resource: Mapping[str, AttributeValue], interval: float, count_dropped: Count
    ) -> None:
        self._url = urlsplit(endpoint)
        self._interval = interval
        self._connection: http.client.HTTPConnection | None = None
        self._stop = threading.Event()
        self._deadline = float("inf")
        self._failing = False
        # ResourceSpans and ResourceLogs, ScopeSpans and ScopeLogs have their resource, scope and items in the same
        # fields.
        group = ResourceSpans(resource=Resource(attributes=to_key_values(resource))).SerializeToString()
        scope = ScopeSpans(scope=InstrumentationScope(name="payment_service", version=__version__)).SerializeToString()
        items = ScopeSpans.SPANS_FIELD_NUMBER
        self._spans = _Signal("/v1/traces", group, scope, items, lambda number: count_dropped("traces", number))
        self._logs = _Signal("/v1/logs", group, scope, items, lambda number: count_dropped("logs", number))
        self.put_span = self._spans.put
        self._thread = threading.Thread(target=self._run, name="otlp", daemon=True)

    def put_log(self, now: int, level: str, line: str, request: RequestContext | None) -> None:
        """Queue a log record.

        Args:
            now: Nanoseconds since the epoch.
            level: Its level.
            line: The whole line.
            request: The request that it belongs to.
        """
        record = LogRecord(time_unix_nano=now, observed_time_unix_nano=now, severity_text=level)
        record.severity_number = _SEVERITIES[level]
        record.body.string_value = line
        if request is not None:
            record.trace_id = request.trace_id
            record.span_id = request.span_id
            record.flags = int(request.sampled)
        self._logs.put(record.SerializeToString())

    def start(self) -> None:
        """Start sending."""
        self._thread.start()

    def close(self, timeout: float) -> None:
        """Send what is waiting, then stop.

        Args:
            timeout: Seconds after which the rest is given up.
        """
        self._deadline = time.monotonic() + timeout
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout + _SEND_TIMEOUT)

    def _run(self) -> None:
        backoff = 0.0
        while not self._stop.wait(backoff or self._interval):
            sent = self._send_all()
            backoff = 0.0 if sent else min(_BACKOFF_MOST, max(_BACKOFF_FIRST, 2 * backoff))
        while not self._send_all() and time.monotonic() < self._deadline:
            time.sleep(min(_BACKOFF_FIRST, max(0.0, self._deadline - time.monotonic())))
        self._disconnect()

    def _send_all(self) -> bool:
        """Whether nothing is left to try again."""
        return all([self._send(self._spans), self._send(self._logs)])

    def _send(self, signal: _Signal) -> bool:
        while (body := signal.next_batch()) is not None:
            try:
                status = self._post(signal.path, body)
            except (OSError, http.client.HTTPException) as error:
                self._disconnect()
                self._complain(signal.path, str(error) or type(error).__name__)
                return False
            if status in _RETRYABLE:
                self._complain(signal.path, f"status {status}")
                return False
            signal.finish(lost=status >= http.HTTPStatus.BAD_REQUEST)
            self._failing = False
        return True

    def _post(self, path: str, body: bytes) -> int:
        if self._connection is None:
            kind = http.client.HTTPSConnection if self._url.scheme == "https" else http.client.HTTPConnection
            self._connection = kind(self._url.hostname or "", self._url.port, timeout=_SEND_TIMEOUT)
        self._connection.request("POST", self._url.path + path, body, {"Content-Type": "application/x-protobuf"})
        response = self._connection.getresponse()
        response.read()
        return response.status

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _complain(self, path: str, reason: str) -> None:
        """One line for each outage, not for each batch."""
        if not self._failing:
            structlog.get_logger("payment_service.telemetry").warning(
                "telemetry export is waiting", path=path, reason=reason
            )
        self._failing = True
