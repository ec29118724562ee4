"""Listens on both ports and ends without losing a request.

After SIGTERM: not ready any more, still accepting for a moment (whoever sends requests needs time to notice), each
answer closes its connection; then no new connection; what was accepted is answered; telemetry is flushed; the pool is
closed.
"""

import asyncio
import gc
import os
import signal
import socket
from collections.abc import Generator
from contextlib import contextmanager

import structlog
import uvicorn
from starlette.types import ASGIApp

from payment_service.application import Service
from payment_service.settings import ServiceSettings, SettingsError

log = structlog.get_logger("payment_service")

# Longer than any client keeps an idle connection, so that it is the client who closes, not the service under its next
# request.
_KEEP_ALIVE = 90
_BACKLOG = 2048
_SETTLE = 0.1
_SETTLE_TURNS = 10


class _Server(uvicorn.Server):
    """A uvicorn server that leaves signals to its owner: there are two of them in this process."""

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


async def serve(settings: ServiceSettings) -> None:
    """Serve until SIGTERM or SIGINT.

    Args:
        settings: The service's settings.

    Raises:
        SettingsError: A port cannot be had.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    sockets = [_bind(settings.host, settings.port), _bind(settings.host, settings.admin_port)]
    service = Service(settings)
    await service.start()
    public, admin = (_make_server(app, settings) for app in (service.public_app(), service.admin_app()))
    # What lives as long as the process need not be looked at by every garbage collection.
    gc.collect()
    gc.freeze()
    running = [asyncio.create_task(server.serve([sock])) for server, sock in zip((public, admin), sockets, strict=True)]
    try:
        await stop.wait()
        log.info("stopping", in_flight=len(public.server_state.tasks), drain_seconds=settings.drain_seconds)
        service.draining = True
        await asyncio.sleep(settings.drain_seconds)
        await _accept_the_last(public, sockets[0])
    finally:
        public.should_exit = admin.should_exit = True
        await asyncio.gather(*running)
        await service.stop()


async def _accept_the_last(server: _Server, listener: socket.socket) -> None:
    """Let those in who have come before the door closes.

    Closing a listener resets the connections in its queue, and uvicorn then closes those without a request, even if one
    is on its way. With a backlog of zero the kernel lets hardly anybody in any more; the loop accepts those who are
    there and reads what they send.

    Args:
        server: The server.
        listener: Its socket.
    """
    listener.listen(0)
    for _ in range(_SETTLE_TURNS):
        await asyncio.sleep(_SETTLE)
        # A connection without a cycle has not had its first request yet.
        if all(getattr(connection, "cycle", "other") is not None for connection in server.server_state.connections):
            return


def _make_server(app: ASGIApp, settings: ServiceSettings) -> _Server:
    config = uvicorn.Config(
        app,
        loop="none",
        http="httptools",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        backlog=_BACKLOG,
        timeout_keep_alive=_KEEP_ALIVE,
        timeout_graceful_shutdown=round(settings.shutdown_timeout),
    )
    return _Server(config)


def _bind(host: str, port: int) -> socket.socket:
    try:
        return socket.create_server(
            (host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=_BACKLOG
        )
    except OSError as error:
        raise SettingsError(f"Port {port} of {host} cannot be had: {os.strerror(error.errno or 0)}.") from None
