"""The one mistake that is repaired: ``{service.name="..."}``, which is not TraceQL, for want of a scope."""

from __future__ import annotations

import re

# The whole query, nothing else in it: what is longer was written by somebody who is better told.
_UNSCOPED = re.compile(r'(\s*\{\s*)(service\.name\s*=\s*"(?:[^"\\\n]|\\.)*"\s*\}\s*)')


def repair(query: str) -> tuple[str, str | None]:
    """Return the query to ask, and a note if it is not the one that was given."""
    found = _UNSCOPED.fullmatch(query)
    if not found:
        return query, None
    repaired = f"{found[1]}resource.{found[2]}"
    return repaired, "service.name has no scope, which TraceQL requires; it was asked for as resource.service.name"
