"""The other replicas: whoever is told of a changed setting tells them, and they ask each other every second.

Not through the database: a setting is changed exactly when something is wrong there, and a replica that gets no
connection (a new credential, a limit that is reached) must still learn of it.
"""

import asyncio
import http.client
import socket
from typing import Final

import structlog
from pydantic import TypeAdapter, ValidationError

from payment_service.live_changes import LiveChanges
from payment_service.live_settings import Change
from payment_service.settings import SettingsError

log = structlog.get_logger("payment_service.peers")

PATH: Final = "/settings/changes"
CHANGES: Final = TypeAdapter(dict[str, Change])
_TIMEOUT = 1.0
_LONGEST = 64 * 1024
_OK = 200


class Peers:
    """All replicas, this one among them: it learns nothing from itself.

    Args:
        addresses: ``HOST:PORT`` of admin ports, with commas between; a name may stand for several replicas.
        changes: What is known here.
    """

    def __init__(self, addresses: str, changes: LiveChanges) -> None:
        self._addresses = [(host, int(port)) for host, _, port in (one.rpartition(":") for one in addresses.split(","))]
        self._changes = changes
        self._fault: str | None = None
        self.asked = False
        """Whether they were asked at least once: before, a new replica may not know what was changed."""

    async def pull(self) -> None:
        """Ask all for their changes, and follow the later ones. Who does not answer is asked again next time."""
        for answer in await self._exchange("GET", b""):
            await self._adopt(answer)
        self.asked = True

    async def push(self) -> None:
        """Tell all what is known here. Who cannot be told asks within a second."""
        await self._exchange("PUT", CHANGES.dump_json(dict(self._changes.known)))

    async def _exchange(self, method: str, body: bytes) -> list[bytes]:
        loop = asyncio.get_running_loop()
        found: set[tuple[str, int]] = set()
        for host, port in self._addresses:
            try:
                resolved = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            except OSError as error:
                self._note(f"{host} cannot be resolved: {error.strerror}")
                continue
            found.update((address[0], port) for *_, address in resolved if isinstance(address[0], str))
        answers = await asyncio.gather(*(asyncio.to_thread(_ask, *peer, method, body) for peer in sorted(found)))
        return [answer for answer in answers if answer is not None]

    async def _adopt(self, answer: bytes) -> None:
        try:
            await self._changes.adopt(CHANGES.validate_json(answer))
        except (ValidationError, SettingsError) as error:
            text = str(error) if isinstance(error, SettingsError) else "it sent what this version does not understand"
            self._note(f"a replica's settings cannot be followed: {text}")
        else:
            self._fault = None

    def _note(self, fault: str) -> None:
        # It is tried again every second; a line is for the first time.
        if fault != self._fault:
            self._fault = fault
            log.warning("replicas do not agree", reason=fault)


def _ask(host: str, port: int, method: str, body: bytes) -> bytes | None:
    """A replica's answer; None if there is none: replicas come and go."""
    connection = http.client.HTTPConnection(host, port, timeout=_TIMEOUT)
    try:
        connection.request(method, PATH, body or None, {"Content-Type": "application/json"})
        response = connection.getresponse()
        answer = response.read(_LONGEST)
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
    return answer if response.status == _OK else None
