"""What clients see while the database is gone, silent or full."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest

from tests.sample_app.postgres import GivenServer
from tests.sample_app.support import Place, Running, running, until

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

pytestmark = [pytest.mark.anyio, pytest.mark.postgres]


@pytest.fixture(autouse=True)
def controllable(place: Place) -> None:
    if isinstance(place.server, GivenServer):
        pytest.skip("a server given by TEST_POSTGRES_DSN cannot be stopped")


@pytest.fixture
async def app(place: Place) -> AsyncGenerator[Running]:
    settings = place.settings(
        breaker_threshold=3, breaker_open_seconds=0.3, retry_attempts=2, connect_timeout=1.0, pool_min_size=1
    )
    async with running(settings) as started:
        yield started


def state_of(app: Running) -> str:
    return app.service.database.breaker.state.value


async def test_the_breaker_opens_when_the_server_is_gone_and_closes_when_it_is_back(app: Running, place: Place) -> None:
    paid = await app.pay(amount=3.0)
    place.server.stop()
    try:
        answers = [await app.public.post("/payment", json={"amount": 1.0}) for _ in range(3)]
        assert {answer.status_code for answer in answers} == {503}
        assert state_of(app) == "open"
        assert await app.metric('circuit_breaker_state{name="' + place.database + '",state="open"}') == 1

        started = time.perf_counter()
        refused = await app.public.post("/payment", json={"amount": 1.0})
        assert time.perf_counter() - started < 0.5, "an open breaker answers at once"
        assert refused.status_code == 503
        assert refused.headers["content-type"] == "application/problem+json"
        assert int(refused.headers["retry-after"]) >= 1

        known = (await app.public.get(f"/payment/{paid['payment_id']}")).json()
        assert known["stale"] is True
        assert (known["amount"], known["status"]) == (3.0, "completed")
        assert (await app.public.get("/payment/1")).status_code == 503

        health = await app.public.get("/health")
        assert health.status_code == 503
        assert health.json()["status"] == "unhealthy"
        assert "connection" in health.json()["components"]["database"]["detail"]
        assert (await app.public.get("/health/live")).status_code == 200
        assert (await app.public.get("/health/ready")).status_code == 200, (
            "an outage of the database is not one of the service"
        )

        await asyncio.sleep(0.35)  # the breaker's pause, which is what is tested
        assert (await app.public.post("/payment", json={"amount": 1.0})).status_code == 503
        assert state_of(app) == "open", "the trial failed"
    finally:
        place.server.start()
    await asyncio.sleep(0.35)  # as above
    await app.pay()
    assert state_of(app) == "closed"
    assert (await app.public.get(f"/payment/{paid['payment_id']}")).json().get("stale") is None
    assert await app.metric('circuit_breaker_transitions_total{name="' + place.database + '",state="half_open"}') >= 2


async def test_a_silent_server_never_opens_the_breaker(app: Running, place: Place) -> None:
    paid = await app.pay(amount=4.0)
    place.server.pause()
    try:
        calls = [asyncio.create_task(app.public.post("/payment", json={"amount": 1.0})) for _ in range(6)]
        started = time.perf_counter()
        health = await app.public.get("/health")
        assert time.perf_counter() - started < 4, "health answers while the database does not"
        assert health.json()["status"] == "unhealthy"
        await until(lambda: all(call.done() for call in calls[2:]), 10)
    finally:
        place.server.resume()
    answers = [await call for call in calls]
    assert state_of(app) == "closed"
    assert 200 in {answer.status_code for answer in answers}, "who had a connection was answered after all"
    assert (await app.public.get(f"/payment/{paid['payment_id']}")).status_code == 200


async def test_payments_wait_out_a_short_silence(place: Place) -> None:
    async with running(place.settings()) as app:
        await app.pay()
        place.server.pause()
        call = asyncio.create_task(app.public.post("/payment", json={"amount": 1.0}))
        try:
            await until(lambda: app.service.pool.in_use > 0)
        finally:
            place.server.resume()
        assert (await call).status_code == 200


async def test_a_full_server_is_a_503_and_no_reason_to_open_the_breaker(place: Place) -> None:
    async with place.connect() as connection, running(place.settings(pool_min_size=0, retry_attempts=2)) as app:
        # The connection of the background jobs takes the only place there is.
        await connection.execute("ALTER ROLE payment_app CONNECTION LIMIT 1")
        try:
            answers = await asyncio.gather(*(app.public.post("/payment", json={"amount": 1.0}) for _ in range(8)))
            assert {answer.status_code for answer in answers} == {503}
            assert "no more connections" in answers[0].json()["detail"]
            assert state_of(app) == "closed"
            assert await app.metric('db_query_retries_total{reason="too_many_connections"}') > 0
        finally:
            await connection.execute("ALTER ROLE payment_app CONNECTION LIMIT 40")
        await app.pay()


async def test_a_locked_table_is_waited_for(place: Place) -> None:
    async with running(place.settings()) as app, place.connect() as connection:
        async with connection.transaction():
            await connection.execute("LOCK TABLE payments IN ACCESS EXCLUSIVE MODE")
            call = asyncio.create_task(app.public.post("/payment", json={"amount": 1.0}))
            await until(lambda: app.service.pool.in_use > 0)
            assert not call.done()
        assert (await call).status_code == 200
        assert state_of(app) == "closed"


async def test_a_statement_that_takes_too_long_is_a_504(place: Place) -> None:
    async with running(place.settings(statement_timeout=0.2)) as app, place.connect() as connection:
        async with connection.transaction():
            await connection.execute("LOCK TABLE payments IN ACCESS EXCLUSIVE MODE")
            answer = await app.public.post("/payment", json={"amount": 1.0})
            assert answer.status_code == 504
        await app.pay()


async def test_a_request_has_a_deadline(place: Place) -> None:
    async with running(place.settings(request_timeout=0.3)) as app, place.connect() as connection:
        async with connection.transaction():
            await connection.execute("LOCK TABLE payments IN ACCESS EXCLUSIVE MODE")
            answer = await app.public.post("/payment", json={"amount": 1.0})
            assert answer.status_code == 504
        await until(lambda: app.service.pool.in_use == 0)
        await app.pay()


async def test_the_service_starts_without_a_database_and_is_ready_when_there_is_one(place: Place) -> None:
    place.server.stop()
    try:
        async with running(place.settings(), ready=False) as app:
            assert (await app.public.get("/health/ready")).status_code == 503
            assert (await app.public.post("/payment", json={"amount": 1.0})).status_code == 503
            place.server.start()
            await until(lambda: app.service.ready)
            await app.pay()
    finally:
        place.server.start()
