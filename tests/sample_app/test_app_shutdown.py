"""The service ends without losing a request that it accepted."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import json
import signal
import socket
import sys
import time
from typing import TYPE_CHECKING

import httpx2
import pytest

from tests.sample_app.support import Place, process, receiver, until, until_true

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.anyio, pytest.mark.postgres]


REQUEST = (
    b"POST /payment HTTP/1.1\r\nHost: app\r\nIdempotency-Key: %b\r\nContent-Length: 14\r\nConnection: close\r\n\r\n"
    b'{"amount":1.0}'
)


async def ask(port: int, key: bytes) -> bytes | None:
    """One payment on a connection of its own: what was answered until it ended; None if it never stood."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except ConnectionError:
        return None
    try:
        writer.write(REQUEST % key)
        await writer.drain()
        return await reader.read()
    except ConnectionResetError:
        return b""
    finally:
        writer.close()


@pytest.mark.parametrize("number", range(3))
async def test_killed_under_load_it_answers_every_request_that_it_accepted(
    place: Place, tmp_path: Path, number: int
) -> None:
    with process(place, tmp_path, drain_seconds=0.3) as app:
        answers: dict[bytes, bytes] = {}
        refused = asyncio.Event()

        async def customer(name: int) -> None:
            for turn in itertools.count():
                if refused.is_set():
                    return
                key = b"%d-%d-%d" % (number, name, turn)
                answer = await ask(app.port, key)
                if answer is None:
                    refused.set()
                else:
                    answers[key] = answer

        customers = [asyncio.create_task(customer(name)) for name in range(8)]
        await until(lambda: len(answers) > 40)
        app.popen.send_signal(signal.SIGTERM)
        await asyncio.gather(*customers)
        assert app.popen.wait(20) == 0
        assert app.lines()[-1]["event"] == "service stopped"

    lost = [key for key, answer in answers.items() if not answer.startswith(b"HTTP/1.1 200 ")]
    # The kernel resets a connection that nobody has accepted when the listener closes: such a request was never seen.
    assert len(lost) <= 1
    async with place.connect() as connection:
        for key in lost:
            reference = hashlib.blake2b(key, digest_size=16, person=b"payment").hexdigest()
            assert await connection.fetchval("SELECT id FROM payments WHERE reference = $1::uuid", reference) is None


async def test_a_request_in_flight_is_answered_however_late_it_is(own_place: Place, tmp_path: Path) -> None:
    async with own_place.connect() as connection:
        await connection.execute("UPDATE acquirers SET response_ms = 1500")
    with process(own_place, tmp_path, drain_seconds=0) as app:
        async with httpx2.AsyncClient(base_url=app.url) as client:
            paid = (await client.post("/payment", json={"amount": 1.0})).json()
            call = asyncio.create_task(client.post(f"/payment/{paid['payment_id']}/refund"))
            await _until_in_flight(client)
            app.popen.send_signal(signal.SIGTERM)
            answer = await call
            assert answer.status_code == 200
            assert answer.json()["status"] == "refunded"
        assert app.popen.wait(20) == 0


async def test_while_it_drains_it_is_not_ready_but_serves_and_closes_connections(place: Place, tmp_path: Path) -> None:
    with process(place, tmp_path, drain_seconds=4) as app:
        async with httpx2.AsyncClient(base_url=app.url) as client:
            kept = await client.get("/payment/1")
            assert "connection" not in kept.headers
            app.popen.send_signal(signal.SIGTERM)
            deadline = time.monotonic() + 3
            while (await client.get("/health/ready")).status_code == 200:
                assert time.monotonic() < deadline
            answer = await client.post("/payment", json={"amount": 1.0})
            assert answer.status_code == 200
            assert answer.headers["connection"] == "close"
        assert app.popen.wait(20) == 0


async def test_the_last_spans_and_lines_leave_before_it_ends(place: Place, tmp_path: Path) -> None:
    with receiver() as otlp, process(place, tmp_path, otlp_endpoint=otlp.url, otlp_interval=30) as app:
        async with httpx2.AsyncClient(base_url=app.url) as client:
            trace_id = (await client.get("/payment/1")).headers["x-request-id"]
        assert otlp.of_trace(trace_id) == []
        app.popen.send_signal(signal.SIGTERM)
        assert app.popen.wait(20) == 0
        assert otlp.of_trace(trace_id)
        assert json.loads(otlp.logs[-1].body.string_value)["event"] == "service stopped"


async def test_wrong_settings_end_it_with_code_2_and_a_sentence_for_each_fault(place: Place) -> None:
    environment = place.environment(port=0, pool_max_size="many", pool_max_sise=3)
    done = await _run(environment)
    assert done[0] == 2
    lines = done[1].splitlines()
    assert len(lines) == 3
    assert lines[0] == "PAYMENT_POOL_MAX_SISE is not a setting. Did you mean PAYMENT_POOL_MAX_SIZE?"
    assert any(line.startswith("PAYMENT_PORT is '0'") for line in lines)
    assert any(line.startswith("PAYMENT_POOL_MAX_SIZE is 'many'") for line in lines)


async def test_a_port_that_is_taken_and_a_missing_secret_are_one_sentence(place: Place, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, text = await _run(place.environment(port=port))
    assert (code, text) == (2, f"Port {port} of 127.0.0.1 cannot be had: Address already in use.\n")
    missing = tmp_path / "missing"
    code, text = await _run(place.environment(app_password_file=missing))
    assert (code, text) == (2, f"The secret file {missing} cannot be read: No such file or directory.\n")


async def _run(environment: dict[str, str]) -> tuple[int, str]:
    command = [sys.executable, "-m", "payment_service"]
    child = await asyncio.create_subprocess_exec(*command, env=environment, stderr=asyncio.subprocess.PIPE)
    _, text = await child.communicate()
    assert child.returncode is not None
    return child.returncode, text.decode()


async def _until_in_flight(client: httpx2.AsyncClient) -> None:
    async def holds_a_connection() -> bool:
        return "db_pool_in_use 1.0" in (await client.get("/metrics")).text

    await until_true(holds_a_connection)
