"""A TCP proxy before PostgreSQL that cuts the connection at a chosen moment."""

from __future__ import annotations

import asyncio
import contextlib
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from tests.sample_app.postgres import Server


@dataclass
class Proxy:
    """The proxy's plan.

    Attributes:
        port: Where it listens.
        cut_at: What a client has to send for its connection to be cut; empty: nothing.
        forwarded: Whether the server still gets that, and its answer is lost, or not even that.
        cuts: How often to do it; counts down.
    """

    port: int = 0
    cut_at: bytes = b""
    forwarded: bool = True
    cuts: int = 0

    def plan(self, cut_at: bytes, *, forwarded: bool, cuts: int = 1) -> None:
        """Cut the next connection that sends this."""
        self.cut_at, self.forwarded, self.cuts = cut_at, forwarded, cuts


@asynccontextmanager
async def proxy(server: Server) -> AsyncGenerator[Proxy]:
    """A proxy in this event loop."""
    state = Proxy()
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        upstream_reader, upstream_writer = await asyncio.open_connection(server.host, server.port)
        back = asyncio.create_task(_copy(upstream_reader, writer))
        try:
            while data := await reader.read(65536):
                cut = state.cuts > 0 and state.cut_at in data
                if cut:
                    # The answer to what is forwarded now must not get through.
                    state.cuts -= 1
                    back.cancel()
                    await asyncio.gather(back, return_exceptions=True)
                    if not state.forwarded:
                        break
                upstream_writer.write(data)
                await upstream_writer.drain()
                if cut:
                    await upstream_reader.read(65536)
                    break
        finally:
            back.cancel()
            for each in (writer, upstream_writer):
                each.close()
            tasks.discard(task)

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    state.port = listener.sockets[0].getsockname()[1]
    try:
        yield state
    finally:
        listener.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.close()
