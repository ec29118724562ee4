"""The pool of connections, and the settings that change it while requests wait in it."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from typing import TYPE_CHECKING, Any, cast

import pytest

from tests.sample_app.support import Place, Running, running, until

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

pytestmark = [pytest.mark.anyio, pytest.mark.postgres]

BACKENDS = (
    "SELECT array_agg(pid) FROM pg_stat_activity WHERE application_name = 'payment-service'"
    " AND datname = current_database()"
)


@pytest.fixture
async def app(own_place: Place) -> AsyncGenerator[Running]:
    """A service with a pool of two, on a database whose acquirers take their time."""
    async with own_place.connect() as connection:
        await connection.execute("UPDATE acquirers SET response_ms = 700")
    async with running(own_place.settings(pool_max_size=2, pool_min_size=0)) as started:
        yield started


async def occupy(app: Running, number: int) -> list[asyncio.Task[Any]]:
    """Refunds that hold connections while they wait for their acquirers."""
    paid = [await app.pay(merchant_id=1 + each) for each in range(number)]
    calls = [asyncio.create_task(app.public.post(f"/payment/{each['payment_id']}/refund")) for each in paid]
    await until(lambda: app.service.pool.in_use == min(number, app.service.pool.max_size))
    return calls


async def test_who_gets_no_connection_in_time_is_told_and_counted(app: Running) -> None:
    await app.admin.patch("/settings", json={"pool_acquire_timeout": 0.1})
    refunds = await occupy(app, 2)
    answer = await app.public.post("/payment", json={"amount": 1.0})
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "1"
    assert "connection" in answer.json()["detail"]
    assert await app.metric("db_pool_acquire_timeouts_total") == 1
    assert app.service.database.breaker.state.value == "closed"
    assert {(await call).status_code for call in refunds} == {200}


async def test_while_the_pool_is_exhausted_health_is_quick_and_says_degraded(app: Running) -> None:
    refunds = await occupy(app, 2)
    waiting = asyncio.create_task(app.public.post("/payment", json={"amount": 1.0}))
    await until(lambda: app.service.pool.waiting == 1)
    started = time.perf_counter()
    health = await app.public.get("/health")
    assert time.perf_counter() - started < 1
    assert health.status_code == 200
    assert health.json()["status"] == "degraded"
    pool = health.json()["components"]["connection_pool"]
    assert (pool["status"], pool["in_use"], pool["waiting"]) == ("degraded", 2, 1)
    assert health.json()["components"]["database"]["status"] == "healthy"
    assert await app.metric("db_pool_pending_acquires") == 1
    assert await app.metric("db_pool_in_use") == 2
    assert await app.metric("db_pool_max") == 2
    assert (await waiting).status_code == 200
    assert {(await call).status_code for call in refunds} == {200}
    assert await app.metric("db_pool_pending_acquires") == 0


async def test_connections_are_given_out_in_the_order_of_asking(app: Running) -> None:
    pool = app.service.pool
    first = [await pool.acquire() for _ in range(2)]
    order: list[int] = []

    async def ask(number: int) -> None:
        lease = await pool.acquire()
        order.append(number)
        await pool.release(lease)

    asked = [asyncio.create_task(ask(number)) for number in range(5)]
    await until(lambda: pool.waiting == 5)
    for lease in first:
        await pool.release(lease)
    await asyncio.gather(*asked)
    assert order == list(range(5))


async def test_a_larger_pool_serves_those_who_wait_at_once(app: Running, own_place: Place) -> None:
    async with own_place.connect() as connection:
        await connection.execute("UPDATE acquirers SET response_ms = 3000")
    refunds = await occupy(app, 2)
    waiting = [asyncio.create_task(app.public.post("/payment", json={"amount": 1.0})) for _ in range(4)]
    await until(lambda: app.service.pool.waiting == 4)
    answer = await app.admin.patch("/settings", json={"pool_max_size": 8})
    assert answer.status_code == 200
    assert {(await call).status_code for call in waiting} == {200}
    assert not any(call.done() for call in refunds), "they were served beside those that hold the old connections"
    assert {(await call).status_code for call in refunds} == {200}


async def test_resizing_under_load_drops_no_request(own_place: Place) -> None:
    async with running(own_place.settings(pool_max_size=4)) as app:
        stop = asyncio.Event()
        statuses: list[int] = []

        async def customer() -> None:
            while not stop.is_set():
                statuses.append((await app.public.post("/payment", json={"amount": 1.0})).status_code)

        customers = [asyncio.create_task(customer()) for _ in range(8)]
        for size, version in itertools.product((1, 9, 3), (1, 2)):
            before = len(statuses)
            answer = await app.admin.patch("/settings", json={"pool_max_size": size, "credential_version": version})
            assert answer.status_code == 200
            assert app.service.pool.max_size == size
            await until(lambda before=before: len(statuses) > before + 20)
        stop.set()
        await asyncio.gather(*customers)
        assert set(statuses) == {200}
        await until(lambda: app.service.pool.size <= 3)
        async with own_place.connect() as connection:
            backends = await connection.fetchval(BACKENDS)
        assert len(backends) <= 3 + 3, "three of requests, three of the background at most: the old ones are closed"


async def test_connections_are_replaced_when_they_reach_their_age(own_place: Place) -> None:
    async with (
        running(own_place.settings(connection_max_age=0.2, pool_max_size=1)) as app,
        own_place.connect() as connection,
    ):
        await app.pay()
        before = set(await connection.fetchval(BACKENDS))
        await asyncio.sleep(0.3)  # older than any age with its jitter, which is what is tested
        await app.pay()
        await app.pay()
        after = set(await connection.fetchval(BACKENDS))
        assert before - after, "an old connection is gone"
        assert app.service.pool.size == 1


async def test_a_cancelled_wait_gives_its_place_back(app: Running) -> None:
    pool = app.service.pool
    held = [await pool.acquire() for _ in range(2)]
    waiting = [asyncio.create_task(pool.acquire()) for _ in range(2)]
    await until(lambda: pool.waiting == 2)
    waiting[0].cancel()
    await asyncio.gather(waiting[0], return_exceptions=True)
    await pool.release(held[0])
    lease = await waiting[1]
    await pool.release(lease)
    await pool.release(held[1])
    assert (pool.in_use, pool.waiting) == (0, 0)


async def test_too_many_waiting_requests_are_refused_at_once(own_place: Place) -> None:
    async with running(own_place.settings(pool_max_size=1, pool_max_waiting=1)) as app:
        lease = await app.service.pool.acquire()
        waiting = asyncio.create_task(app.public.post("/payment", json={"amount": 1.0}))
        await until(lambda: app.service.pool.waiting == 1)
        assert (await app.public.post("/payment", json={"amount": 1.0})).status_code == 503
        await app.service.pool.release(lease)
        assert (await waiting).status_code == 200


@pytest.mark.parametrize(
    "changes",
    [
        {"pool_max_size": 0},
        {"pool_max_size": 201},
        {"pool_max_size": "8"},
        {"pool_max_size": True},
        {"pool_acquire_timeout": 0},
        {"pool_acquire_timeout": 26},
        {"report_batch_size": 1.5},
        {"lock_order": "random"},
        {"counter_shards": 65},
        {"credential_version": None},
        {"unknown": 1},
        [],
        None,
        7,
    ],
)
async def test_wrong_settings_are_refused_and_change_nothing(app: Running, changes: object) -> None:
    before = (await app.admin.get("/settings")).json()
    answer = await app.admin.patch("/settings", content=json.dumps(changes))
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    if isinstance(changes, dict):
        both = await app.admin.patch("/settings", json={"report_batch_size": 99, **cast("dict[str, object]", changes)})
        assert both.status_code == 422
    assert (await app.admin.get("/settings")).json() == before
    assert app.service.pool.max_size == 2


@pytest.mark.parametrize(("body", "status"), [(b"{", 400), (b"\xff", 400), (b"[" * 5000, 400), (b" " * 20_000, 413)])
async def test_settings_that_are_no_json_are_refused(app: Running, body: bytes, status: int) -> None:
    assert (await app.admin.patch("/settings", content=body)).status_code == status


async def test_the_admin_port_serves_nothing_else_and_the_public_port_no_settings(app: Running) -> None:
    assert (await app.admin.post("/payment", json={"amount": 1.0})).status_code == 404
    assert (await app.public.get("/settings")).status_code == 404


async def test_a_report_reads_row_by_row_or_in_batches_with_the_same_result(place: Place) -> None:
    query = (
        "SELECT coalesce(sum(calls), 0)::int FROM pg_stat_statements"
        " WHERE query LIKE 'SELECT m.id, m.name, m.category%'"
        " AND dbid = (SELECT oid FROM pg_database WHERE datname = current_database())"
    )
    async with running(place.settings()) as app, place.connect() as connection:
        calls = [await connection.fetchval(query)]
        one_by_one = (await app.public.get("/reports/settlement")).json()
        calls.append(await connection.fetchval(query))
        assert (await app.admin.patch("/settings", json={"report_batch_size": 20})).status_code == 200
        batched = (await app.public.get("/reports/settlement")).json()
        calls.append(await connection.fetchval(query))
    assert batched == one_by_one
    merchants = len(one_by_one["merchants"])
    assert calls[1] - calls[0] == merchants
    assert calls[2] - calls[1] == -(-merchants // 20)


async def test_a_rotated_password_is_read_from_the_file_of_its_version(own_place: Place, tmp_path: Path) -> None:
    role = "rotated_" + own_place.database[-6:]
    secret = tmp_path / "password"
    secret.write_text("first", encoding="utf-8")
    async with own_place.connect() as connection:
        await connection.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'first' IN ROLE payment_app")
        settings = own_place.settings(db_user=role, app_password_file=secret, connection_max_age=0.05, pool_max_size=2)
        try:
            async with running(settings) as app:
                await app.pay()
                assert (await app.admin.patch("/settings", json={"credential_version": 2})).status_code == 200
                await app.pay()  # no file of version 2: the same file still counts

                await connection.execute(f"ALTER ROLE {role} PASSWORD 'second'")
                await asyncio.sleep(0.1)  # until the old connections are due, which is what is tested
                refused = await app.public.post("/payment", json={"amount": 1.0})
                assert refused.status_code == 503
                assert "credential" in refused.json()["detail"]
                assert app.service.database.breaker.state.value == "closed"

                (tmp_path / "password-3").write_text("second\n", encoding="utf-8")
                assert (await app.admin.patch("/settings", json={"credential_version": 3})).status_code == 200
                await app.pay()

                (tmp_path / "password-4").write_text("", encoding="utf-8")
                answer = await app.admin.patch("/settings", json={"credential_version": 4})
                assert answer.status_code == 422
                assert (await app.admin.get("/settings")).json()["credential_version"] == 3
                await app.pay()
        finally:
            await connection.execute(f"DROP ROLE {role}")
