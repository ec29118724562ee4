"""A regular expression as a tree."""

from __future__ import annotations

from dataclasses import dataclass

# Parts of an expression.
MOST = 1000
LAST = 0x10FFFF


class PatternError(ValueError):
    """The text is no regular expression, or uses what is not supported here."""


@dataclass(frozen=True, slots=True)
class Chars:
    """A class of characters: ranges of code points, both ends included."""

    ranges: tuple[tuple[int, int], ...]

    def holds(self, one: str) -> bool:
        """Return whether the character belongs to the class."""
        return any(low <= ord(one) <= high for low, high in self.ranges)

    def inverted(self) -> Chars:
        """Return the class of all other characters."""
        ranges: list[tuple[int, int]] = []
        first = 0
        for low, high in sorted(self.ranges):
            if low > first:
                ranges.append((first, low - 1))
            first = max(first, high + 1)
        if first <= LAST:
            ranges.append((first, LAST))
        return Chars(tuple(ranges))


@dataclass(frozen=True, slots=True)
class Anchor:
    """The begin or the end of the text."""

    begin: bool


@dataclass(frozen=True, slots=True)
class Sequence:
    """One after the other."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Choice:
    """One of several."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Repeat:
    """Several times the same; no most is any number."""

    part: Node
    least: int
    most: int | None


Node = Chars | Anchor | Sequence | Choice | Repeat
