"""Times and durations as agents write them."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime

from gateway.problems import Refused

# Prometheus's and Loki's units, in milliseconds; agents write one unit or several in a row (1h30m).
_UNITS = {
    "ms": 1,
    "s": 1000,
    "m": 60_000,
    "h": 3_600_000,
    "d": 86_400_000,
    "w": 7 * 86_400_000,
    "y": 365 * 86_400_000,
}
_PART = r"(\d{1,12}(?:\.\d{1,9})?)(ms|s|m|h|d|w|y)"
_DURATION = re.compile(f"(?:{_PART})+", re.ASCII)
_NUMBER = re.compile(r"\d{1,12}(?:\.\d{1,9})?", re.ASCII)
_LONGEST = 64
# 2200-01-01: beyond, the back ends' nanoseconds overflow.
_LATEST = 7_258_118_400


def duration(text: str | float, name: str) -> float:
    """Return seconds.

    Args:
        text: ``15s``, ``5m``, ``1h30m``, ``2d``, or a number of seconds.
        name: the parameter, for the error.

    Raises:
        Refused: it is not a duration longer than nothing.
    """
    seconds = 0.0
    if isinstance(text, int | float) or (len(text) <= _LONGEST and _NUMBER.fullmatch(text)):
        seconds = min(float(text), _LATEST) if isinstance(text, str) else float(min(text, _LATEST))
    elif len(text) <= _LONGEST and _DURATION.fullmatch(text):
        seconds = sum(float(count) * _UNITS[unit] for count, unit in re.findall(_PART, text)) / 1000
    if seconds <= 0:
        raise Refused(400, "bad_data", f'{name} is not a duration such as "15s", "5m", "1h30m" or "2d"')
    return seconds


def moment(given: str | float, name: str) -> float:
    """Return seconds since 1970.

    Args:
        given: ISO 8601 (UTC where it names no zone), a number of seconds since 1970, also as text, or relative to now:
            ``now``, ``now-1h30m``.
        name: the parameter, for the error.

    Raises:
        Refused: it is neither, or lies before 1970 or after 2200.
    """
    if isinstance(given, str) and given.startswith("now"):
        now, minus, back = time.time(), given[3:4], given[4:]
        if not minus and not back:
            return now
        if minus == "-":
            return max(0.0, now - duration(back, name))
    try:
        if isinstance(given, int | float) or (len(given) <= _LONGEST and _NUMBER.fullmatch(given)):
            seconds = float(given)
        else:
            parsed = datetime.fromisoformat(given[:_LONGEST])
            seconds = (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        raise Refused(
            400,
            "bad_data",
            f'{name} is neither an ISO 8601 time such as "2025-11-21T14:30:00Z" nor "now-1h" nor seconds since 1970',
        ) from None
    if not 0 <= seconds <= _LATEST:
        raise Refused(400, "bad_data", f"{name} must lie between 1970 and 2200")
    return seconds


def iso(seconds: float) -> str:
    """Return a time as ISO 8601 in UTC."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def shown(seconds: float) -> str:
    """Return a duration for an error: in days or hours where it is a whole number of them."""
    for unit, size in (("d", 86_400), ("h", 3600), ("m", 60)):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:g}{unit}"
    return f"{seconds:g}s"
