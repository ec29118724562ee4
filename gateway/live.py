"""Grafana Live: the one WebSocket that passes the gateway, from Grafana's pages to Grafana.

Nothing of it is understood here. The handshake is judged as every request is, and by its origin whatever its method,
since browsers let any page open a WebSocket; Grafana gets a handshake of our own with the identity that the gateway
asserts; then bytes pass both ways until one side ends.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import structlog

from gateway import headers as header
from gateway.backend import reason, verification
from gateway.guard import path_of
from gateway.problems import Refused
from gateway.record import recorded

if TYPE_CHECKING:
    import uvicorn
    from uvicorn.server import ServerState

    from gateway.backend import Backend
    from gateway.guard import Guard
    from gateway.headers import RawHeaders
    from gateway.metrics import Metrics

log = structlog.stdlib.get_logger()

_PATH = "/api/live/ws"
_SENT = frozenset(
    {b"sec-websocket-key", b"sec-websocket-version", b"sec-websocket-protocol", b"sec-websocket-extensions"}
)
_ANSWERED = frozenset(
    {b"upgrade", b"connection", b"sec-websocket-accept", b"sec-websocket-protocol", b"sec-websocket-extensions"}
)
_HEAD_BYTES = 64 * 1024
_PIECE = 64 * 1024
_HANDSHAKE_SECONDS = 5.0
_MOST = 64
_SWITCHING = 101


class Live:
    """What the tunnels of one front share.

    Args:
        guard: of the front.
        grafana: where they lead.
        user: the identity that the gateway asserts.
        identity_header: the header that says it.
        metrics: the gateway's.
    """

    def __init__(self, guard: Guard, grafana: Backend, *, user: str, identity_header: str, metrics: Metrics) -> None:
        self._guard = guard
        self._grafana = grafana
        self._identity = (identity_header.encode(), user.encode())
        self._metrics = metrics
        self._open = 0

    def protocol(self) -> type[asyncio.Protocol]:
        """Return what uvicorn hands a connection to that wants to become a WebSocket."""
        live = self

        class Bound(_Tunnel):
            handle = staticmethod(live.serve)

        return Bound

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve a connection from its handshake to its end."""
        status = _SWITCHING
        try:
            await self._serve(reader, writer)
        except Refused as refused:
            status = refused.status
            writer.write(_refusal(refused))
        except (OSError, EOFError, asyncio.LimitOverrunError):
            # One side left, in its own way.
            pass
        finally:
            writer.close()
            self._metrics.count_request("main", status)
            if recorded():
                log.info("websocket", front="main", path=_PATH, status=status)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        scope = _scope(await reader.readuntil(b"\r\n\r\n"))
        self._guard.admit(scope)
        if scope["method"] != "GET" or path_of(scope).text != _PATH:
            raise Refused(403, "forbidden", f"the only WebSocket that is passed on is {_PATH} of Grafana")
        if self._open >= _MOST:
            sentence = f"this gateway holds open its limit of {_MOST} WebSockets; try again"
            raise Refused(503, "unavailable", sentence, headers={"Retry-After": "1"})
        self._open += 1
        try:
            to_reader, to_writer = await self._connect(scope, writer)
            try:
                await _both_ways(reader, writer, to_reader, to_writer)
            finally:
                to_writer.close()
        finally:
            self._open -= 1

    async def _connect(
        self, scope: dict[str, Any], writer: asyncio.StreamWriter
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        grafana = self._grafana
        to: asyncio.StreamWriter | None = None
        try:
            async with asyncio.timeout(_HANDSHAKE_SECONDS):
                tls = verification(grafana.settings.url) if grafana.settings.url.startswith("https:") else None
                reader, to = await asyncio.open_connection(grafana.host, grafana.port, ssl=tls, limit=_HEAD_BYTES)
                to.write(self._handshake(scope))
                line, headers = _parse(await reader.readuntil(b"\r\n\r\n"))
            self._check(line)
        except TimeoutError:
            _close(to)
            sentence = f"{grafana.name} did not answer within the limit of {_HANDSHAKE_SECONDS:g} s"
            raise grafana.error(504, "timeout", "timeout", sentence) from None
        except (OSError, EOFError, asyncio.LimitOverrunError) as error:
            _close(to)
            sentence = f"{grafana.name} cannot be reached: {reason(error)}"
            raise grafana.error(502, "bad_gateway", "connect", sentence) from None
        except BaseException:
            _close(to)
            raise
        kept: RawHeaders = [(name, value) for name, value in headers if name in _ANSWERED]
        writer.write(_head(b"HTTP/1.1 101 Switching Protocols", kept))
        return reader, to

    def _check(self, line: bytes) -> None:
        if line.split(b" ")[1:2] != [str(_SWITCHING).encode()]:
            raise self._grafana.error(502, "bad_gateway", "status", f"{self._grafana.name} does not open a WebSocket")

    def _handshake(self, scope: dict[str, Any]) -> bytes:
        parts = urlsplit(self._grafana.settings.url)
        query: bytes = scope["query_string"]
        target = parts.path.encode() + _PATH.encode() + (b"?" + query if query else b"")
        own: RawHeaders = [
            (b"host", parts.netloc.encode()),
            (b"upgrade", b"websocket"),
            (b"connection", b"Upgrade"),
            self._identity,
        ]
        sent: RawHeaders = [(name, value) for name, value in scope["headers"] if name in _SENT]
        return _head(b"GET " + target + b" HTTP/1.1", [*own, *sent])


class _Tunnel(asyncio.StreamReaderProtocol):
    """A connection that left HTTP; uvicorn counts it among its own and ends it with them.

    Args:
        config: of uvicorn.
        server_state: of uvicorn.
        app_state: of uvicorn.
    """

    handle: Any = None

    def __init__(self, config: uvicorn.Config, server_state: ServerState, app_state: dict[str, Any]) -> None:
        del config, app_state
        super().__init__(asyncio.StreamReader(limit=_HEAD_BYTES), self.handle)
        self._server_state = server_state
        self._own: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if isinstance(transport, asyncio.Transport):
            self._own = transport
        connections: set[Any] = self._server_state.connections
        connections.add(self)
        super().connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        connections: set[Any] = self._server_state.connections
        connections.discard(self)
        super().connection_lost(exc)

    def shutdown(self) -> None:
        """End; called by uvicorn."""
        if self._own is not None:
            self._own.close()


def _close(writer: asyncio.StreamWriter | None) -> None:
    if writer is not None:
        writer.close()


async def _both_ways(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    to_reader: asyncio.StreamReader,
    to_writer: asyncio.StreamWriter,
) -> None:
    copies = {asyncio.create_task(_copy(reader, to_writer)), asyncio.create_task(_copy(to_reader, writer))}
    try:
        await asyncio.wait(copies, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for copy in copies:
            copy.cancel()
        await asyncio.gather(*copies, return_exceptions=True)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(_PIECE):
            writer.write(data)
            await writer.drain()


def _scope(head: bytes) -> dict[str, Any]:
    line, headers = _parse(head)
    method, target, *_ = [*line.split(b" "), b"", b""]
    path, _, query = target.partition(b"?")
    return {
        "type": "websocket",
        "method": method.decode("latin-1"),
        "raw_path": path,
        "query_string": query,
        "headers": headers,
    }


def _parse(head: bytes) -> tuple[bytes, RawHeaders]:
    line, *rest = head.removesuffix(b"\r\n\r\n").split(b"\r\n")
    pairs = [one.partition(b":") for one in rest]
    return line, [(name.strip().lower(), value.strip()) for name, _, value in pairs]


def _head(line: bytes, headers: RawHeaders) -> bytes:
    return b"\r\n".join([line, *(name + b": " + value for name, value in headers), b"", b""])


def _refusal(refused: Refused) -> bytes:
    response = refused.response()
    headers: RawHeaders = [*header.for_caller(response.headers.raw, base_url=""), (b"connection", b"close")]
    return _head(b"HTTP/1.1 %d Refused" % refused.status, headers) + bytes(response.body)
