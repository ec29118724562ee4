"""JSON answers."""

from http import HTTPStatus

import orjson
from starlette.responses import Response


def json(body: object, *, status: HTTPStatus = HTTPStatus.OK, headers: dict[str, str] | None = None) -> Response:
    """An answer.

    Args:
        body: What orjson can write.
        status: HTTP status.
        headers: Further headers.
    """
    return Response(orjson.dumps(body), status_code=status, headers=headers, media_type="application/json")
