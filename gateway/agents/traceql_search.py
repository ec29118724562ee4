"""The tool ``traceql-search``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import StrictInt

from gateway.agents.tool import Outcome, Parameters, Text, Time, read, unknown

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.trace import Span

    from gateway.agents.traces import TraceSearch


class _Given(Parameters):
    query: Text
    limit: StrictInt | None = None
    start: Time | None = None
    end: Time | None = None


class TraceQLSearch:
    """Finds traces.

    Args:
        search: within bounds.
    """

    name = "traceql-search"
    description = (
        "Search for traces with TraceQL. Attributes need a scope, resource. or span., and conditions are joined by &&: "
        '{ resource.service.name = "payment-service" && duration > 1s && status = error }'
    )
    schema: Mapping[str, object] = {
        "type": "object",
        "properties": {
            "query": {"type": "string", "description": "TraceQL query"},
            "limit": {"type": "integer", "description": "Most traces to return; 20 if not given"},
            "start": {
                "type": "string",
                "description": "Start of the range, RFC 3339; one hour before its end if not given",
            },
            "end": {"type": "string", "description": "End of the range, RFC 3339; now if not given"},
        },
        "required": ["query"],
    }

    def __init__(self, search: TraceSearch) -> None:
        self._search = search

    async def run(self, parameters: Mapping[str, object], span: Span) -> Outcome:
        """Return traces in the form of Tempo's ``/api/search``."""
        given = read(_Given, parameters)
        outcome = await self._search.find(
            given.query, limit=given.limit, start=given.start, end=given.end, spans=None, span=span
        )
        return Outcome(data=outcome.data, metadata=outcome.metadata | unknown(_Given, parameters))
