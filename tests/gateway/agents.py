"""Calls as agents send them, and answers as the back ends give them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from tests.gateway.support import BEARER

if TYPE_CHECKING:
    import httpx2

    from tests.gateway.support import RunningGateway, Seen

JSON = {"Content-Type": "application/json"}
VECTOR: dict[str, Any] = {
    "status": "success",
    "data": {"resultType": "vector", "result": [{"metric": {"job": "x"}, "value": [1.5, "1"]}]},
}
MATRIX: dict[str, Any] = {"status": "success", "data": {"resultType": "matrix", "result": []}}
STREAMS: dict[str, Any] = {
    "status": "success",
    "data": {"resultType": "streams", "result": [{"stream": {"app": "postgres"}, "values": [["1", "line"]]}]},
}


async def post(
    gateway: RunningGateway, path: str, document: object, *, front: str = "main", **headers: str
) -> httpx2.Response:
    """POST a document with the token."""
    content = document if isinstance(document, bytes) else json.dumps(document).encode()
    return await gateway.request("POST", front, path, headers={**BEARER, **JSON, **headers}, content=content)


async def call(gateway: RunningGateway, tool: object, **params: object) -> httpx2.Response:
    """Call a tool in COMPASS's own form."""
    return await post(gateway, "/mcp", {"tool": tool, "params": params})


def form(seen: Seen) -> dict[str, str]:
    """Return the parameters of a form."""
    return {name: values[0] for name, values in parse_qs(seen.body.decode(), keep_blank_values=True).items()}


def query(seen: Seen) -> dict[str, str]:
    """Return the parameters of a query string."""
    return {name: values[0] for name, values in parse_qs(seen.query, keep_blank_values=True).items()}
