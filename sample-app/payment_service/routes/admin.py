"""The internal port: live settings."""

from http import HTTPStatus
from typing import Any, cast

import orjson
from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from payment_service.inputs import describe_fault, read_body
from payment_service.live_changes import LiveChanges
from payment_service.peers import CHANGES, PATH, Peers
from payment_service.problems import Problem, invalid
from payment_service.routes.answers import json
from payment_service.settings import SettingsError


class AdminRoutes:
    """The routes.

    Args:
        changes: Puts changes into force.
        peers: The other replicas, which are told; None: there are none.
    """

    def __init__(self, changes: LiveChanges, peers: Peers | None) -> None:
        self._changes = changes
        self._peers = peers

    def routes(self) -> list[Route]:
        """Starlette's routes."""
        return [
            Route("/settings", self.show, methods=["GET"]),
            Route("/settings", self.change, methods=["PATCH"]),
            Route(PATH, self.tell, methods=["GET"]),
            Route(PATH, self.follow, methods=["PUT"]),
        ]

    async def show(self, _request: Request) -> Response:
        """``GET /settings``."""
        return json(self._changes.values.model_dump())

    async def change(self, request: Request) -> Response:
        """``PATCH /settings``: a JSON object of what is to change; all of it is done, in all replicas, or nothing."""
        wanted = _parse_object(await read_body(request))
        try:
            values = await self._changes.make(wanted)
        except ValidationError as error:
            raise describe_fault(error) from None
        except SettingsError as error:
            raise invalid(str(error)) from None
        if self._peers is not None:
            await self._peers.push()
        return json(values.model_dump())

    async def tell(self, _request: Request) -> Response:
        """``GET /settings/changes``: what was ever changed, for other replicas."""
        return json({name: change.model_dump() for name, change in self._changes.known.items()})

    async def follow(self, request: Request) -> Response:
        """``PUT /settings/changes``: what another replica answers to the same path; later changes come into force."""
        try:
            await self._changes.adopt(CHANGES.validate_json(await read_body(request)))
        except ValidationError as error:
            raise describe_fault(error) from None
        except SettingsError as error:
            raise invalid(str(error)) from None
        return await self.tell(request)


def _parse_object(body: bytes) -> dict[str, Any]:
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise Problem(HTTPStatus.BAD_REQUEST, "The body is not valid JSON.") from None
    if not isinstance(parsed, dict):
        raise invalid("The body must be an object of settings.")
    return cast("dict[str, Any]", parsed)
