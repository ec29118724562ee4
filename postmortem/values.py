"""Numbers and times as people write them in a report."""

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum

__all__ = ["Relation", "Value", "days_of", "has_number", "times_of", "values_of", "without_times"]

_DATE_TIME = re.compile(
    r"(?<![\w.:-])(\d{4}-\d{2}-\d{2})[T ](\d{2}:\d{2}(?::\d{2}(?:[.,]\d{1,9})?)?)"
    r"\s?(Z|UTC|GMT|[+-]\d{2}:?\d{2})?(?![\w:])"
)
_CLOCK = re.compile(r"(?<![\w.:-])([01]?\d|2[0-3]):([0-5]\d)(?::([0-5]\d)(?:\.\d{1,9})?)?\s?(?:Z|UTC|GMT)?(?![\w:])")
_DAY = re.compile(r"(?<![\w.:-])\d{4}-\d{2}-\d{2}(?![\w:])")
_UNITS: dict[str, tuple[float, ...]] = {
    # What one of the unit can be in a series: as written, and in the base unit.
    "%": (1, 0.01),
    "percent": (1, 0.01),
    "µs": (1, 1e-6),
    "us": (1, 1e-6),
    "ms": (1, 1e-3),
    "milliseconds": (1, 1e-3),
    "s": (1, 1e3),
    "sec": (1, 1e3),
    "second": (1, 1e3),
    "seconds": (1, 1e3),
    "min": (1, 60),
    "minute": (1, 60),
    "minutes": (1, 60),
    "h": (1, 3600),
    "hour": (1, 3600),
    "hours": (1, 3600),
    "kB": (1, 1e3),
    "KB": (1, 1e3),
    "KiB": (1, 2**10),
    "MB": (1, 1e6),
    "MiB": (1, 2**20),
    "GB": (1, 1e9),
    "GiB": (1, 2**30),
    "k": (1e3,),
    "K": (1e3,),
    "thousand": (1e3,),
    "M": (1e6,),
    "million": (1e6,),
}
_DURATIONS = frozenset(
    {
        "µs",
        "us",
        "ms",
        "milliseconds",
        "s",
        "sec",
        "second",
        "seconds",
        "min",
        "minute",
        "minutes",
        "h",
        "hour",
        "hours",
    }
)
_MILLISECONDS = {"µs": 1e-3, "us": 1e-3, "ms": 1.0, "milliseconds": 1.0, "min": 6e4, "h": 3.6e6}
_NAMES = "|".join(sorted((re.escape(unit) for unit in _UNITS), key=len, reverse=True))
_NUMBER = re.compile(
    rf"(?<![\w.,:/\x02#-])(?P<number>[-+]?\d{{1,3}}(?:,\d{{3}})+(?:\.\d+)?|[-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d{{1,3}})?)"
    rf"(?:\s?(?P<unit>{_NAMES})(?![\w\x02]))?(?![\w\x03])"
)
_MOST_DIGITS = 40
# Lengths of time that say how long something went on, not how much something was.
_ASIDE = re.compile(
    r"(?:\b(?:for|within|after|every|lasted|lasting)\s+(?:about\s+|some\s+|the\s+)?|\b(?:last|past|first|next)\s+)$",
    re.IGNORECASE,
)
_ABOVE = re.compile(r"(?:above|over|more than|greater than|exceed(?:s|ed|ing)?|at least|>=?|≥)\s*$", re.IGNORECASE)
_BELOW = re.compile(r"(?:below|under|less than|fewer than|at most|<=?|≤)\s*$", re.IGNORECASE)


class Relation(StrEnum):
    """How a claimed value relates to the observed one."""

    ABOUT = "about"
    ABOVE = "above"
    BELOW = "below"


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """A number in a statement.

    Attributes:
        text: as written, with its unit.
        numbers: what it can be in a series: as written first.
        milliseconds: if it is a duration.
        relation: to what is observed.
        start: where in the text it stands.
        end: where it ends.
    """

    text: str
    numbers: tuple[float, ...]
    milliseconds: float | None
    relation: Relation
    start: int
    end: int


def values_of(text: str) -> list[Value]:
    """Return the numbers of a statement that could be somebody's value; times and lengths of time apart."""
    return list(_values(without_times(text)))


def _values(text: str) -> Iterator[Value]:
    for found in _NUMBER.finditer(text):
        if len(found["number"]) > _MOST_DIGITS:
            continue
        unit = found["unit"]
        before = text[max(0, found.start() - 40) : found.start()]
        if unit in _DURATIONS and _ASIDE.search(before):
            continue
        number = float(found["number"].replace(",", ""))
        relation = (
            Relation.ABOVE if _ABOVE.search(before) else Relation.BELOW if _BELOW.search(before) else Relation.ABOUT
        )
        yield Value(
            text=found[0].strip(),
            numbers=tuple(number * factor for factor in _UNITS.get(unit, (1.0,))),
            milliseconds=number * _MILLISECONDS.get(unit, _seconds(unit)) if unit in _DURATIONS else None,
            relation=relation,
            start=found.start(),
            end=found.end(),
        )


def _seconds(unit: str) -> float:
    return {"s": 1e3, "m": 6e4, "h": 3.6e6}[unit[0]]


def has_number(text: str) -> bool:
    """Return whether a statement has a number at all, times included."""
    return any(character.isdigit() for character in re.sub("\x02\\d+\x03", "", text))


def without_times(text: str) -> str:
    """Return the text with blanks in place of points in time, each character where it was."""
    for pattern in (_DATE_TIME, _CLOCK, _DAY):
        text = pattern.sub(lambda found: " " * len(found[0]), text)
    return text


def times_of(text: str, day: date | None) -> list[datetime]:
    """Return the points in time that a statement names, in UTC.

    Args:
        text: of the statement.
        day: of times without one; None leaves those out.
    """
    found: list[tuple[int, datetime]] = []
    for match in _DATE_TIME.finditer(text):
        moment = _moment(match[1], match[2].replace(",", "."), match[3])
        if moment is not None:
            found.append((match.start(), moment))
    if day is not None:
        rest = _DATE_TIME.sub(lambda match: " " * len(match[0]), text)
        for match in _CLOCK.finditer(rest):
            clock = time(int(match[1]), int(match[2]), int(match[3] or 0), tzinfo=UTC)
            found.append((match.start(), datetime.combine(day, clock)))
    return [moment for _, moment in sorted(found, key=lambda each: each[0])]


def days_of(text: str) -> list[date]:
    """Return the days that a statement names, with or without a time."""
    found: list[date] = []
    for match in _DAY.finditer(text):
        with suppress(ValueError):
            found.append(date.fromisoformat(match[0]))
    return found


def _moment(day: str, clock: str, zone: str | None) -> datetime | None:
    try:
        parsed = datetime.fromisoformat(f"{day}T{clock}")
        if zone in (None, "Z", "UTC", "GMT"):
            return parsed.replace(tzinfo=UTC)
        hours, minutes = int(zone[:3]), int(zone[-2:])
        return parsed.replace(tzinfo=UTC) - timedelta(hours=hours, minutes=minutes if hours >= 0 else -minutes)
    except (ValueError, OverflowError):
        return None
