"""Grafana Live: one WebSocket passes, judged like a request, with bytes both ways."""

from __future__ import annotations

import asyncio
import contextlib
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from tests.gateway.support import TOKEN, make_config, raw_server, running

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from tests.gateway.support import RunningGateway

pytestmark = pytest.mark.anyio

SWITCHING = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: x\r\nSet-Cookie: grafana_session=1\r\nX-Other: 1\r\n\r\n"
)


class Grafana:
    """Answers handshakes and then echoes."""

    def __init__(self) -> None:
        self.heads: list[bytes] = []
        self.answer = SWITCHING
        self.ended = asyncio.Event()

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(self.answer)
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                writer.write(data.upper())
                await writer.drain()
        self.ended.set()


@asynccontextmanager
async def behind(grafana: Grafana, token: str | None = TOKEN) -> AsyncGenerator[RunningGateway]:
    async with raw_server(grafana.handle) as url:
        config = make_config(distribution="upstream", backends__grafana={"url": url, "user": "compass-viewer"})
        async with running(config, token) as gateway:
            yield gateway


async def shake(
    gateway: RunningGateway, path: str = "/api/live/ws", *, token: str = TOKEN, **headers: str
) -> tuple[bytes, asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.ports["main"])
    sent = {
        "Host": f"127.0.0.1:{gateway.ports['main']}",
        "Authorization": f"Bearer {token}",
        "Upgrade": "websocket",
        "Connection": "keep-alive, Upgrade",
        "Sec-WebSocket-Key": "eDEyMzQ1Njc4OTAxMjM0NQ==",
        "Sec-WebSocket-Version": "13",
        "Cookie": "secret=1",
        "X-WEBAUTH-USER": "admin",
        "Origin": gateway.url("main"),
    }
    lines = [f"{name}: {value}" for name, value in {**sent, **headers}.items()]
    writer.write("\r\n".join([f"GET {path} HTTP/1.1", *lines, "", ""]).encode())
    async with asyncio.timeout(20):
        return await reader.readuntil(b"\r\n\r\n"), reader, writer


async def test_bytes_pass_both_ways_with_the_identity_that_the_gateway_asserts() -> None:
    grafana = Grafana()
    async with behind(grafana) as gateway:
        answer, reader, writer = await shake(gateway, "/api/live/ws?x=1")
        assert answer.startswith(b"HTTP/1.1 101 ")
        assert b"cookie" not in answer.lower()
        (head,) = grafana.heads
        assert head.startswith(b"GET /api/live/ws?x=1 HTTP/1.1\r\n")
        assert head.lower().count(b"x-webauth-user") == 1
        assert b"X-WEBAUTH-USER: compass-viewer" in head
        assert not [word for word in (b"cookie", b"authorization", b"origin", TOKEN.encode()) if word in head.lower()]
        for text in (b"hello", b"x" * 200_000):
            writer.write(text)
            async with asyncio.timeout(20):
                assert await reader.readexactly(len(text)) == text.upper()
        writer.close()
        async with asyncio.timeout(20):
            await grafana.ended.wait()
        metrics = (await gateway.get("internal", "/metrics")).text
        assert 'gateway_requests_total{code="101",front="main"} 1.0' in metrics


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/api/live/ws", {"Authorization": "Bearer wrong"}, 401),
        ("/api/live/ws", {"Origin": "http://evil.example"}, 403),
        ("/api/live/ws", {"Host": "evil.example"}, 421),
        ("/api/live/push/x", {}, 403),
        ("/api/live//ws", {}, 400),
        ("/mcp", {}, 403),
    ],
)
async def test_what_may_not_pass_never_reaches_grafana(path: str, headers: dict[str, str], status: int) -> None:
    grafana = Grafana()
    async with behind(grafana) as gateway:
        answer, _, writer = await shake(gateway, path, **headers)
        assert answer.startswith(b"HTTP/1.1 %d " % status)
        writer.close()
    assert grafana.heads == []


async def test_an_open_gateway_still_refuses_foreign_pages() -> None:
    grafana = Grafana()
    async with behind(grafana, token=None) as gateway:
        answer, _, writer = await shake(gateway, Origin="http://evil.example")
        assert answer.startswith(b"HTTP/1.1 403 ")
        writer.close()
        answer, _, writer = await shake(gateway)
        assert answer.startswith(b"HTTP/1.1 101 ")
        writer.close()


@pytest.mark.parametrize("answer", [b"HTTP/1.1 403 Forbidden\r\n\r\n", b"", b"rubbish\r\n\r\n", b"x" * 100_000])
async def test_a_grafana_that_does_not_open_one_is_a_502(answer: bytes) -> None:
    grafana = Grafana()
    grafana.answer = answer
    if not answer:

        async def leave(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
            return

        grafana.handle = leave  # type: ignore[method-assign]
    async with behind(grafana) as gateway:
        got, _, writer = await shake(gateway)
        assert got.startswith(b"HTTP/1.1 502 ")
        writer.close()


async def test_it_ends_with_grafana_and_with_the_gateway() -> None:
    grafana = Grafana()
    async with behind(grafana) as gateway:
        _, reader, writer = await shake(gateway)
    # The gateway stopped; it does not wait for sockets that would stay open for ever.
    async with asyncio.timeout(20):
        assert await reader.read() == b""
        await grafana.ended.wait()
    writer.close()

    async def leave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(SWITCHING)

    grafana.handle = leave  # type: ignore[method-assign]
    async with behind(grafana) as gateway:
        _, reader, writer = await shake(gateway)
        async with asyncio.timeout(20):
            assert await reader.read() == b""
        writer.close()


async def test_how_many_may_be_open_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.live._MOST", 2)
    grafana = Grafana()
    async with behind(grafana) as gateway:
        opened = [await shake(gateway) for _ in range(2)]
        answer, reader, writer = await shake(gateway)
        assert answer.startswith(b"HTTP/1.1 503 ")
        async with asyncio.timeout(20):
            assert b"limit of 2 WebSockets" in await reader.readuntil(b"}")
        for _, _, one in [*opened, (b"", None, writer)]:
            one.close()


async def test_other_requests_of_the_same_connection_kind_still_work() -> None:
    grafana = Grafana()
    async with behind(grafana) as gateway:
        assert (await gateway.get("main", "/ready")).status_code == 200
        assert (await gateway.get("main", "/ready", Upgrade="h2c", Connection="Upgrade")).status_code == 200
