"""A circuit breaker on connection errors.

Own code, because the one maintained library for asyncio (purgatory 3.0.1) lets every waiting request through at once
when it is half open, measures its pause by the wall clock, and counts a cancelled request as a failure.
"""

import time
from collections.abc import Callable
from enum import Enum

from payment_service.store.errors import CircuitOpenError


class State(Enum):
    """States of the breaker."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class CircuitBreaker:
    """Opens after so many connection errors in a row.

    After a pause one request at a time may find out whether it can close.

    Args:
        threshold: Errors in a row that open it.
        open_seconds: The pause.
        listener: Called with each new state.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        threshold: int,
        open_seconds: float,
        listener: Callable[[State], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.state = State.CLOSED
        self._threshold = threshold
        self._open_seconds = open_seconds
        self._listener = listener
        self._clock = clock
        self._failures = 0
        self._opened_at = 0.0

    def admit(self) -> bool:
        """Let a request pass.

        Returns:
            Whether it is the one that tries. What it found has to be told by `succeed`, `fail` or `abandon`.

        Raises:
            CircuitOpenError: It may not pass.
        """
        if self.state is State.CLOSED:
            return False
        remaining = self._opened_at + self._open_seconds - self._clock()
        if self.state is State.HALF_OPEN or remaining > 0:
            raise CircuitOpenError(max(remaining, 0.1))
        self._change(State.HALF_OPEN)
        return True

    def succeed(self, *, trial: bool) -> None:
        """The server answered.

        Args:
            trial: What `admit` returned.
        """
        if trial:
            self._change(State.CLOSED)
        self._failures = 0

    def fail(self, *, trial: bool) -> None:
        """The server could not be reached.

        Args:
            trial: What `admit` returned.
        """
        self._failures += 1
        if trial or (self.state is State.CLOSED and self._failures >= self._threshold):
            self._opened_at = self._clock()
            self._change(State.OPEN)

    def abandon(self, *, trial: bool) -> None:
        """The request ended without telling anything about the connection; the next one tries.

        Args:
            trial: What `admit` returned.
        """
        if trial:
            self._change(State.OPEN)

    def _change(self, state: State) -> None:
        self.state = state
        self._listener(state)
