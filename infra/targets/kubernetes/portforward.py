"""A way to a port inside a pod, through the API server and the kubelet.

Unlike the API server's own proxy it arrives at the pod from inside: no NetworkPolicy has to let the control plane in.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# The library's websockets are typed in parts only.

import asyncio
import contextlib
import http.client
import io
import re
from collections.abc import AsyncGenerator
from typing import Any, Final

from infra.targets.kubernetes.client import KubeClient

__all__ = ["PortClosed", "http_get", "port"]

_DATA: Final = 0
_ERROR: Final = 1
_LENGTH: Final = re.compile(rb"^content-length:[ \t]*(\d+)", re.IGNORECASE | re.MULTILINE)


class PortClosed(Exception):  # noqa: N818 # an ending, not always a fault
    """The way to the port has ended; its text is what the kubelet said, if it did."""


class PodPort:
    """A stream of bytes to and from a port."""

    def __init__(self, socket: Any) -> None:  # noqa: ANN401 # the library's
        self._socket = socket
        self._greeted = {_DATA: False, _ERROR: False}

    async def send(self, data: bytes) -> None:
        """Send bytes to the port.

        Raises:
            PortClosed: nobody takes them any more.
        """
        import httpx_ws  # noqa: PLC0415 # comes with the library, which is imported late

        try:
            await self._socket.send_bytes(bytes([_DATA]) + data)
        except httpx_ws.HTTPXWSException as error:
            raise PortClosed(str(error)) from None

    async def receive(self) -> bytes:
        """What the port sends next.

        Raises:
            PortClosed: it has ended, or the kubelet cannot reach it.
        """
        import httpx_ws  # noqa: PLC0415

        while True:
            try:
                message: bytes = await self._socket.receive_bytes()
            except httpx_ws.HTTPXWSException as error:
                raise PortClosed(str(error)) from None
            channel, data = message[0], message[1:]
            if not self._greeted.get(channel, True):
                # The first message of each channel repeats the port's number.
                self._greeted[channel] = True
            elif channel == _ERROR:
                raise PortClosed(data.decode(errors="replace").strip())
            elif data:
                return data


@contextlib.asynccontextmanager
async def port(client: KubeClient, namespace: str, pod: str, number: int) -> AsyncGenerator[PodPort]:
    """Open a way to a port of a pod.

    Raises:
        PortClosed: the pod, the kubelet or the API server does not let us.
    """
    import httpx  # noqa: PLC0415
    import httpx_ws  # noqa: PLC0415

    base = f"/api/v1/namespaces/{namespace}/pods/{pod}"
    try:
        async with client.api.open_websocket(
            version="", base=base, url="portforward", params={"ports": str(number)}
        ) as socket:
            yield PodPort(socket)
    except ExceptionGroup as group:
        # The library keeps tasks of its own beside ours, and what one raises comes in a group.
        raise PortClosed(_cause(group)) from None
    except (httpx.HTTPError, httpx_ws.HTTPXWSException) as error:
        raise PortClosed(_cause(error)) from None


def _cause(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return str(error) or type(error).__name__


async def http_get(
    client: KubeClient, namespace: str, pod: str, number: int, path: str, *, seconds: float
) -> tuple[int, bytes]:
    """Status and body of a GET to a pod's port.

    Raises:
        PortClosed: there is no whole answer within the time.
    """
    request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAccept: application/json\r\nConnection: close\r\n\r\n"
    answer = bytearray()
    try:
        async with asyncio.timeout(seconds), port(client, namespace, pod, number) as way:
            await way.send(request.encode())
            with contextlib.suppress(PortClosed):
                # The kubelet closes the way a whole second after the port has: what is whole is not waited for.
                while not _is_whole(answer):
                    answer += await way.receive()
    except TimeoutError:
        raise PortClosed(f"no answer within {seconds:g} seconds") from None
    return _parse(bytes(answer))


def _is_whole(answer: bytes | bytearray) -> bool:
    """Whether the head tells the body's length, and all of it is there."""
    head, end, body = answer.partition(b"\r\n\r\n")
    length = _LENGTH.search(head) if end else None
    return length is not None and len(body) >= int(length[1])


class _Socket:
    """What the standard library's parser takes for a connection."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def makefile(self, _mode: str) -> io.BytesIO:
        return io.BytesIO(self._content)


def _parse(answer: bytes) -> tuple[int, bytes]:
    response = http.client.HTTPResponse(_Socket(answer))  # type: ignore[arg-type] # it only makes a file of it
    try:
        response.begin()
        return response.status, response.read()
    except (http.client.HTTPException, OSError) as error:
        raise PortClosed(f"no whole answer ({type(error).__name__})") from None
