"""What can be wrong with a query; every error knows where."""

from __future__ import annotations


class TraceQLError(ValueError):
    """The query is not TraceQL, or uses a part of it that is not supported here; the text is the sentence to show.

    Attributes:
        position: offset into the query, from 0.
    """

    def __init__(self, what: str, query: str, position: int) -> None:
        line = query.count("\n", 0, position) + 1
        column = position - (query.rfind("\n", 0, position) + 1) + 1
        super().__init__(f"parse error at line {line}, col {column}: {what}")
        self.position = position


class UnsupportedError(TraceQLError):
    """The query may be TraceQL, but the named part of it is not supported here."""

    def __init__(self, part: str, query: str, position: int, *, instead: str = "") -> None:
        super().__init__(f"{part} is not supported here{'; ' if instead else ''}{instead}", query, position)
        self.part = part
