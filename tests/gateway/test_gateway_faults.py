"""Back ends that are down, slow or answer rubbish, and callers that ask for too much."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import httpx2
import pytest
from starlette.responses import JSONResponse, Response, StreamingResponse

from gateway.protocol import HEAD_BYTES
from tests.gateway.support import (
    BEARER,
    TOKEN,
    FakeBackend,
    RunningGateway,
    Seen,
    free_url,
    make_client,
    make_config,
    port_of,
    raw_server,
    running,
    serving,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.gateway.conftest import Stack

pytestmark = pytest.mark.anyio

QUERY = "/api/v1/query?query=up"
FORM = {**BEARER, "Content-Type": "application/x-www-form-urlencoded"}


def error_of(response: httpx2.Response) -> tuple[int, str, str]:
    body = response.json()
    assert body["status"] == "error"
    return response.status_code, body["backend"], body["error"]


async def test_a_back_end_that_is_down_is_named_and_the_others_keep_working(stack: Stack) -> None:
    changes = {"backends__loki": {"url": stack.loki.url}, "backends__prometheus": {"url": free_url()}}
    async with running(make_config(**changes)) as gateway:
        down, works = await asyncio.gather(gateway.get("prometheus", QUERY), gateway.get("loki", "/loki/api/v1/labels"))
    assert error_of(down) == (502, "prometheus", "prometheus cannot be reached: connection refused")
    assert works.status_code == 200


async def test_a_back_end_that_comes_back_is_used_again_without_a_restart() -> None:
    url = free_url()
    backend = FakeBackend("prometheus")
    async with running(make_config(backends__prometheus={"url": url})) as gateway:
        assert (await gateway.get("prometheus", QUERY)).status_code == 502
        async with serving(backend, port_of(url)):
            assert (await gateway.get("prometheus", QUERY)).status_code == 200
        assert (await gateway.get("prometheus", QUERY)).status_code == 502
        async with serving(backend, port_of(url)):
            assert (await gateway.get("prometheus", QUERY)).status_code == 200


async def test_a_kept_connection_that_the_back_end_closed_is_no_error() -> None:
    connections = 0

    async def one_answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}")
        # The next request on this connection is read and never answered: what a restart in the middle looks like.
        await reader.readuntil(b"\r\n\r\n")

    async with raw_server(one_answer) as url, running(make_config(backends__prometheus={"url": url})) as gateway:
        for _ in range(3):
            assert (await gateway.get("prometheus", QUERY)).status_code == 200
    assert connections == 3


async def test_a_back_end_that_does_not_answer_in_time_is_a_504_within_the_limit() -> None:
    async def silence(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()

    settings = {"timeout_seconds": 0.2}
    async with (
        raw_server(silence) as url,
        running(make_config(backends__prometheus={"url": url, **settings})) as gateway,
    ):
        started = time.perf_counter()
        response = await gateway.get("prometheus", QUERY)
        took = time.perf_counter() - started
    assert error_of(response) == (504, "prometheus", "prometheus did not answer within the limit of 0.2 s")
    assert 0.2 <= took < 5


async def test_the_time_limit_holds_for_an_answer_that_trickles() -> None:
    backend = FakeBackend("prometheus")

    async def trickle(_seen: Seen) -> Response:
        async def parts() -> AsyncIterator[bytes]:
            while True:
                yield b" "
                await asyncio.sleep(0.02)

        return StreamingResponse(parts(), media_type="application/json")

    backend.answers["/api/v1/query"] = trickle
    async with (
        serving(backend) as url,
        running(make_config(backends__prometheus={"url": url, "timeout_seconds": 0.3})) as gateway,
    ):
        started = time.perf_counter()
        # The answer has begun, so it can only be broken off: a client must not take it for complete.
        with pytest.raises(httpx2.RemoteProtocolError):
            await gateway.get("prometheus", QUERY)
        assert time.perf_counter() - started < 5
        metrics = (await gateway.get("internal", "/metrics")).text
    assert 'gateway_upstream_errors_total{backend="prometheus",kind="timeout"} 1.0' in metrics


@pytest.mark.parametrize(
    "rubbish",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"HTTP/1.1 999999 X\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: minus\r\n\r\n",
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Ty",
    ],
)
async def test_rubbish_is_a_502_that_names_the_back_end(rubbish: bytes) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(rubbish)
        await writer.drain()

    async with raw_server(talk) as url, running(make_config(backends__loki={"url": url})) as gateway:
        response = await gateway.get("loki", "/loki/api/v1/labels")
    status, backend, sentence = error_of(response)
    assert (status, backend) == (502, "loki")
    assert sentence.startswith("loki did not answer with proper HTTP")


async def test_a_page_where_json_belongs_is_rubbish_too(stack: Stack) -> None:
    stack.jaeger.always("/api/services", lambda: Response("<html>login</html>", media_type="text/html"))
    status, backend, sentence = error_of(await stack.gateway.get("traces", "/api/services"))
    assert (status, backend) == (502, "jaeger")
    assert "text/html" in sentence
    assert "login" not in sentence


async def test_an_answer_that_breaks_off_does_not_look_complete() -> None:
    async def half(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
        writer.write(head + b'5\r\n{"a":\r\n')
        await writer.drain()

    async with raw_server(half) as url, running(make_config(backends__prometheus={"url": url})) as gateway:
        with pytest.raises(httpx2.RemoteProtocolError):
            await gateway.get("prometheus", QUERY)


async def test_an_answer_over_the_limit_is_refused_before_it_is_read(stack: Stack) -> None:
    backend = {"url": stack.prometheus.url, "max_response_bytes": 1024}
    stack.prometheus.always("/api/v1/query", lambda: JSONResponse("x" * 2000))
    async with running(make_config(backends__prometheus=backend)) as gateway:
        status, name, sentence = error_of(await gateway.get("prometheus", QUERY))
    assert (status, name) == (422, "prometheus"), "a 5xx would be retried"
    assert "limit of 1024 bytes" in sentence


async def test_an_answer_of_unknown_length_is_cut_at_the_limit() -> None:
    backend = FakeBackend("prometheus")
    written = 0

    async def endless(_seen: Seen) -> Response:
        async def parts() -> AsyncIterator[bytes]:
            nonlocal written
            while True:
                written += 10_000
                yield b" " * 10_000
                await asyncio.sleep(0)

        return StreamingResponse(parts(), media_type="application/json")

    backend.answers["/api/v1/query"] = endless
    async with (
        serving(backend) as url,
        running(make_config(backends__prometheus={"url": url, "max_response_bytes": 50_000})) as gateway,
    ):
        with pytest.raises(httpx2.RemoteProtocolError):
            await gateway.get("prometheus", QUERY)
        assert (await gateway.get("prometheus", "/api/v1/labels")).status_code == 200
    assert written < 20_000_000, "the back end is told to stop"


async def hold(gateway: RunningGateway, count: int) -> list[asyncio.Task[httpx2.Response]]:
    return [asyncio.create_task(gateway.get("prometheus", QUERY)) for _ in range(count)]


async def test_too_many_at_once_are_told_to_come_back_and_readiness_does_not_suffer() -> None:
    backend = FakeBackend("prometheus")
    release = asyncio.Event()
    all_there = asyncio.Event()

    async def slow(_seen: Seen) -> Response:
        if len(backend.seen) == 5:
            all_there.set()
        await release.wait()
        return JSONResponse({})

    backend.answers["/api/v1/query"] = slow
    async with (
        serving(backend) as url,
        running(make_config(backends__prometheus={"url": url, "max_concurrent": 5})) as gateway,
    ):
        held = await hold(gateway, 5)
        await all_there.wait()
        refused = await gateway.get("prometheus", QUERY)
        sentence = "prometheus already works on the limit of 5 requests of this gateway; try again"
        assert error_of(refused) == (503, "prometheus", sentence)
        assert refused.headers["retry-after"] == "1"
        assert (await gateway.get("main", "/ready/stack")).status_code == 200
        release.set()
        assert [response.status_code for response in await asyncio.gather(*held)] == [200] * 5
        assert (await gateway.get("prometheus", QUERY)).status_code == 200


async def test_two_hundred_slow_queries_do_not_break_readiness() -> None:
    backend = FakeBackend("prometheus")
    release = asyncio.Event()
    all_there = asyncio.Event()

    async def slow(_seen: Seen) -> Response:
        if sum(seen.path == "/api/v1/query" for seen in backend.seen) == 200:
            all_there.set()
        await release.wait()
        return JSONResponse({})

    backend.answers["/api/v1/query"] = slow
    async with serving(backend) as url:
        changes = {
            "backends__prometheus": {"url": url, "max_concurrent": 200},
            "probes": [{"service": "prometheus", "url": f"{url}/-/ready"}],
        }
        async with (
            running(make_config(**changes)) as gateway,
            make_client(**BEARER) as client,
        ):
            query = gateway.url("prometheus") + QUERY
            held = [asyncio.create_task(client.get(query)) for _ in range(200)]
            await all_there.wait()
            assert (await gateway.get("main", "/ready/stack")).status_code == 200
            assert (await gateway.get("internal", "/ready")).status_code == 200
            release.set()
            assert {response.status_code for response in await asyncio.gather(*held)} == {200}


async def test_a_caller_who_leaves_frees_the_back_end() -> None:
    gone = asyncio.Event()
    asked = asyncio.Event()

    async def wait_for_end(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        asked.set()
        assert await reader.read() == b""
        gone.set()

    async with (
        raw_server(wait_for_end) as url,
        running(make_config(backends__prometheus={"url": url, "max_concurrent": 1})) as gateway,
    ):
        (task,) = await hold(gateway, 1)
        await asked.wait()
        task.cancel()
        async with asyncio.timeout(60):
            await gone.wait()
        metrics = (await gateway.get("internal", "/metrics")).text
    assert 'gateway_requests_total{code="499",front="prometheus"} 1.0' in metrics
    assert 'gateway_upstream_in_flight{backend="prometheus"} 0.0' in metrics


async def test_a_url_over_the_limit_is_refused(stack: Stack) -> None:
    response = await stack.gateway.get("prometheus", "/api/v1/query?query=" + "a" * 17_000)
    assert response.status_code == 414
    assert "16384 bytes; use POST" in response.json()["error"]
    assert stack.prometheus.seen == []


async def test_a_body_over_the_limit_is_refused(stack: Stack) -> None:
    body = b"query=" + b"a" * 1_100_000
    response = await stack.gateway.request("POST", "prometheus", "/api/v1/query", headers=FORM, content=body)
    assert response.status_code == 413
    assert "1048576 bytes" in response.json()["error"]
    assert stack.prometheus.seen == []


@pytest.mark.parametrize("filler", [b"a: b\r\n", b"a"])
async def test_headers_without_end_are_cut_off(stack: Stack, filler: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", stack.gateway.ports["prometheus"])
    writer.write(b"GET /api/v1/query HTTP/1.1\r\nHost: 127.0.0.1\r\nx: ")
    sent = 0
    try:
        async with asyncio.timeout(60):
            while not reader.at_eof() and sent < 50 * HEAD_BYTES:
                writer.write(filler * 2000)
                sent += 2000 * len(filler)
                await writer.drain()
                await asyncio.sleep(0)
    except ConnectionError:
        pass
    finally:
        writer.close()
    assert sent < 50 * HEAD_BYTES, "the gateway closes long before"
    assert (await stack.gateway.get("prometheus", QUERY)).status_code == 200


async def test_a_request_after_a_large_body_is_not_taken_for_a_large_head(stack: Stack) -> None:
    body = b"unread=" + b"a" * (HEAD_BYTES + 1000)
    head = f"HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {TOKEN}\r\n"
    post = (
        f"POST /api/v1/query {head}Content-Type: {FORM['Content-Type']}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    )
    get = f"GET /api/v1/labels {head}Connection: close\r\n\r\n".encode()
    answer = await stack.gateway.raw("prometheus", post + body + get)
    assert answer.count(b"HTTP/1.1 200") == 2
