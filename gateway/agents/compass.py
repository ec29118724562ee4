"""COMPASS's own form of calling a tool: ``{"tool": NAME, "params": {...}}``, which is not JSON-RPC.

It shows ``error`` of a 4xx to its model, takes 401 for a bad token, 404 for an unknown tool or data source, and asks
again after a 5xx.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from gateway.agents.post import parse
from gateway.problems import Refused, json_response

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.responses import Response

    from gateway.agents.post import Posted
    from gateway.agents.tool import Tool
    from gateway.metrics import Metrics

_DIALECT = "compass"


class Compass:
    """Answers calls of tools by their names.

    Args:
        tools: what can be called.
        metrics: the gateway's; counts calls by tool and status.
    """

    def __init__(self, tools: Sequence[Tool], metrics: Metrics) -> None:
        self._tools = {tool.name: tool for tool in tools}
        self._metrics = metrics

    async def answer(self, posted: Posted) -> Response:
        """Return data and metadata of the tool, or ``error``."""
        label = "other"
        try:
            document = parse(posted.body)
            tool, parameters = self._call(document)
            label = tool.name
            posted.span.set_attribute("gateway.tool", label)
            outcome = await tool.run(parameters, posted.span)
            response = json_response({"data": outcome.data, "metadata": outcome.metadata})
        except Refused as refused:
            response = refused.response()
        self._metrics.count_tool_call(_DIALECT, label, response.status_code)
        return response

    def _call(self, document: object) -> tuple[Tool, dict[str, object]]:
        if not isinstance(document, dict):
            raise Refused(400, "bad_data", 'the body must be an object such as {"tool": "...", "params": {...}}')
        call = cast("dict[str, object]", document)
        name, parameters = call.get("tool"), call.get("params", {})
        if not isinstance(name, str):
            raise Refused(400, "bad_data", "tool must be the name of a tool")
        tool = self._tools.get(name)
        if tool is None:
            raise Refused(404, "not_found", f"there is no tool {name[:80]!r}; there are {', '.join(self._tools)}")
        if not isinstance(parameters, dict):
            raise Refused(400, "bad_data", "params must be an object")
        return tool, cast("dict[str, object]", parameters)
