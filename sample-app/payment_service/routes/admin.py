"""The internal port: live settings."""

from http import HTTPStatus
from typing import Any, cast

import orjson
from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from payment_service.credential import Credential
from payment_service.inputs import describe_fault, read_body
from payment_service.live_settings import LiveSettings
from payment_service.problems import Problem, invalid
from payment_service.routes.answers import json
from payment_service.settings import SettingsError
from payment_service.store.pool import ConnectionPool


class AdminRoutes:
    """The routes.

    Args:
        live: The settings.
        credential: The database password.
        pools: The pools that follow the settings; the first is the one that requests use.
    """

    def __init__(self, live: LiveSettings, credential: Credential, pools: list[ConnectionPool]) -> None:
        self._live = live
        self._credential = credential
        self._pools = pools

    def routes(self) -> list[Route]:
        """Starlette's routes."""
        return [Route("/settings", self.show, methods=["GET"]), Route("/settings", self.change, methods=["PATCH"])]

    async def show(self, _request: Request) -> Response:
        """``GET /settings``."""
        return json(self._live.current.model_dump())

    async def change(self, request: Request) -> Response:
        """``PATCH /settings``: a JSON object of what is to change; all of it is done, or nothing."""
        changes = _parse_object(await read_body(request))
        async with self._live.lock:
            try:
                values = self._live.merged(changes)
                self._credential.check(values.credential_version)
            except ValidationError as error:
                raise describe_fault(error) from None
            except SettingsError as error:
                raise invalid(str(error)) from None
            renew = {"pool_max_size", "credential_version"}.intersection(changes)
            self._live.current = values
            self._credential.version = values.credential_version
            requests = self._pools[0]
            requests.acquire_timeout = values.pool_acquire_timeout
            if renew:
                await requests.renew(max_size=values.pool_max_size)
                for pool in self._pools[1:]:
                    await pool.renew(max_size=pool.max_size)
        return json(values.model_dump())


def _parse_object(body: bytes) -> dict[str, Any]:
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise Problem(HTTPStatus.BAD_REQUEST, "The body is not valid JSON.") from None
    if not isinstance(parsed, dict):
        raise invalid("The body must be an object of settings.")
    return cast("dict[str, Any]", parsed)
