"""Sends spans to an OTLP/HTTP endpoint with the HTTP client that the gateway has anyway.

OpenTelemetry's own exporter brings a second HTTP client (requests), which costs a tenth of the gateway's memory; its
encoder is used here. Spans that the Collector does not take are dropped: the next batch is more useful than an old one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx2
import structlog
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

if TYPE_CHECKING:
    import ssl
    from collections.abc import Sequence

    from opentelemetry.sdk.trace import ReadableSpan

log = structlog.stdlib.get_logger()


class HttpSpanExporter(SpanExporter):
    """Exports spans as protobuf over HTTP.

    Args:
        endpoint: full URL, with the signal's path.
        timeout: seconds for one export.
        verify: how a certificate is checked; True for the usual authorities.
    """

    def __init__(self, endpoint: str, *, timeout: float, verify: ssl.SSLContext | bool) -> None:
        self._endpoint = endpoint
        self._client = httpx2.Client(timeout=timeout, trust_env=False, verify=verify)
        self._failing = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send one batch; an outage is logged once, and so is its end."""
        try:
            response = self._client.post(
                self._endpoint,
                content=encode_spans(spans).SerializeToString(),
                headers={"Content-Type": "application/x-protobuf"},
            )
            why = None if response.is_success else f"answers {response.status_code}"
        except httpx2.HTTPError as error:
            why = str(error) or type(error).__name__
        if (why is not None) != self._failing:
            self._failing = why is not None
            log.warning("spans are not exported", reason=why) if self._failing else log.info("spans are exported again")
        return SpanExportResult.FAILURE if self._failing else SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        """Close the connection."""
        self._client.close()
