"""The program as the container runs it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from typing import TYPE_CHECKING

import pytest

from tests.traffic.conftest import FakeService, until
from traffic.__main__ import main

if TYPE_CHECKING:
    from asyncio.subprocess import Process


async def start(**variables: str) -> Process:
    environment = {**os.environ, **{f"TRAFFIC_{name}": value for name, value in variables.items()}}
    return await asyncio.create_subprocess_exec(sys.executable, "-m", "traffic", env=environment, stdout=-1, stderr=-1)


@pytest.mark.anyio
async def test_it_runs_quietly_and_stops_when_told(service: FakeService) -> None:
    process = await start(TARGET=service.url, RATE="50", HOST="127.0.0.1", PORT="0", SUMMARY_SECONDS="0.3")
    try:
        await until(lambda: len(service.requests) >= 25)
        process.send_signal(signal.SIGTERM)
        out, err = await asyncio.wait_for(process.communicate(), 10)
    finally:
        if process.returncode is None:
            process.kill()
    assert (process.returncode, err) == (0, b"")
    lines = [json.loads(line) for line in out.splitlines()]
    assert [line["event"] for line in lines][:2] == ["waiting", "started"]
    assert lines[-1]["event"] == "stopped"
    assert len(lines) <= 8, "requests are not worth a line each"
    summary = next(line for line in lines if line["event"] == "traffic")
    assert summary["success"] > 0
    assert summary["payment_p95_ms"] > 0


@pytest.mark.anyio
async def test_it_stops_while_it_still_waits() -> None:
    process = await start(TARGET="http://127.0.0.1:9", HOST="127.0.0.1", PORT="0")
    assert process.stdout is not None
    await process.stdout.readline()
    process.send_signal(signal.SIGINT)
    await asyncio.wait_for(process.communicate(), 10)
    assert process.returncode == 0


def test_a_fault_in_the_settings_is_one_sentence_and_exit_code_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TRAFFIC_RATE", "fast")
    assert main() == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert "TRAFFIC_RATE" in err


@pytest.mark.anyio
async def test_a_port_in_use_is_one_sentence(service: FakeService) -> None:
    port = service.url.rpartition(":")[2]
    process = await start(TARGET=service.url, HOST="127.0.0.1", PORT=port)
    _, err = await process.communicate()
    assert process.returncode == 1
    assert err.decode() == f"cannot serve metrics on 127.0.0.1:{port}: Address already in use\n"
