"""What an operation reports while it goes on: plain data, a line each for whoever watches."""

import time
from collections.abc import Callable
from typing import Any

__all__ = ["Event", "Report", "Stopwatch"]

Event = dict[str, Any]
"""``event`` names it; the rest is what it is about. The last one is ``result`` or ``error``."""

Report = Callable[[Event], None]


class Stopwatch:
    """Seconds since it was made."""

    def __init__(self) -> None:
        self._started = time.monotonic()

    @property
    def seconds(self) -> float:
        """Elapsed, to a tenth."""
        return round(time.monotonic() - self._started, 1)
