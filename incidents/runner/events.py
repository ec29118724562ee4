"""What an operation reports while it goes on: plain data, a line each for whoever watches."""

import time
from collections.abc import Callable
from typing import Any

import structlog

__all__ = ["Event", "Report", "Stopwatch", "to_log"]

Event = dict[str, Any]
"""``event`` names it; the rest is what it is about. The last one is ``result`` or ``error``."""

Report = Callable[[Event], None]


log = structlog.get_logger("incidents.runner")


def to_log(what: str) -> Report:
    """A report for what nobody watches: each event is a line of the log, called ``what``."""

    def report(event: Event) -> None:
        log.info(what, **{("step" if key == "event" else key): value for key, value in event.items()})

    return report


class Stopwatch:
    """Seconds since it was made."""

    def __init__(self) -> None:
        self._started = time.monotonic()

    @property
    def seconds(self) -> float:
        """Elapsed, to a tenth."""
        return round(time.monotonic() - self._started, 1)
