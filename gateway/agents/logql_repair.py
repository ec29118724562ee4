"""The one mistake in LogQL that is repaired, for COMPASS makes it: ``|= "a" or |= "b"``, the filter said twice."""

from __future__ import annotations

import re

_TEXT = r'"(?:[^"\\\n]|\\.)*"'
# The whole query, nothing else in it: what is longer was written by somebody who is better told.
_REPEATED = re.compile(rf"(\s*\{{[^{{}}]*\}}\s*)(\|=|\|~|!=|!~)(\s*{_TEXT})((?:\s+or\s+\2\s*{_TEXT})+)(\s*)")


def repair(query: str) -> tuple[str, str | None]:
    """Return the query to ask, and a note if it is not the one that was given."""
    found = _REPEATED.fullmatch(query)
    if not found:
        return query, None
    selector, operator, first, others, end = found.groups()
    texts = re.sub(rf"(\s+or\s+){re.escape(operator)}\s*({_TEXT})", r"\1\2", others)
    note = f"after or a line filter takes the text alone; {operator} was left out there"
    return f"{selector}{operator}{first}{texts}{end}", note
