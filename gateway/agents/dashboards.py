"""The tool ``search_dashboards``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import BaseModel, Field, StrictStr, ValidationError

from gateway.agents.tool import Outcome, Parameters, read, unknown

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.trace import Span

    from gateway.agents.upstream import Upstream

_MOST = 100


class _Given(Parameters):
    title: Annotated[StrictStr, Field(max_length=1000)]
    context: object = None


class _Dashboard(BaseModel):
    title: str
    url: str
    uid: str = ""


class Dashboards:
    """Finds Grafana's dashboards by words of their title.

    Args:
        grafana: who answers; None where the stack has no dashboards.
    """

    name = "search_dashboards"

    def __init__(self, grafana: Upstream | None) -> None:
        self._grafana = grafana

    async def run(self, parameters: Mapping[str, object], span: Span) -> Outcome:
        """Return the dashboards with title and URL, the URL relative to the front."""
        given = read(_Given, parameters)
        metadata: dict[str, object] = {"search_term": given.title, **unknown(_Given, parameters)}
        if self._grafana is None:
            return Outcome(data={"dashboards": []}, metadata=metadata | {"note": "this stack has no dashboards"})
        query = {"type": "dash-db", "query": given.title, "limit": str(_MOST)}
        found = await self._grafana.get_list("/api/search", query, span)
        try:
            dashboards = [_Dashboard.model_validate(one).model_dump() for one in found]
        except ValidationError:
            raise self._grafana.rubbish() from None
        return Outcome(data={"dashboards": dashboards}, metadata=metadata)
