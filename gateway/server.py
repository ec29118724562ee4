"""Several listeners in one process and one event loop: one uvicorn server each, started and stopped together."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import sys
from typing import TYPE_CHECKING

import structlog
import uvicorn

from gateway.app import open_gateway
from gateway.protocol import BoundedHttpProtocol

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from gateway.config import Config, Listener

log = structlog.stdlib.get_logger()

_BACKLOG = 512
_KEEPALIVE_SECONDS = 75


class ListenError(Exception):
    """An address cannot be served; the text is the sentence to show."""


class _Server(uvicorn.Server):
    """A server that is started and stopped with the others.

    The process's signals are the gateway's, and waiting costs one wake-up a second (the Date header), not ten.

    Args:
        config: of uvicorn.
        stop: ends the server.
    """

    def __init__(self, config: uvicorn.Config, stop: asyncio.Event) -> None:
        super().__init__(config)
        self.accepting = asyncio.Event()
        self._stop = stop

    async def main_loop(self) -> None:
        while not self._stop.is_set() and not await self.on_tick(0):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1):
                    await self._stop.wait()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.accepting.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


def bind(listener: Listener, front: str) -> socket.socket:
    """Return a bound socket.

    Raises:
        ListenError: the address is taken, or not ours.
    """
    family = socket.AF_INET6 if ":" in listener.host else socket.AF_INET
    # asyncio switches Nagle's algorithm off only where the socket names its protocol; with it an answer in two writes
    # waits 40 ms.
    server = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind((listener.host, listener.port))
    except OSError as error:
        server.close()
        why = (error.strerror or str(error)).lower()
        raise ListenError(f"the {front} front cannot listen on {listener.host}:{listener.port}: {why}") from None
    server.setblocking(False)
    return server


async def serve(
    config: Config,
    token: str | None,
    operators_token: str | None = None,
    *,
    started: Callable[[dict[str, int]], None] | None = None,
    stop: asyncio.Event,
) -> None:
    """Serve all fronts until ``stop`` is set, then drain, then answer what is under way, within the configured bounds.

    Args:
        config: the validated configuration.
        token: the secret that opens the fronts.
        operators_token: the one that opens them without a record.
        started: told the ports once every front accepts connections.
        stop: ends the service.

    Raises:
        ListenError: an address cannot be served.
    """
    with contextlib.ExitStack() as bound:
        sockets = {
            front: bound.enter_context(bind(listener, front)) for front, listener in config.listeners.by_name().items()
        }
        closing = asyncio.Event()
        async with open_gateway(config, token, operators_token, stopping=stop) as fronts:
            servers = [
                (
                    _Server(
                        uvicorn.Config(
                            fronts[front].app,
                            http=BoundedHttpProtocol,
                            ws=fronts[front].websocket or "none",
                            lifespan="off",
                            log_config=None,
                            access_log=False,
                            server_header=False,
                            proxy_headers=False,
                            backlog=_BACKLOG,
                            limit_concurrency=config.limits.connections,
                            timeout_keep_alive=_KEEPALIVE_SECONDS,
                            timeout_graceful_shutdown=config.limits.shutdown_seconds,
                        ),
                        closing,
                    ),
                    sockets[front],
                )
                for front in fronts
            ]
            async with asyncio.TaskGroup() as tasks:
                for server, one in servers:
                    tasks.create_task(server.serve(sockets=[one]))
                for server, _ in servers:
                    await server.accepting.wait()
                ports = {front: one.getsockname()[1] for front, one in sockets.items()}
                log.info("serving", stack=config.stack, distribution=config.distribution, ports=ports)
                if started is not None:
                    started(ports)
                await stop.wait()
                limits = config.limits
                log.info("stopping", drain_seconds=limits.drain_seconds, bound_seconds=limits.shutdown_seconds)
                await asyncio.sleep(limits.drain_seconds)
                closing.set()
    log.info("stopped")


def run(config: Config, token: str | None, operators_token: str | None = None) -> None:
    """Serve until SIGTERM or SIGINT.

    Raises:
        ListenError: an address cannot be served.
    """

    async def main() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        await serve(config, token, operators_token, stop=stop)

    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(main())


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    if sys.platform == "win32":
        return None
    import uvloop  # noqa: PLC0415 - not available on Windows

    return uvloop.new_event_loop
