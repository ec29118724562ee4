"""Retries, by stamina, with back-off and jitter."""

from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import stamina
from stamina.instrumentation import set_on_retry_hooks

from payment_service.store.errors import SAFE_TO_REPEAT, Failure, classify

T = TypeVar("T")

_WAIT_FIRST: Final = 0.02
_WAIT_MOST: Final = 0.5
_WAIT_JITTER: Final = 0.05

# stamina would log and count on its own; the service has its own counter and says more.
set_on_retry_hooks([])


async def retry(
    operation: Callable[[], Awaitable[T]], *, attempts: int, give_up_after: float, on_failure: Callable[[Failure], None]
) -> T:
    """Run an operation; repeat it after a failure that is safe to repeat.

    The operation itself has to be safe to repeat as a whole: reads are, a refund or a payment is by its unique
    reference. The first attempt runs without stamina, whose set-up costs 30 microseconds.

    Args:
        operation: What to run.
        attempts: Most attempts.
        give_up_after: Seconds after which no further attempt starts.
        on_failure: Called with the kind of each failure that is tried again.
    """
    try:
        return await operation()
    except Exception as error:
        if attempts == 1 or classify(error) not in SAFE_TO_REPEAT:
            raise
        # The attempt just made is stamina's first: it raises this.
        failed = [error]
    kinds: list[Failure] = []

    def should_repeat(error: Exception) -> bool:
        kind = classify(error)
        if kind is None or kind not in SAFE_TO_REPEAT:
            return False
        kinds.append(kind)
        return True

    async for attempt in stamina.retry_context(
        on=should_repeat,
        attempts=attempts,
        timeout=give_up_after,
        wait_initial=_WAIT_FIRST,
        wait_max=_WAIT_MOST,
        wait_jitter=_WAIT_JITTER,
    ):
        with attempt:
            if failed:
                raise failed.pop()
            on_failure(kinds[-1])
            return await operation()
    raise AssertionError("stamina ends by returning or raising")
