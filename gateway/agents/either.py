"""Two dialects on one path: MCP's messages say ``jsonrpc``, COMPASS's calls do not."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from gateway.agents.post import parse
from gateway.problems import Refused

if TYPE_CHECKING:
    from starlette.responses import Response

    from gateway.agents.compass import Compass
    from gateway.agents.mcp import Mcp
    from gateway.agents.post import Posted


class Either:
    """Answers in the dialect of the question.

    Args:
        compass: for COMPASS's calls, and whatever is neither.
        mcp: for messages of JSON-RPC.
    """

    def __init__(self, compass: Compass, mcp: Mcp) -> None:
        self._compass = compass
        self._mcp = mcp

    async def answer(self, posted: Posted) -> Response:
        """Return the answer."""
        try:
            document = parse(posted.body)
        except Refused:
            document = None
        return await (self._mcp if is_rpc(document) else self._compass).answer(posted)


def is_rpc(document: object) -> bool:
    """Return whether a JSON document is a message of JSON-RPC."""
    return isinstance(document, dict) and "jsonrpc" in cast("dict[str, object]", document)
