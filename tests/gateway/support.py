"""Real servers on loopback ports: fake back ends, raw sockets, and the gateway itself in the test's event loop."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import socket
import ssl
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

import httpx2
import uvicorn
from starlette.responses import JSONResponse, Response

from gateway.config import Config
from gateway.server import serve

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Generator

    from starlette.types import ASGIApp, Receive, Scope, Send

# Made once: a client that loads the machine's certificate authorities takes longer to make than its request.
_NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
TOKEN = "a-token-of-the-stack"
OPERATORS_TOKEN = "a-token-of-the-operators"
BEARER = {"Authorization": f"Bearer {TOKEN}"}


@dataclass(frozen=True)
class Seen:
    """A request as a back end received it."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes


@dataclass
class FakeBackend:
    """A back end that answers every path, remembers what it was asked, and can be told to answer differently."""

    name: str
    seen: list[Seen] = field(default_factory=list[Seen])
    answers: dict[str, Callable[[Seen], Awaitable[Response]]] = field(
        default_factory=dict[str, "Callable[[Seen], Awaitable[Response]]"]
    )
    url: str = ""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        seen = Seen(
            method=scope["method"],
            path=scope["raw_path"].decode(),
            query=scope["query_string"].decode(),
            headers={name.decode(): value.decode() for name, value in scope["headers"]},
            body=body,
        )
        self.seen.append(seen)
        answer = self.answers.get(seen.path)
        if answer is not None:
            response = await answer(seen)
        elif seen.headers.get("accept-encoding") == "gzip":
            packed = gzip.compress(b'{"status":"success","data":"packed"}', mtime=0)
            response = Response(packed, media_type="application/json", headers={"Content-Encoding": "gzip"})
        else:
            response = JSONResponse({"status": "success", "data": {"from": self.name, "path": seen.path}})
        await response(scope, receive, send)

    def always(self, path: str, response: Callable[[], Response]) -> None:
        """Answer this path with a new response each time."""

        async def answer(_seen: Seen) -> Response:
            return response()

        self.answers[path] = answer


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.stop = asyncio.Event()

    async def main_loop(self) -> None:
        await self.on_tick(0)
        await self.stop.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:  # noqa: ARG002 - the overridden signature
        # Like a server that dies: at once, whoever still waits for an answer.
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        for task in list(self.server_state.tasks):
            task.cancel()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


@asynccontextmanager
async def serving(app: ASGIApp, port: int = 0) -> AsyncGenerator[str]:
    """Serve an application on a loopback port and hand out its URL."""
    # The protocol is named so that asyncio switches Nagle's algorithm off for the accepted connections.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        config = uvicorn.Config(app, lifespan="off", log_config=None, access_log=False, ws="none")
        server = _Server(config)
        task = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.stop.set()
            await task


@asynccontextmanager
async def raw_server(
    handle: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncGenerator[str]:
    """Serve a function of a byte stream, for what no HTTP library would send."""
    writers: list[asyncio.StreamWriter] = []

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        with contextlib.suppress(ConnectionError, EOFError):
            await handle(reader, writer)
            writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for writer in writers:
            writer.close()


def make_client(**headers: str) -> httpx2.AsyncClient:
    """Return a client for loopback addresses."""
    return httpx2.AsyncClient(verify=_NO_TLS, timeout=60, headers=headers, limits=httpx2.Limits(max_connections=300))


def free_url() -> str:
    """Return the URL of a loopback port that nobody serves."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"http://127.0.0.1:{listener.getsockname()[1]}"


def port_of(url: str) -> int:
    """Return a URL's port."""
    return int(url.rpartition(":")[2])


def make_config(**changes: object) -> Config:
    """Return a valid configuration on free ports; a key with two underscores reaches into a section."""
    document: dict[str, object] = {
        "stack": "test",
        "distribution": "packages",
        "authentication": {"mode": "required", "token_file": "/run/secrets/gateway-token"},
        "listeners": {
            front: {"host": "127.0.0.1", "port": 0} for front in ("main", "loki", "prometheus", "traces", "internal")
        },
        "backends": {
            "prometheus": {"url": "http://127.0.0.1:9"},
            "loki": {"url": "http://127.0.0.1:9"},
            "traces": {"kind": "jaeger", "url": "http://127.0.0.1:9"},
            "alertmanager": {"url": "http://127.0.0.1:9"},
        },
        "limits": {"shutdown_seconds": 1},
    }
    for key, value in changes.items():
        section, _, name = key.rpartition("__")
        target = document
        if section:
            inner = document.setdefault(section, dict[str, object]())
            assert isinstance(inner, dict)
            target = cast("dict[str, object]", inner)
        target[name] = value
    return Config.model_validate(document)


@dataclass
class RunningGateway:
    """A gateway that serves, and clients for its fronts."""

    config: Config
    ports: dict[str, int]

    def url(self, front: str) -> str:
        """Return the base URL of a front."""
        return f"http://127.0.0.1:{self.ports[front]}"

    async def get(self, front: str, path: str, **headers: str) -> httpx2.Response:
        """GET with the token."""
        return await self.request("GET", front, path, headers={**BEARER, **headers})

    async def request(
        self,
        method: str,
        front: str,
        path: str,
        *,
        headers: dict[str, str] | None = None,
        content: bytes | None = None,
    ) -> httpx2.Response:
        """Send one request on a connection of its own."""
        async with make_client() as client:
            return await client.request(method, self.url(front) + path, headers=headers, content=content)

    async def raw(self, front: str, data: bytes) -> bytes:
        """Send bytes as they are and return all that comes back until the gateway closes."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.ports[front])
        try:
            writer.write(data)
            async with asyncio.timeout(60):
                return await reader.read()
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError, EOFError):
                await writer.wait_closed()

    async def keep_open(self, front: str) -> asyncio.StreamWriter:
        """Open a connection that has been answered once, so that the gateway knows of it, and keep it."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.ports[front])
        writer.write(b"GET /ready HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        async with asyncio.timeout(60):
            head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 ")
        return writer

    async def raw_get(self, front: str, target: str, *, host: str = "127.0.0.1") -> tuple[int, bytes]:
        """GET a request target that no client library would send; return status and answer."""
        request = f"GET {target} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {TOKEN}\r\nConnection: close\r\n\r\n"
        answer = await self.raw(front, request.encode("latin-1"))
        return int(answer.split(b" ", 2)[1]), answer


@asynccontextmanager
async def running(
    config: Config, token: str | None = TOKEN, operators_token: str | None = OPERATORS_TOKEN
) -> AsyncGenerator[RunningGateway]:
    """Run a gateway in this event loop."""
    ports: asyncio.Future[dict[str, int]] = asyncio.get_running_loop().create_future()
    stop = asyncio.Event()
    task = asyncio.create_task(serve(config, token, operators_token, started=ports.set_result, stop=stop))
    done, _ = await asyncio.wait([task, ports], return_when=asyncio.FIRST_COMPLETED)
    if task in done:
        task.result()
    try:
        yield RunningGateway(config=config, ports=ports.result())
    finally:
        stop.set()
        await task
