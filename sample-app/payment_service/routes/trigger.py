"""``POST /trigger-incident``: kept for clients that know it. The service does nothing itself; it hands the wish on."""

import asyncio
import json as standard_json
import urllib.error
import urllib.request
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final, cast

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from payment_service.inputs import read_body
from payment_service.problems import Problem
from payment_service.routes.answers import json
from payment_service.settings import read_password

PATH: Final = "/trigger-incident"
TYPES: Final = ("normal", "missing_index", "lock_contention", "pool_exhaustion")
_TIMEOUT = 28.0


class TriggerRoutes:
    """The route.

    Args:
        url: Where the wish is handed on to; None: nowhere.
        token_file: File with the bearer token for it.
    """

    def __init__(self, url: str | None, token_file: Path | None) -> None:
        self._url = url
        self._token_file = token_file

    def routes(self) -> list[Route]:
        """Starlette's routes."""
        return [Route(PATH, self.trigger, methods=["POST"])]

    async def trigger(self, request: Request) -> Response:
        """``POST /trigger-incident``, with the type as a member of the body or as a query parameter."""
        wish = _wanted_type(request, await read_body(request))
        if wish not in TYPES:
            detail = f"incident_type must be one of {', '.join(TYPES)}."
            raise Problem(HTTPStatus.BAD_REQUEST, detail, extra={"valid_types": TYPES})
        if self._url is None:
            raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, "No incident runner is configured.")
        status, answer = await asyncio.to_thread(self._forward, self._url, wish)
        return json(answer, status=status)

    def _forward(self, url: str, wish: str) -> tuple[HTTPStatus, dict[str, Any]]:
        headers = {"Content-Type": "application/json"}
        if self._token_file is not None:
            headers["Authorization"] = f"Bearer {read_password(self._token_file)}"
        body = standard_json.dumps({"incident_type": wish}).encode()
        call = urllib.request.Request(url, body, headers, method="POST")  # noqa: S310  # the settings admit http(s) only
        try:
            with urllib.request.urlopen(call, timeout=_TIMEOUT) as response:  # noqa: S310  # as above
                return HTTPStatus(response.status), orjson.loads(response.read())
        except urllib.error.HTTPError as error:
            if error.code == HTTPStatus.CONFLICT:
                # No word of the runner's own sentence: whoever may ask here may not know what is under way.
                raise Problem(HTTPStatus.CONFLICT, "The incident runner is in use, or the stack is not well.") from None
            raise Problem(HTTPStatus.BAD_GATEWAY, f"The incident runner answered with status {error.code}.") from None
        except (OSError, orjson.JSONDecodeError):
            raise Problem(HTTPStatus.BAD_GATEWAY, "The incident runner did not answer as it should.") from None


def _wanted_type(request: Request, body: bytes) -> object:
    if body.strip():
        try:
            parsed = orjson.loads(body)
        except orjson.JSONDecodeError:
            raise Problem(HTTPStatus.BAD_REQUEST, "The body is not valid JSON.", extra={"valid_types": TYPES}) from None
        if isinstance(parsed, dict) and "incident_type" in parsed:
            return cast("dict[str, object]", parsed)["incident_type"]
    return request.query_params.get("incident_type")
