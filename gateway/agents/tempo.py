"""Tempo as the store of traces: the query is passed on."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from gateway.agents.tool import Outcome

if TYPE_CHECKING:
    from opentelemetry.trace import Span

    from gateway.agents.traces import Search
    from gateway.agents.upstream import Upstream


class TempoStore:
    """Asks Tempo's search.

    Args:
        tempo: who answers.
    """

    def __init__(self, tempo: Upstream) -> None:
        self._tempo = tempo

    async def search(self, search: Search, span: Span) -> Outcome:
        """Return what Tempo answers."""
        first = math.floor(search.start)
        parameters = {
            "q": search.query,
            "limit": str(search.limit),
            "spss": str(search.spans),
            "start": str(first),
            # Whole seconds, and Tempo refuses a range without length.
            "end": str(max(math.ceil(search.end), first + 1)),
        }
        answer = await self._tempo.get("/api/search", parameters, span)
        if not isinstance(answer.setdefault("traces", []), list):
            raise self._tempo.rubbish()
        return Outcome(data=answer)
