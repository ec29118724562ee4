"""Bounds on the points of PromQL's subqueries.

Prometheus allocates a subquery's points when it meets its first series, before ``--query.max-samples`` counts one of
them: ``max_over_time(x[1d:5ms])`` is 270 MiB for each series. So they are counted here, from the text alone. Square
brackets outside of strings and comments with a colon in them are nothing but subqueries, in PromQL and LogQL; what
cannot be read in such brackets is refused, since Prometheus might read it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.agents.times import duration
from gateway.problems import Refused

if TYPE_CHECKING:
    from collections.abc import Iterator

# Prometheus's evaluation_interval (prometheus.yml), which is the resolution where none is written.
DEFAULT_RESOLUTION_SECONDS = 5.0
# Comments end at either kind of line break, as in Prometheus.
_TOKENS = re.compile(
    r"""
    "(?:[^"\\]|\\.)*" | '(?:[^'\\]|\\.)*' | `[^`]*`    # strings
    | \#[^\r\n]*                                       # comments
    | \[(?P<inside>[^\[\]"'`\#]*)\]                    # ranges and subqueries
    | (?P<other>[\[()"'`])                              # also a string that does not end
    """,
    re.VERBOSE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class _Subquery:
    """Lengths in seconds; ``depth`` is how many parentheses are open where its brackets stand."""

    length: float
    resolution: float
    depth: int


def check_subqueries(query: str, *, range_seconds: float, points: int) -> None:
    """Accept a query whose subqueries make few enough points.

    A subquery is evaluated over its own range and over those of all that surround it, so their lengths are added up.

    Args:
        query: PromQL or LogQL.
        range_seconds: between start and end of the whole query, 0 at one moment.
        points: the most for each series.

    Raises:
        Refused: one makes more, or its range or resolution cannot be read.
    """
    # What surrounds a subquery stands behind it with fewer parentheses open. One behind it with as many is a
    # neighbour, and can surround nothing further to the left either.
    around: list[_Subquery] = []
    seconds = range_seconds
    for one in reversed(list(_subqueries(query))):
        while around and around[-1].depth >= one.depth:
            seconds -= around.pop().length
        around.append(one)
        seconds += one.length
        if seconds / one.resolution + 1 > points:
            raise Refused(
                422,
                "too_large",
                f"the range and resolution of a subquery make more than the limit of {points} points per series; "
                "take a longer resolution or a shorter range",
            )


def _subqueries(query: str) -> Iterator[_Subquery]:
    depth = 0
    for found in _TOKENS.finditer(query):
        match found["other"]:
            case "(":
                depth += 1
            case ")":
                depth -= 1
            case '"' | "'" | "`":
                raise Refused(400, "bad_data", "a string of the query is not closed")
            case "[":
                raise Refused(400, "bad_data", "a square bracket of the query holds neither a range nor a subquery")
            case _:
                inside = found["inside"]
                if inside is not None and ":" in inside:
                    length, _, resolution = inside.partition(":")
                    yield _Subquery(
                        length=_seconds(length, "range"),
                        resolution=_seconds(resolution, "resolution")
                        if resolution.strip()
                        else DEFAULT_RESOLUTION_SECONDS,
                        depth=depth,
                    )


def _seconds(text: str, what: str) -> float:
    return duration(text.strip(), f"the {what} of a subquery")
