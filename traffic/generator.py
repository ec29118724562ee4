"""The open model: arrivals happen at their scheduled times, whatever became of the ones before."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

import structlog

from traffic.plan import arrivals
from traffic.requests import Known, RequestMaker

if TYPE_CHECKING:
    from traffic.metrics import Metrics
    from traffic.requests import Request
    from traffic.settings import Settings
    from traffic.summary import Summary

log = structlog.stdlib.get_logger()

_READY_POLL_SECONDS = 0.2
# After a pause of the whole machine (a laptop that slept) the arrivals of that time are not sent at once.
_TOO_LATE_SECONDS = 5.0


def known_ids(settings: Settings) -> Known:
    """Return the ids that are known before the first answer."""
    known = Known()
    if settings.customers:
        known.customers = range(1, settings.customers + 1)
    if settings.merchants:
        known.merchants = range(1, settings.merchants + 1)
    return known


class Sender(Protocol):
    """What the generator needs of a client."""

    async def is_ready(self) -> bool:
        """Return whether requests are welcome."""
        ...

    async def send(self, request: Request, scheduled: float) -> None:
        """Send a request whose client arrived at ``scheduled``, the event loop's time."""
        ...


class Generator:
    """Sends requests at the times of the plan.

    Args:
        settings: rate, seed, mix, bounds.
        client: sends them.
        known: ids for the requests.
        metrics: where what is not sent is counted.
        summary: the same, for the log.
    """

    def __init__(self, settings: Settings, client: Sender, known: Known, metrics: Metrics, summary: Summary) -> None:
        self._settings = settings
        self._client = client
        self._metrics = metrics
        self._summary = summary
        self._maker = RequestMaker(known)
        self._in_flight: set[asyncio.Task[None]] = set()
        self.state = "waiting"

    async def run(self, stop: asyncio.Event) -> None:
        """Wait for the service, then send until ``stop`` is set, then wait for the answers to what was sent."""
        if await self._until_ready(stop):
            self.state = "running"
            log.info("started", target=self._settings.target, rate=self._settings.rate, seed=self._settings.seed)
            await self._send_all(stop)
        self.state = "stopping"
        if self._in_flight:
            _, late = await asyncio.wait(self._in_flight, timeout=self._settings.grace_seconds)
            for task in late:
                task.cancel()
            if late:
                log.warning("answers not awaited", count=len(late))
                await asyncio.wait(late)

    async def _until_ready(self, stop: asyncio.Event) -> bool:
        log.info("waiting", target=self._settings.target)
        while not stop.is_set():
            if await self._client.is_ready():
                return True
            await _sleep(_READY_POLL_SECONDS, stop)
        return False

    async def _send_all(self, stop: asyncio.Event) -> None:
        loop = asyncio.get_running_loop()
        scheduled = loop.time()
        for arrival in arrivals(self._settings.seed, self._settings.rate, self._settings.mix):
            scheduled += arrival.gap
            early = scheduled - loop.time()
            if early > 0:
                await _sleep(early, stop)
            if stop.is_set():
                return
            if len(self._in_flight) >= self._settings.max_in_flight or -early > _TOO_LATE_SECONDS:
                self._metrics.shed.inc()
                self._summary.shed()
                continue
            task = loop.create_task(self._client.send(self._maker.make(arrival), scheduled))
            self._in_flight.add(task)
            self._metrics.in_flight.set(len(self._in_flight))
            task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._in_flight.discard(task)
        self._metrics.in_flight.set(len(self._in_flight))
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a request could not be made", exc_info=error)


async def _sleep(seconds: float, stop: asyncio.Event) -> None:
    """Sleep, but not longer than until ``stop`` is set."""
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        pass
