"""The other replicas of the gateway: each asks the others for the alerts that they received.

They are asked when somebody wants to see alerts, and every few seconds besides, so that what a replica received
outlives it and one that starts knows what went before. Who does not answer is left out.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import TYPE_CHECKING

import httpx2
import structlog
from pydantic import ValidationError

from gateway.alerts import Kept
from gateway.backend import make_client, verification
from gateway.shared_round import SharedRound

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.alerts import AlertLog

log = structlog.stdlib.get_logger()

KEPT_PATH = "/alerts/kept"
_SECONDS = 1.0
_MAX_AGE_SECONDS = 0.5
_INTERVAL_SECONDS = 5.0
_MOST_BYTES = 4 * 1024 * 1024
_MOST_PEERS = 32


class Peers:
    """All replicas, this one among them: it learns nothing from itself.

    Args:
        addresses: ``HOST:PORT`` of internal listeners; a name may stand for several replicas. None at all: one replica.
        alerts: what is known here.
    """

    def __init__(self, addresses: Sequence[str], alerts: AlertLog) -> None:
        self._addresses = [(host, int(port)) for host, _, port in (one.rpartition(":") for one in addresses)]
        self._alerts = alerts
        self._client = make_client(_SECONDS, _MOST_PEERS, verify=verification("http:"))
        self._rounds = SharedRound(self._ask_all, max_age=_MAX_AGE_SECONDS)
        self._task: asyncio.Task[None] | None = None
        self._unresolved = False

    def start(self) -> None:
        """Ask every few seconds from now on."""
        if self._addresses:
            self._task = asyncio.create_task(self._keep_asking())

    async def ask(self) -> None:
        """Know what the others know, as of half a second ago at most."""
        if self._addresses:
            await self._rounds.get()

    async def close(self) -> None:
        """End what is under way."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        await self._rounds.close()
        await self._client.aclose()

    async def _keep_asking(self) -> None:
        while True:
            await self.ask()
            await asyncio.sleep(_INTERVAL_SECONDS)

    async def _ask_all(self) -> None:
        found = await asyncio.gather(*(self._resolve(host, port) for host, port in self._addresses))
        peers = sorted({address for addresses in found for address in addresses})[:_MOST_PEERS]
        for kept in await asyncio.gather(*(self._ask(host, port) for host, port in peers)):
            if kept is not None:
                self._alerts.merge(kept)

    async def _resolve(self, host: str, port: int) -> set[tuple[str, int]]:
        try:
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError as error:
            if not self._unresolved:
                log.warning("other replicas are not found", host=host, reason=error.strerror)
            self._unresolved = True
            return set()
        self._unresolved = False
        return {(address[0], port) for *_, address in found if isinstance(address[0], str)}

    async def _ask(self, host: str, port: int) -> Kept | None:
        url = httpx2.URL(scheme="http", host=host, port=port, path=KEPT_PATH)
        body = bytearray()
        try:
            async with (
                asyncio.timeout(_SECONDS),
                # Addresses are no names that a front serves.
                self._client.stream("GET", url, headers={"Host": "gateway"}) as response,
            ):
                if not response.is_success:
                    return None
                async for chunk in response.aiter_raw():
                    body += chunk
                    if len(body) > _MOST_BYTES:
                        return None
            return Kept.model_validate_json(bytes(body))
        except (TimeoutError, httpx2.HTTPError, httpx2.InvalidURL, ValidationError):
            # Replicas come and go, and during an update they are of two versions.
            return None
