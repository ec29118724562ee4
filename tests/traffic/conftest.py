"""A small payment service on a loopback port, and the generator in the test's event loop."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import httpx2
import pytest
import structlog
import uvicorn
from starlette.responses import JSONResponse

from traffic.service import run
from traffic.settings import Settings

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Generator

    from starlette.responses import Response
    from starlette.types import Receive, Scope, Send


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """The event loop that the generator is written for."""
    return "asyncio"


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:  # pyright: ignore[reportUnusedFunction] - a fixture
    """The developer's own environment does not decide tests, and logs do not hide what they print."""
    for name in Settings.model_fields:
        monkeypatch.delenv(f"TRAFFIC_{name.upper()}", raising=False)
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())


@dataclass(frozen=True)
class Seen:
    """A request as the service received it."""

    at: float
    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes


@dataclass
class FakeService:
    """Answers like the payment service, with ids that count up; can be told to answer differently."""

    seen: list[Seen] = field(default_factory=list[Seen])
    ready: bool = True
    answer: Callable[[Seen], Awaitable[Response | None]] | None = None
    url: str = ""

    @property
    def requests(self) -> list[Seen]:
        """Everything but questions whether it is ready."""
        return [seen for seen in self.seen if not seen.path.startswith("/health")]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        seen = Seen(
            at=asyncio.get_running_loop().time(),
            method=scope["method"],
            path=scope["path"],
            query=scope["query_string"].decode(),
            headers={name.decode(): value.decode() for name, value in scope["headers"]},
            body=body,
        )
        self.seen.append(seen)
        response = await self._respond(seen)
        if response is not None:
            await response(scope, receive, send)

    async def _respond(self, seen: Seen) -> Response | None:
        if seen.path.startswith("/health"):
            return JSONResponse({}, status_code=200 if self.ready else 503)
        if self.answer is not None:
            return await self.answer(seen)
        number = len(self.seen)
        status = "declined" if number % 10 == 0 else "completed"
        ids = {"payment_id": 1000 + number, "customer_id": 1 + number % 7, "merchant_id": 1 + number % 3}
        return JSONResponse({**ids, "status": status, "amount": 1.0})


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
async def serving(service: FakeService, port: int = 0) -> AsyncGenerator[FakeService]:
    """Serve on a loopback port, the one of before if it is given."""
    # The protocol is named so that asyncio switches Nagle's algorithm off for the accepted connections.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        service.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        config = uvicorn.Config(service, lifespan="off", log_config=None, access_log=False, ws="none", backlog=4096)
        server = _Server(config)
        task = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            yield service
        finally:
            server.stop.set()
            await task


@pytest.fixture(scope="session")
async def _shared_service(anyio_backend: str) -> AsyncGenerator[FakeService]:  # pyright: ignore[reportUnusedFunction] - a fixture
    assert anyio_backend == "asyncio"
    async with serving(FakeService()) as served:
        yield served


@pytest.fixture
def service(_shared_service: FakeService) -> FakeService:
    """A service that answers, and remembers nothing of other tests."""
    _shared_service.seen = []
    _shared_service.ready = True
    _shared_service.answer = None
    return _shared_service


@dataclass
class Traffic:
    """A generator that runs, and what it says about itself."""

    port: int
    stop: asyncio.Event
    task: asyncio.Task[None]

    async def get(self, path: str) -> httpx2.Response:
        """GET from its own server."""
        async with httpx2.AsyncClient(verify=False) as client:
            return await client.get(f"http://127.0.0.1:{self.port}{path}")

    async def value(self, name: str, **labels: str) -> float:
        """Return the sum of a metric's series that have these labels."""
        lines = (await self.get("/metrics")).text.splitlines()
        wanted = {f'{label}="{value}"' for label, value in labels.items()}
        found = [re.fullmatch(r"(\w+)(?:\{(.*)\})? (\S+)", line) for line in lines if line.startswith(name)]
        return sum(float(one[3]) for one in found if one and one[1] == name and wanted <= {*(one[2] or "").split(",")})

    async def until(self, least: float, name: str, **labels: str) -> None:
        """Wait until the sum of a metric's series is at least this."""
        async with asyncio.timeout(60):
            while await self.value(name, **labels) < least:  # noqa: ASYNC110 - a metric is all there is to see
                await asyncio.sleep(0.05)

    async def end(self) -> None:
        """Stop it and wait until it has."""
        self.stop.set()
        await self.task


@asynccontextmanager
async def generating(service: FakeService, **settings: object) -> AsyncGenerator[Traffic]:
    """Run a generator against a service."""
    chosen = Settings.model_validate({"target": service.url, "host": "127.0.0.1", "port": 0, **settings})
    port: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    stop = asyncio.Event()
    task = asyncio.create_task(run(chosen, stop, started=port.set_result))
    traffic = Traffic(await port, stop, task)
    try:
        yield traffic
    finally:
        await traffic.end()


async def until(condition: Callable[[], bool], seconds: float = 60) -> None:
    """Wait for a condition."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - the condition is another task's or process's doing, nothing sets an event
            await asyncio.sleep(0.005)
