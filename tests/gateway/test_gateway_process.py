"""The program as the container runs it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import httpx2
import pytest
import yaml
from starlette.responses import JSONResponse

from gateway.__main__ import main
from tests.gateway.support import BEARER, TOKEN, FakeBackend, make_client, make_config, serving

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from starlette.responses import Response

    from tests.gateway.support import Seen


async def start(tmp_path: Path, document: dict[str, object]) -> Process:
    path = tmp_path / "gateway.yaml"
    path.write_text(yaml.safe_dump(document))
    (tmp_path / "token").write_text(TOKEN + "\n")
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway", "--config", str(path), stdout=-1, stderr=-1
    )


def document(tmp_path: Path, **changes: object) -> dict[str, object]:
    config = make_config(authentication={"mode": "required", "token_file": str(tmp_path / "token")}, **changes)
    return json.loads(config.model_dump_json())


@asynccontextmanager
async def started(tmp_path: Path, **changes: object) -> AsyncGenerator[tuple[Process, dict[str, int]]]:
    process = await start(tmp_path, document(tmp_path, **changes))
    try:
        assert process.stdout is not None
        line = json.loads(await process.stdout.readline())
        assert line["event"] == "serving"
        yield process, line["ports"]
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


@pytest.mark.anyio
async def test_a_request_under_way_is_answered_before_it_stops(tmp_path: Path) -> None:
    backend = FakeBackend("prometheus")
    asked, release = asyncio.Event(), asyncio.Event()

    async def slow(_seen: Seen) -> Response:
        asked.set()
        await release.wait()
        return JSONResponse({"late": True})

    backend.answers["/api/v1/query"] = slow
    async with (
        serving(backend) as url,
        started(tmp_path, backends__prometheus={"url": url}, limits__shutdown_seconds=5) as (process, ports),
        make_client(**BEARER) as client,
    ):
        under_way = asyncio.create_task(client.get(f"http://127.0.0.1:{ports['prometheus']}/api/v1/query"))
        await asked.wait()
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(60):
            while True:
                try:
                    await client.get(f"http://127.0.0.1:{ports['main']}/ready", headers={"Connection": "close"})
                except httpx2.TransportError:
                    break
        release.set()
        assert (await under_way).json() == {"late": True}
        out, err = await process.communicate()
    assert process.returncode == 0
    assert err == b""
    events = [json.loads(line)["event"] for line in out.splitlines()]
    assert events[-1] == "stopped"
    assert TOKEN.encode() not in out


@pytest.mark.anyio
async def test_it_does_not_wait_for_ever(tmp_path: Path) -> None:
    backend = FakeBackend("prometheus")
    asked = asyncio.Event()

    async def never(_seen: Seen) -> Response:
        asked.set()
        await asyncio.Event().wait()
        raise AssertionError

    backend.answers["/api/v1/query"] = never
    async with (
        serving(backend) as url,
        started(tmp_path, backends__prometheus={"url": url}, limits__shutdown_seconds=1) as (process, ports),
        make_client(**BEARER) as client,
    ):
        under_way = asyncio.create_task(client.get(f"http://127.0.0.1:{ports['prometheus']}/api/v1/query"))
        await asked.wait()
        process.send_signal(signal.SIGINT)
        async with asyncio.timeout(60):
            await process.communicate()
        assert process.returncode == 0
        with contextlib.suppress(httpx2.TransportError):
            assert (await under_way).status_code >= 500


def test_a_configuration_fault_is_one_sentence_and_exit_code_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "gateway.yaml"
    monkeypatch.setattr(sys, "argv", ["gateway", "--config", str(path)])
    for changed, part in [
        ({"stakc": 1}, "is not a valid gateway configuration: stakc: Extra inputs are not permitted"),
        (
            {"authentication": {"mode": "required", "token_file": str(tmp_path / "absent")}},
            "cannot be read: No such file",
        ),
    ]:
        path.write_text(yaml.safe_dump({**document(tmp_path), **changed}))
        assert main() == 2
        out, err = capsys.readouterr()
        assert (out, err.count("\n")) == ("", 1)
        assert part in err


@pytest.mark.anyio
async def test_a_port_in_use_is_one_sentence(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        process = await start(tmp_path, document(tmp_path, listeners__loki={"host": "127.0.0.1", "port": port}))
        out, err = await process.communicate()
    assert (process.returncode, out) == (1, b"")
    assert err.decode() == f"the loki front cannot listen on 127.0.0.1:{port}: address already in use\n"


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="reads the memory of a process from /proc")  # noqa: PTH110
@pytest.mark.anyio
async def test_it_is_small_and_stays_small(tmp_path: Path) -> None:
    backend = FakeBackend("all")
    async with (
        serving(backend) as url,
        started(tmp_path, backends__prometheus={"url": url}, backends__loki={"url": url}) as (process, ports),
        make_client(**BEARER) as client,
    ):

        def resident() -> float:
            with open(f"/proc/{process.pid}/status") as lines:  # noqa: PTH123 - no file system behind it
                fields = dict(line.split(":", 1) for line in lines)
            return int(fields["RssAnon"].split()[0]) / 1024

        async def ask(count: int) -> None:
            for _ in range(count):
                await client.get(f"http://127.0.0.1:{ports['prometheus']}/api/v1/query?query=up")
            await client.get(f"http://127.0.0.1:{ports['main']}/status")

        await ask(30)
        before = resident()
        await ask(150)
        after = resident()
    assert after < 50
    assert after - before < 2, "requests leave nothing behind"
