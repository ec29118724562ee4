"""Puts the generator together and runs it."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import structlog

from traffic.client import Client
from traffic.exposition import Exposition
from traffic.generator import Generator, known_ids
from traffic.metrics import Metrics
from traffic.summary import Summary

if TYPE_CHECKING:
    from collections.abc import Callable

    from traffic.settings import Settings

log = structlog.stdlib.get_logger()


async def run(settings: Settings, stop: asyncio.Event, *, started: Callable[[int], None] | None = None) -> None:
    """Generate traffic until ``stop`` is set.

    Args:
        settings: what to send where.
        stop: ends the arrivals; what was sent is then awaited within the configured bound.
        started: told the port of ``/health`` and ``/metrics``.

    Raises:
        OSError: that port cannot be served.
    """
    metrics, summary, known = Metrics(settings.rate), Summary(), known_ids(settings)
    client = Client(settings, metrics, summary, known)
    generator = Generator(settings, client, known, metrics, summary)

    def health() -> dict[str, object]:
        return {"status": "ok", "state": generator.state}

    try:
        with contextlib.closing(Exposition(settings.host, settings.port, metrics.registry, health)) as exposition:
            if started is not None:
                started(exposition.port)
            lines = asyncio.create_task(_summarise(summary, generator, settings.summary_seconds))
            try:
                await generator.run(stop)
            finally:
                lines.cancel()
        log.info("stopped", **summary.take())
    finally:
        await client.close()


async def _summarise(summary: Summary, generator: Generator, seconds: float) -> None:
    while True:
        await asyncio.sleep(seconds)
        log.info("traffic", state=generator.state, **summary.take())
