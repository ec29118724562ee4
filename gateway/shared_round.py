"""Work that many askers want at once and that is done once for all of them."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

T = TypeVar("T")


class SharedRound(Generic[T]):
    """Runs a function at most once per ``max_age`` and gives everybody its result.

    Who asks while a round is under way waits for that round. A round belongs to nobody: it goes on when the one who
    began it leaves.

    Args:
        work: makes the result.
        max_age: seconds for which a result is good.
    """

    def __init__(self, work: Callable[[], Awaitable[T]], *, max_age: float) -> None:
        self._work = work
        self._max_age = max_age
        self._result: tuple[float, T] | None = None
        self._round: asyncio.Task[T] | None = None

    async def get(self) -> T:
        """Return a result that is at most ``max_age`` old."""
        if self._result is not None and time.monotonic() - self._result[0] <= self._max_age:
            return self._result[1]
        if self._round is None:
            self._round = asyncio.create_task(self._run())
        return await asyncio.shield(self._round)

    async def close(self) -> None:
        """End a round that is under way."""
        if self._round is not None:
            self._round.cancel()
            await asyncio.wait([self._round])

    async def _run(self) -> T:
        try:
            result = await self._work()
            self._result = (time.monotonic(), result)
            return result
        finally:
            self._round = None
