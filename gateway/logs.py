"""JSON lines on stdout, one per event, for the gateway and for the libraries below it.

Never logged: tokens, query strings and what a back end answered. The token is also cut out of every line as a last
resort.
"""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from structlog.typing import EventDict, Processor, WrappedLogger

HIDDEN = "[hidden]"


class Redact:
    """A processor that replaces a secret wherever it appears in a line's values."""

    def __init__(self, secret: str | None) -> None:
        self._secret = secret

    def __call__(self, _logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        """Return the event without the secret."""
        if self._secret is not None:
            for key, value in event.items():
                if isinstance(value, str) and self._secret in value:
                    event[key] = value.replace(self._secret, HIDDEN)
        return event


def configure(level: str = "INFO", secret: str | None = None) -> None:
    """Send structlog's events and the standard library's records to stdout as JSON.

    Args:
        level: lowest level that is written.
        secret: text that must never appear.
    """
    shared: list[Processor] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        Redact(secret),
    ]
    numeric = logging.getLevelNamesMapping()[level]
    structlog.configure(
        processors=[*shared, structlog.processors.JSONRenderer()],
        wrapper_class=structlog.make_filtering_bound_logger(numeric),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stdout),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    # Whatever a caller sends that is not HTTP would otherwise be a line each.
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
    # An exporter that cannot reach the Collector says so for every batch.
    logging.getLogger("opentelemetry").setLevel(logging.ERROR)
