"""Questions to a port in a pod: when an answer is whole, and what is none."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest

from infra.targets.kubernetes import portforward
from infra.targets.kubernetes.client import KubeClient
from infra.targets.kubernetes.portforward import PortClosed, http_get

HEAD = b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\n"
BODY = b'{"ready": false}'


class Way:
    """Gives pieces of an answer, and then ends or is silent."""

    def __init__(self, pieces: list[bytes], *, ends: bool) -> None:
        self.pieces, self.ends, self.sent = pieces, ends, b""

    async def send(self, data: bytes) -> None:
        self.sent += data

    async def receive(self) -> bytes:
        if self.pieces:
            return self.pieces.pop(0)
        if self.ends:
            raise PortClosed("ended")
        await asyncio.Event().wait()
        raise AssertionError


def ask(monkeypatch: pytest.MonkeyPatch, way: Way) -> tuple[int, bytes]:
    @asynccontextmanager
    async def port(*_: Any) -> AsyncGenerator[Way]:
        yield way

    monkeypatch.setattr(portforward, "port", port)
    return asyncio.run(http_get(cast("KubeClient", None), "space", "web-a", 80, "/ready", seconds=0.2))


@pytest.mark.parametrize("name", [b"content-length", b"Content-Length"])
def test_an_answer_that_is_whole_is_not_kept_waiting_for_the_end(monkeypatch: pytest.MonkeyPatch, name: bytes) -> None:
    head = HEAD + name + b": 16\r\n\r\n"
    way = Way([head[:30], head[30:] + BODY[:4], BODY[4:]], ends=False)
    assert ask(monkeypatch, way) == (503, BODY)
    assert way.sent.startswith(b"GET /ready HTTP/1.1\r\n")


def test_an_answer_without_a_length_lasts_until_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ask(monkeypatch, Way([HEAD + b"\r\n" + BODY[:4], BODY[4:]], ends=True)) == (503, BODY)


@pytest.mark.parametrize(
    ("pieces", "ends", "said"),
    [
        ([HEAD + b"content-length: 17\r\n\r\n" + BODY], False, r"no answer within 0\.2 seconds"),
        ([HEAD + b"content-length: 17\r\n\r\n" + BODY], True, "no whole answer"),
        ([], True, "no whole answer"),
        ([b"nonsense"], True, "no whole answer"),
    ],
)
def test_what_is_not_whole_is_no_answer(
    monkeypatch: pytest.MonkeyPatch, pieces: list[bytes], ends: bool, said: str
) -> None:
    with pytest.raises(PortClosed, match=said):
        ask(monkeypatch, Way(pieces, ends=ends))
