"""What a search for traces is asked for and gives, whoever stores the traces."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from gateway.agents.times import iso
from gateway.agents.tool import Outcome
from gateway.traceql.repair import repair

if TYPE_CHECKING:
    from opentelemetry.trace import Span

    from gateway.agents.bounds import Bounds

_BACK_SECONDS = 3600.0
_TRACES = 20
_SPANS_PER_SET = 3
_MOST_SPANS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """A search within bounds.

    Attributes:
        query: TraceQL.
        limit: at most so many traces.
        start: seconds since 1970.
        end: seconds since 1970.
        spans: at most so many spans of each trace.
    """

    query: str
    limit: int
    start: float
    end: float
    spans: int = _SPANS_PER_SET


class TraceStore(Protocol):
    """Who stores traces."""

    async def search(self, search: Search, span: Span) -> Outcome:
        """Return what is found, newest first, in the form of Tempo's ``/api/search``.

        Raises:
            Refused: the query is wrong, or the store does not answer properly.
        """
        ...


class TraceSearch:
    """Searches within bounds, the one mistake repaired.

    Args:
        store: who is asked.
        bounds: of a call.
    """

    def __init__(self, store: TraceStore, bounds: Bounds) -> None:
        self._store = store
        self._bounds = bounds

    async def find(
        self,
        query: str,
        *,
        limit: int | None,
        start: str | float | None,
        end: str | float | None,
        spans: int | None,
        span: Span,
    ) -> Outcome:
        """Return traces, of the last hour unless start or end say something else.

        Args:
            query: TraceQL, or ``{service.name="..."}``.
            limit: how many traces; None for 20.
            start: of the range.
            end: of the range; None for now.
            spans: how many spans of each trace; None for 3.
            span: of the call.

        Raises:
            Refused: a parameter is wrong or over its limit, or the store says no.
        """
        asked, note = repair(self._bounds.query(query))
        first, last = self._bounds.window(start, end, back=_BACK_SECONDS, now=time.time())
        search = Search(
            query=asked,
            limit=self._bounds.count(limit, default=_TRACES, most=self._bounds.limits.traces, unit="traces"),
            start=first,
            end=last,
            spans=self._bounds.count(spans, default=_SPANS_PER_SET, most=_MOST_SPANS, unit="spans", name="spss"),
        )
        outcome = await self._store.search(search, span)
        metadata: dict[str, object] = {
            "query": asked,
            "limit": search.limit,
            "start": iso(first),
            "end": iso(last),
            **outcome.metadata,
        }
        if note is not None:
            metadata["repaired"] = note
        return Outcome(data=outcome.data, metadata=metadata)
