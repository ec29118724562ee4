"""Errors that a client is told about, as RFC 9457 problems. Whatever goes wrong, the answer is one of these."""

from collections.abc import Mapping
from http import HTTPStatus

import orjson
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from payment_service.store.errors import CircuitOpenError, Failure, classify

MEDIA_TYPE = "application/problem+json"


class Problem(Exception):  # noqa: N818  # the RFC's word
    """An answer with an error status.

    Args:
        status: HTTP status.
        detail: One sentence for the client.
        headers: Further response headers.
        extra: Further members of the body.
    """

    def __init__(
        self,
        status: HTTPStatus,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        extra: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = headers
        self.extra = extra

    def to_response(self) -> Response:
        """The answer."""
        body = {"type": "about:blank", "title": self.status.phrase, "status": self.status.value, "detail": self.detail}
        return Response(
            orjson.dumps({**body, **(self.extra or {})}),
            status_code=self.status,
            headers=self.headers,
            media_type=MEDIA_TYPE,
        )


def invalid(detail: str) -> Problem:
    """The request is well-formed and makes no sense.

    Args:
        detail: One sentence for the client.
    """
    return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, detail)


def not_found(detail: str) -> Problem:
    """What the request names does not exist.

    Args:
        detail: One sentence for the client.
    """
    return Problem(HTTPStatus.NOT_FOUND, detail)


def conflict(detail: str) -> Problem:
    """The state of what the request names forbids it.

    Args:
        detail: One sentence for the client.
    """
    return Problem(HTTPStatus.CONFLICT, detail)


_UNAVAILABLE = {
    Failure.UNREACHABLE: "The database cannot be reached.",
    Failure.TIMEOUT: "The database does not answer.",
    Failure.CAPACITY: "The database accepts no more connections.",
    Failure.CREDENTIAL: "The database refuses the service's credential.",
    Failure.POOL: "No database connection became free in time.",
    Failure.CIRCUIT: "The database was not reachable a moment ago.",
    Failure.DEADLOCK: "The request collided with others; nothing was changed.",
    Failure.SERIALIZATION: "The request collided with others; nothing was changed.",
    Failure.LOCK_TIMEOUT: "A row is locked for too long; nothing was changed.",
}


def from_exception(error: Exception) -> Problem | None:
    """The problem that a failure of the database is for the client; None if it is no such failure.

    Args:
        error: What a route raised.
    """
    kind = classify(error)
    if kind is None:
        return None
    if kind is Failure.STATEMENT_TIMEOUT:
        return Problem(HTTPStatus.GATEWAY_TIMEOUT, "The database took too long; nothing was changed.")
    wait = max(1, round(error.retry_after)) if isinstance(error, CircuitOpenError) else 1
    return Problem(HTTPStatus.SERVICE_UNAVAILABLE, _UNAVAILABLE[kind], headers={"Retry-After": str(wait)})


async def answer_problem(_request: Request, error: Exception) -> Response:  # Starlette awaits it
    """Starlette's handler for `Problem`."""
    assert isinstance(error, Problem)  # noqa: S101  # registered for this type only
    return error.to_response()


async def answer_http_exception(_request: Request, error: Exception) -> Response:  # Starlette awaits it
    """Starlette's handler for its own exceptions: no such path, wrong method."""
    assert isinstance(error, HTTPException)  # noqa: S101  # registered for this type only
    return Problem(HTTPStatus(error.status_code), str(error.detail), headers=error.headers).to_response()


async def answer_exception(_request: Request, error: Exception) -> Response:
    """Starlette's handler for everything else."""
    return answer_unexpected(error)


def answer_unexpected(error: Exception) -> Response:
    """The answer to an exception that is no `Problem`.

    Args:
        error: What a route raised.
    """
    problem = from_exception(error) or Problem(
        HTTPStatus.INTERNAL_SERVER_ERROR, "The service failed; the error is logged."
    )
    return problem.to_response()
