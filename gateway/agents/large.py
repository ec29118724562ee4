"""Large answers one at a time: as objects they take many times their bytes, and the gateway's memory is bounded."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.problems import Refused

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

LARGE_BYTES = 128 * 1024
_WAIT_SECONDS = 15.0


@dataclass(slots=True)
class _Call:
    slot: asyncio.Semaphore | None = None


_call: ContextVar[_Call | None] = ContextVar("call", default=None)


@asynccontextmanager
async def one_call() -> AsyncGenerator[_Call]:
    """Keep what a call has taken until its answer is sent."""
    call = _Call()
    token = _call.set(call)
    try:
        yield call
    finally:
        _call.reset(token)
        if call.slot is not None:
            call.slot.release()


class LargeAnswers:
    """Lets one call at a time hold large answers."""

    def __init__(self) -> None:
        self._slot = asyncio.Semaphore(1)

    async def wait(self) -> None:
        """Wait for the turn of this call, which lasts until its answer is sent.

        Raises:
            Refused: it did not come in time.
        """
        call = _call.get()
        if call is None or call.slot is not None:
            return
        try:
            async with asyncio.timeout(_WAIT_SECONDS):
                await self._slot.acquire()
        except TimeoutError:
            sentence = (
                f"answers of more than {LARGE_BYTES // 1024} KiB are made one at a time, and the turn of this one did "
                f"not come within {_WAIT_SECONDS:g} s; ask for less, or try again"
            )
            raise Refused(503, "unavailable", sentence, headers={"Retry-After": "1"}) from None
        call.slot = self._slot
