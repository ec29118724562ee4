from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import anyio.to_thread
import pytest
from starlette.responses import PlainTextResponse

from gateway import healthcheck
from gateway.config import ProbeSettings
from gateway.metrics import Metrics
from gateway.probes import Probes
from tests.gateway.support import FakeBackend, Seen, free_url, make_config, raw_server, running, serving

if TYPE_CHECKING:
    from starlette.responses import Response

    from tests.gateway.conftest import Stack

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("front", ["main", "internal"])
async def test_a_stack_that_answers_is_ready(stack: Stack, front: str) -> None:
    response = await stack.gateway.request("GET", front, "/ready/stack")
    assert response.status_code == 200
    body = response.json()
    assert (body["ready"], body["failing"], body["own_health_check"]) == (True, [], ["postgres"])
    assert {name: service["status"] for name, service in body["services"].items()} == {"prometheus": "up", "loki": "up"}


async def test_the_gateway_itself_is_ready_whatever_the_stack_says() -> None:
    async with running(make_config(probes=[{"service": "loki", "url": free_url()}])) as gateway:
        assert (await gateway.request("GET", "main", "/ready")).status_code == 200
        assert (await gateway.request("GET", "main", "/ready/stack")).status_code == 503
        assert (await gateway.request("GET", "main", "/api/health")).json()["database"] == "ok"


async def test_what_does_not_answer_is_named_with_the_reason() -> None:
    async def silence(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async def rubbish(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"rubbish\r\n\r\n")

    failing = FakeBackend("failing")
    failing.always("/health", lambda: PlainTextResponse("no", status_code=503))
    async with serving(failing) as bad, raw_server(silence) as silent, raw_server(rubbish) as odd:
        probes = [
            {"service": "down", "url": free_url()},
            {"service": "failing", "url": f"{bad}/health", "timeout_seconds": 10},
            {"service": "silent", "url": silent, "timeout_seconds": 0.2},
            {"service": "odd", "url": odd},
            {"service": "fine", "url": f"{bad}/other", "timeout_seconds": 10},
            {"service": "unknown", "url": "http://no-such-host.invalid"},
        ]
        async with running(make_config(probes=probes)) as gateway:
            response = await gateway.request("GET", "main", "/ready/stack")
            metrics = (await gateway.request("GET", "internal", "/metrics")).text
    assert response.status_code == 503
    reasons = {one["service"]: one["reason"] for one in response.json()["failing"]}
    assert reasons.keys() == {"down", "failing", "silent", "odd", "unknown"}
    assert reasons["down"] == "connection refused"
    assert reasons["failing"] == "answers 503"
    assert reasons["silent"] == "no answer within 0.2 s"
    assert "illegal" in reasons["odd"].lower()
    assert 'gateway_probe_up{service="fine"} 1.0' in metrics
    assert 'gateway_probe_up{service="silent"} 0.0' in metrics


async def test_services_are_asked_at_once_not_one_after_another() -> None:
    backend = FakeBackend("both")
    both_asked = asyncio.Event()

    async def when_both_are_asked(_seen: Seen) -> Response:
        if len(backend.seen) == 2:
            both_asked.set()
        await both_asked.wait()
        return PlainTextResponse("ok")

    backend.answers = {"/one": when_both_are_asked, "/two": when_both_are_asked}
    async with serving(backend) as url:
        settings = [ProbeSettings(service=name, url=f"{url}/{name}", timeout_seconds=10) for name in ("one", "two")]
        probes = Probes(settings, Metrics())
        assert (await probes.ask()).ready
        await probes.close()


async def test_many_askers_cost_one_round() -> None:
    backend = FakeBackend("loki")
    async with serving(backend) as url:
        probes = Probes([ProbeSettings(service="loki", url=f"{url}/ready")], Metrics())
        rounds = await asyncio.gather(*(probes.ask() for _ in range(50)))
        await probes.close()
    assert all(one.ready for one in rounds)
    assert len(backend.seen) == 1


async def test_a_round_outlives_the_asker_who_began_it_and_ages() -> None:
    backend = FakeBackend("loki")
    async with serving(backend) as url:
        probes = Probes([ProbeSettings(service="loki", url=f"{url}/ready")], Metrics())
        first = asyncio.create_task(probes.ask())
        await asyncio.sleep(0)
        first.cancel()
        assert (await probes.ask()).ready
        assert len(backend.seen) == 1
        deadline = time.monotonic() + 5
        while len(backend.seen) == 1:
            assert time.monotonic() < deadline, "an old answer is never renewed"
            await probes.ask()
        await probes.close()


async def test_a_probe_reads_no_more_than_it_must() -> None:
    backend = FakeBackend("exporter")
    backend.always("/metrics", lambda: PlainTextResponse("x" * 1_000_000))
    async with serving(backend) as url:
        probes = Probes([ProbeSettings(service="exporter", url=f"{url}/metrics")], Metrics())
        assert (await probes.ask()).ready
        await probes.close()


async def test_the_health_check_says_what_is_missing(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    internal = stack.gateway.ports["internal"]
    assert await anyio.to_thread.run_sync(healthcheck.main, [str(internal)]) == 0
    assert capsys.readouterr().out == ""
    async with running(make_config(probes=[{"service": "loki", "url": free_url()}])) as gateway:
        assert await anyio.to_thread.run_sync(healthcheck.main, [str(gateway.ports["internal"])]) == 1
    assert capsys.readouterr().out == "not ready: loki: connection refused\n"


async def test_the_health_check_says_that_the_gateway_is_gone_or_odd(capsys: pytest.CaptureFixture[str]) -> None:
    port = free_url().rpartition(":")[2]
    assert await anyio.to_thread.run_sync(healthcheck.main, [port]) == 1
    assert "does not answer" in capsys.readouterr().out

    for answer in (b"rubbish", b"HTTP/1.0 503 x\r\n\r\nno json", b"HTTP/1.0 503 x\r\n\r\n{}", b""):

        async def odd(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answer: bytes = answer) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer)

        async with raw_server(odd) as url:
            assert await anyio.to_thread.run_sync(healthcheck.main, [url.rpartition(":")[2]]) == 1
        assert "is not understood" in capsys.readouterr().out


async def test_the_health_check_imports_next_to_nothing() -> None:
    script = "import sys, gateway.healthcheck, json; print(json.dumps(sorted(sys.modules)))"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-S", "-c", f"import sys; sys.path.insert(0, {str(Path.cwd())!r}); {script}", stdout=-1
    )
    out, _ = await process.communicate()
    loaded = set(json.loads(out)) - {"json", "json.decoder", "json.encoder", "json.scanner", "re"}
    assert "gateway.healthcheck" in loaded
    assert not loaded & {"http.client", "email", "asyncio", "ssl", "httpx2", "pydantic", "argparse", "logging"}
