"""A payment is made once, however often it is asked for and whatever breaks in between."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from tests.sample_app.invariants import broken_invariants
from tests.sample_app.proxy import Proxy, proxy
from tests.sample_app.support import Place, Running, running, until_true

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

pytestmark = [pytest.mark.anyio, pytest.mark.postgres]


@pytest.fixture
async def app(place: Place) -> AsyncGenerator[Running]:
    async with running(place.settings()) as started:
        yield started


@pytest.fixture
async def way(place: Place) -> AsyncGenerator[Proxy]:
    async with proxy(place.server) as started:
        yield started


async def count_payments(place: Place) -> int:
    async with place.connect() as connection:
        return await connection.fetchval("SELECT count(*) FROM payments")


async def test_a_repetition_under_one_key_is_answered_with_the_first_payment(app: Running, place: Place) -> None:
    before = await count_payments(place)
    body = {"amount": 55.5, "customer_id": 4}
    first = await app.public.post("/payment", json=body, headers={"Idempotency-Key": "k-1"})
    again = await app.public.post("/payment", json=body, headers={"Idempotency-Key": "k-1"})
    assert (first.status_code, again.status_code) == (200, 200)
    assert first.json() == again.json()
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    assert await count_payments(place) == before + 1


async def test_a_repetition_after_a_refund_is_still_answered_like_the_first_time(app: Running) -> None:
    first = await app.public.post("/payment", json={"amount": 5.0}, headers={"Idempotency-Key": "k-2"})
    assert (await app.public.post(f"/payment/{first.json()['payment_id']}/refund")).status_code == 200
    again = await app.public.post("/payment", json={"amount": 5.0}, headers={"Idempotency-Key": "k-2"})
    assert again.json() == first.json()


@pytest.mark.parametrize(
    "other", [{"amount": 6.0}, {"amount": 5.0, "customer_id": 3}, {"amount": 5.0, "merchant_id": 3}]
)
async def test_another_payment_under_the_same_key_is_refused(app: Running, other: dict[str, object]) -> None:
    await app.public.post("/payment", json={"amount": 5.0}, headers={"Idempotency-Key": "k-3"})
    answer = await app.public.post("/payment", json=other, headers={"Idempotency-Key": "k-3"})
    assert answer.status_code == 422


async def test_repetitions_at_the_same_moment_make_one_payment(app: Running, place: Place) -> None:
    before = await count_payments(place)
    calls = [app.public.post("/payment", json={"amount": 7.0}, headers={"Idempotency-Key": "k-4"}) for _ in range(20)]
    answers = await asyncio.gather(*calls)
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["payment_id"] for answer in answers}) == 1
    assert await count_payments(place) == before + 1


async def test_a_repeated_refund_under_one_key_is_answered_like_the_first_time(app: Running) -> None:
    paid = await app.pay()
    path = f"/payment/{paid['payment_id']}/refund"
    first = await app.public.post(path, headers={"Idempotency-Key": "r-1"})
    again = await app.public.post(path, headers={"Idempotency-Key": "r-1"})
    assert (first.status_code, again.status_code) == (200, 200)
    assert first.json() == again.json()
    assert (await app.public.post(path, headers={"Idempotency-Key": "r-2"})).status_code == 409


@pytest.mark.parametrize("forwarded", [True, False], ids=["committed", "not committed"])
@pytest.mark.parametrize("key", ["u-1", None], ids=["with a key", "without a key"])
async def test_a_payment_whose_commit_was_not_answered_is_made_exactly_once(
    place: Place, way: Proxy, forwarded: bool, key: str | None
) -> None:
    headers = {} if key is None else {"Idempotency-Key": f"{key}-{forwarded}"}
    async with running(place.settings(db_host="127.0.0.1", db_port=way.port)) as app:
        before = await count_payments(place)
        way.plan(b"COMMIT", forwarded=forwarded)
        answer = await app.public.post("/payment", json={"amount": 9.0}, headers=headers)
        assert answer.status_code == 200, answer.text
        assert way.cuts == 0
        assert await app.metric('db_query_retries_total{reason="connection"}') == 1
        assert await count_payments(place) == before + 1
        found = await app.public.get(f"/payment/{answer.json()['payment_id']}")
        assert found.json()["status"] == "completed"
    async with place.connect() as connection:
        assert await broken_invariants(connection) == []


@pytest.mark.parametrize("forwarded", [True, False], ids=["committed", "not committed"])
async def test_a_refund_whose_commit_was_not_answered_is_made_exactly_once(
    place: Place, way: Proxy, forwarded: bool
) -> None:
    async with running(place.settings(db_host="127.0.0.1", db_port=way.port)) as app:
        paid = await app.pay()
        way.plan(b"COMMIT", forwarded=forwarded)
        answer = await app.public.post(f"/payment/{paid['payment_id']}/refund")
        assert answer.status_code == 200, answer.text
        assert way.cuts == 0
    async with place.connect() as connection:
        refunds = await connection.fetchval("SELECT count(*) FROM refunds WHERE payment_id = $1", paid["payment_id"])
        assert refunds == 1
        assert await broken_invariants(connection) == []


async def test_a_read_whose_connection_broke_is_repeated(place: Place, way: Proxy) -> None:
    async with running(place.settings(db_host="127.0.0.1", db_port=way.port)) as app:
        assert (await app.public.get("/payment/5")).status_code == 200
        async with place.connect() as connection:
            await connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'payment-service'"
                " AND datname = current_database()"
            )
        answer = await app.public.get("/payment/6")
        assert answer.status_code == 200
        assert "stale" not in answer.json()


async def test_a_refund_and_a_settlement_run_that_collide_are_both_done(own_place: Place) -> None:
    """They lock in opposite order: one of them is ended as a deadlock's victim, and tries again."""
    async with own_place.connect() as connection:
        await connection.execute("UPDATE acquirers SET response_ms = 300")
    async with running(own_place.settings()) as app:
        paid = [await app.pay(merchant_id=9) for _ in range(2)]
        refund = asyncio.create_task(app.public.post(f"/payment/{paid[0]['payment_id']}/refund"))
        await _until_waiting_for_acquirer(own_place)
        settled = await app.public.post("/settlement-runs", json={"merchant_id": 9})
        refunded = await refund
        assert (refunded.status_code, settled.status_code) == (200, 200)
        assert await app.metric('db_query_retries_total{reason="deadlock"}') >= 1
    async with own_place.connect() as connection:
        assert (
            await connection.fetchval("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()") >= 0
        )
        assert await broken_invariants(connection) == []


async def test_in_canonical_order_they_do_not_collide(own_place: Place) -> None:
    async with own_place.connect() as connection:
        await connection.execute("UPDATE acquirers SET response_ms = 300")
    async with running(own_place.settings()) as app:
        assert (await app.admin.patch("/settings", json={"lock_order": "canonical"})).status_code == 200
        paid = [await app.pay(merchant_id=9) for _ in range(2)]
        refund = asyncio.create_task(app.public.post(f"/payment/{paid[0]['payment_id']}/refund"))
        await _until_waiting_for_acquirer(own_place)
        settled = await app.public.post("/settlement-runs", json={"merchant_id": 9})
        assert ((await refund).status_code, settled.status_code) == (200, 200)
        assert await app.metric('db_query_retries_total{reason="deadlock"}') == 0
        states = [(await app.public.get(f"/payment/{each['payment_id']}")).json() for each in paid]
        assert [state["settlement_run_id"] is None for state in states] == [True, False]
    async with own_place.connect() as connection:
        assert await broken_invariants(connection) == []


async def test_all_routes_together_keep_every_invariant(own_place: Place) -> None:
    async with running(own_place.settings(counter_shards=4)) as app:

        async def customer(number: int) -> None:
            for turn in range(6):
                paid = await app.pay(merchant_id=1 + (number + turn) % 5, customer_id=1 + number % 7, amount=1.0 + turn)
                if turn % 3 == 0:
                    answer = await app.public.post(f"/payment/{paid['payment_id']}/refund")
                    assert answer.status_code == 200, answer.text
                if turn % 2 == 0:
                    answer = await app.public.post("/settlement-runs", json={"merchant_id": 1 + number % 5})
                    assert answer.status_code == 200, answer.text

        await asyncio.gather(*(customer(number) for number in range(16)))
    async with own_place.connect() as connection:
        assert await broken_invariants(connection) == []
        shards = await connection.fetchval(
            "SELECT count(DISTINCT shard) FROM merchant_daily_totals"
            " WHERE business_date = (now() AT TIME ZONE 'UTC')::date"
        )
        assert shards == 4


async def test_the_merchants_weights_decide_where_a_payment_without_merchant_goes(own_place: Place) -> None:
    async with own_place.connect() as connection:
        await connection.execute("UPDATE merchants SET weight = 0 WHERE id <> 33")
    async with running(own_place.settings()) as app:
        assert {(await app.pay())["merchant_id"] for _ in range(10)} == {33}


async def test_a_synchronous_capture_is_waited_for(own_place: Place) -> None:
    async with own_place.connect() as connection:
        await connection.execute("UPDATE acquirers SET capture_ms = 120")
    async with running(own_place.settings()) as app:
        started = asyncio.get_running_loop().time()
        await app.pay()
        assert asyncio.get_running_loop().time() - started >= 0.09


async def test_an_acquirer_that_does_not_answer_changes_nothing(own_place: Place) -> None:
    async with own_place.connect() as connection:
        await connection.execute("UPDATE acquirers SET response_ms = 60000")
    async with running(own_place.settings(acquirer_timeout=0.2)) as app:
        paid = await app.pay()
        answer = await app.public.post(f"/payment/{paid['payment_id']}/refund")
        assert answer.status_code == 504
        assert (await app.public.get(f"/payment/{paid['payment_id']}")).json()["status"] == "completed"


async def _until_waiting_for_acquirer(place: Place) -> None:
    """Until the refund has its payment locked and asks the acquirer, in the middle of its transaction."""
    query = (
        "SELECT true FROM pg_stat_activity WHERE state = 'idle in transaction' AND query LIKE '%acquirers%'"
        " AND datname = current_database()"
    )
    async with place.connect() as connection:
        await until_true(lambda: connection.fetchval(query))
