"""JSON-RPC 2.0 messages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from gateway.problems import json_response

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.responses import Response

PARSE_ERROR, INVALID_REQUEST, NO_METHOD, INVALID_PARAMS, INTERNAL_ERROR = -32700, -32600, -32601, -32602, -32603

Id = str | int | None
_LONGEST_ID = 200


class RpcError(Exception):
    """The request gets an error instead of a result."""

    def __init__(self, code: int, sentence: str, *, status: int = 200) -> None:
        super().__init__(sentence)
        self.code = code
        self.sentence = sentence
        self.status = status

    def response(self, message_id: Id) -> Response:
        """Return the answer to the request of this id."""
        error = {"code": self.code, "message": self.sentence}
        return json_response({"jsonrpc": "2.0", "id": message_id, "error": error}, status=self.status)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request, or, without an id to answer to, a notification."""

    message_id: Id
    method: str
    params: Mapping[str, object]
    answered: bool


def id_of(document: object) -> Id:
    """Return the id of a message as far as it has a proper one."""
    if isinstance(document, dict):
        given = cast("dict[str, object]", document).get("id")
        if isinstance(given, str) and len(given) <= _LONGEST_ID:
            return given
        if isinstance(given, int) and not isinstance(given, bool):
            return given
    return None


def request_of(document: object) -> Request | None:
    """Return the request of a message; None if it is an answer, to which there is nothing to say.

    Raises:
        RpcError: it is no message.
    """
    if isinstance(document, list):
        raise RpcError(INVALID_REQUEST, "batches are not served; send one message at a time", status=400)
    if not isinstance(document, dict):
        raise RpcError(INVALID_REQUEST, "a message is an object", status=400)
    message = cast("dict[str, object]", document)
    if message.get("jsonrpc") != "2.0":
        raise RpcError(INVALID_REQUEST, 'the message has no "jsonrpc": "2.0"', status=400)
    method, params = message.get("method"), message.get("params")
    if method is None and ("result" in message or "error" in message):
        return None
    if not isinstance(method, str):
        raise RpcError(INVALID_REQUEST, "method must be a string", status=400)
    message_id = id_of(message)
    if "id" in message and message_id is None:
        raise RpcError(INVALID_REQUEST, "id must be a whole number or a string of at most 200 characters", status=400)
    if params is not None and not isinstance(params, dict):
        raise RpcError(INVALID_PARAMS, "params must be an object")
    return Request(
        message_id=message_id,
        method=method,
        params=cast("dict[str, object]", params or {}),
        answered="id" in message,
    )
