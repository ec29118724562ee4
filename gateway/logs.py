"""JSON lines on stdout, one per event, for the gateway and for the libraries below it.

Never logged: tokens, query strings and what a back end answered. Tokens are also cut out of every line as a last
resort.
"""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from collections.abc import Sequence

    from structlog.typing import EventDict, Processor, WrappedLogger

HIDDEN = "[hidden]"


class Redact:
    """A processor that replaces secrets wherever they appear in a line's values."""

    def __init__(self, secrets: Sequence[str]) -> None:
        self._secrets = tuple(secrets)

    def __call__(self, _logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        """Return the event without the secrets."""
        for key, value in event.items():
            for secret in self._secrets:
                if isinstance(value, str) and secret in value:
                    value = event[key] = value.replace(secret, HIDDEN)  # noqa: PLW2901 - the next one may be in it too
        return event


def configure(level: str = "INFO", secrets: Sequence[str] = ()) -> None:
    """Send structlog's events and the standard library's records to stdout as JSON.

    Args:
        level: lowest level that is written.
        secrets: texts that must never appear.
    """
    shared: list[Processor] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        Redact(secrets),
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
