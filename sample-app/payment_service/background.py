"""Jobs that the service repeats beside its requests."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from payment_service.store.errors import classify, describe

log = structlog.get_logger("payment_service.background")


async def repeat(name: str, interval: float, job: Callable[[], Awaitable[object]]) -> None:
    """Run a job again and again, until cancelled. A failure is logged, and the next run is as if nothing had happened.

    Args:
        name: The job's name, for the log.
        interval: Seconds between the end of a run and the next.
        job: The job.
    """
    while True:
        try:
            await job()
        except Exception as error:
            if classify(error) is None:
                log.exception("background job failed", job=name)
            else:
                log.error("background job failed", job=name, reason=describe(error))  # noqa: TRY400  # an outage needs no traceback a round
        await asyncio.sleep(interval)
