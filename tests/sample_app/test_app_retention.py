"""Payments beyond the seed are pruned, and the database keeps its size."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest

from tests.sample_app.invariants import INVARIANTS, broken_invariants
from tests.sample_app.support import Place, Running, running, until_true

if TYPE_CHECKING:
    from payment_service.store.driver import Connection

pytestmark = [pytest.mark.anyio, pytest.mark.postgres]

SEED = 10_000
KEPT = 500  # five percent of the seed


async def fill(connection: Connection, number: int) -> None:
    """Insert payments with their entries as the service does, but quickly."""
    await connection.execute(
        """
        WITH p AS (
            INSERT INTO payments (reference, amount_minor, customer_id, merchant_id, currency, status)
            SELECT gen_random_uuid(), 100 + i, 1 + i % 500, 1 + i % 50, 'EUR', 'completed'
            FROM generate_series(1, $1::integer) i RETURNING id, amount_minor, customer_id, merchant_id
        ), e AS (
            INSERT INTO ledger_entries (payment_id, line, account_id, amount_minor)
            SELECT id, 1, customer_id, -amount_minor FROM p
            UNION ALL SELECT id, 2, 500 + merchant_id, amount_minor FROM p
        ), b AS (
            UPDATE accounts a SET balance_minor = balance_minor - p.sum
            FROM (SELECT customer_id, sum(amount_minor) AS sum FROM p GROUP BY 1) p WHERE a.customer_id = p.customer_id
        )
        INSERT INTO merchant_daily_totals AS t (merchant_id, business_date, shard, payments, amount_minor)
        SELECT merchant_id, (now() AT TIME ZONE 'UTC')::date, 0, count(*), sum(amount_minor) FROM p GROUP BY 1
        ON CONFLICT (merchant_id, business_date, shard)
        DO UPDATE SET payments = t.payments + excluded.payments, amount_minor = t.amount_minor + excluded.amount_minor
    """,
        number,
    )


async def count(connection: Connection, table: str, condition: str = "true") -> int:
    return await connection.fetchval(f"SELECT count(*) FROM {table} WHERE {condition}")  # noqa: S608 - a test's own words


async def broken_after_pruning(connection: Connection) -> list[str]:
    """The broken invariants, but for what pruning is allowed to leave behind: counts of what happened."""
    counts = {"totals count the payments and refunds of a day", "a settlement run counts its payments"}
    assert counts < set(INVARIANTS)
    return [rule for rule in await broken_invariants(connection) if rule not in counts]


async def test_what_is_beyond_the_seed_is_pruned_oldest_first_with_all_that_belongs_to_it(own_place: Place) -> None:
    async with running(own_place.settings()) as app, own_place.connect() as connection:
        first = [await app.pay(merchant_id=5) for _ in range(3)]
        await app.public.post(f"/payment/{first[0]['payment_id']}/refund")
        await app.public.post("/settlement-runs", json={"merchant_id": 5})
        await app.public.post(f"/payment/{first[1]['payment_id']}/refund")
        await fill(connection, 2_000)
        seeded = "SELECT md5(string_agg(p::text, '' ORDER BY id)) FROM payments p WHERE id <= 10000"
        before = await connection.fetchval(seeded)
        removed = await app.service.retention.prune()
        assert removed == 2_003 - KEPT
        assert await count(connection, "payments") == SEED + KEPT
        kept = await connection.fetchrow("SELECT min(id) AS first, max(id) AS last FROM payments WHERE id > 10000")
        assert kept is not None
        assert (kept["first"], kept["last"]) == (SEED + 2_003 - KEPT + 1, SEED + 2_003), "the newest stay"
        assert await connection.fetchval(seeded) == before, "the seed is never touched"
        assert (
            await connection.fetchval(
                "SELECT count(*) FROM ledger_entries e LEFT JOIN payments p ON p.id = e.payment_id WHERE p.id IS NULL"
            )
            == 0
        )
        assert await connection.fetchval("SELECT count(*) FROM refunds WHERE payment_id > 10000") == 0
        assert await broken_after_pruning(connection) == []
        assert await app.service.retention.prune() == 0
        assert await app.metric('retention_deleted_rows_total{table="payments"}') == removed
        assert await app.metric('retention_deleted_rows_total{table="ledger_entries"}') == 2 * removed + 4
        assert await app.metric('retention_deleted_rows_total{table="refunds"}') == 2
        await app.pay()


async def test_days_that_are_long_over_are_pruned_but_not_those_of_the_seed(own_place: Place) -> None:
    async with running(own_place.settings()) as app, own_place.connect() as connection:
        runs, totals = await count(connection, "settlement_runs"), await count(connection, "merchant_daily_totals")
        await connection.execute("UPDATE seed_info SET history_end = now() - interval '60 days'")
        await app.service.retention.prune_days()
        cutoff = "business_date BETWEEN current_date - 58 AND current_date - 31"
        for table, before in (("settlement_runs", runs), ("merchant_daily_totals", totals)):
            assert await count(connection, table, cutoff) == 0
            assert 0 < await count(connection, table) < before
            assert await count(connection, table, "business_date < current_date - 61") > 0


async def test_only_one_replica_prunes_at_a_time(own_place: Place) -> None:
    async with running(own_place.settings()) as app, own_place.connect() as connection, own_place.connect() as other:
        await fill(connection, 1_000)
        async with other.transaction():
            await other.execute("SELECT pg_advisory_xact_lock(5140962377)")
            assert await app.service.retention.prune() == 0
        assert await app.service.retention.prune() == 500


async def test_a_locked_payment_is_left_for_the_next_round(own_place: Place) -> None:
    async with running(own_place.settings()) as app, own_place.connect() as connection, own_place.connect() as other:
        await fill(connection, 600)
        async with other.transaction():
            await other.execute("SELECT id FROM payments WHERE id = 10001 FOR UPDATE")
            assert await app.service.retention.prune() == 99
        assert await app.service.retention.prune() == 1


async def test_it_keeps_up_with_many_times_a_hundred_payments_a_second(own_place: Place) -> None:
    async with running(own_place.settings()) as app, own_place.connect() as connection:
        await fill(connection, 4_000)
        started = time.perf_counter()
        removed = await app.service.retention.prune()
        assert removed / (time.perf_counter() - started) > 200


async def test_it_runs_beside_requests_without_being_asked(own_place: Place) -> None:
    settings = own_place.settings(retention_enabled=True, retention_interval=0.1)
    async with running(settings) as app, own_place.connect() as connection:
        for _ in range(10):
            await fill(connection, 100)
            await app.pay()

        async def has_pruned() -> bool:
            return await app.metric('retention_deleted_rows_total{table="payments"}') == 10 * 101 - KEPT

        await until_true(has_pruned)
        assert await count(connection, "payments") == SEED + KEPT


async def test_an_error_does_not_end_it(own_place: Place) -> None:
    async with running(own_place.settings(retention_enabled=True, retention_interval=0.05)) as app:
        async with own_place.connect() as connection:
            await connection.execute("ALTER TABLE archived_entries RENAME TO hidden")
            await fill(connection, 700)
            await asyncio.sleep(0.3)  # several rounds fail
            assert await count(connection, "payments") == SEED + 700
            await connection.execute("ALTER TABLE hidden RENAME TO archived_entries")

            async def is_pruned() -> bool:
                return await count(connection, "payments") <= SEED + KEPT

            await until_true(is_pruned)
        await app.pay()


async def test_tables_stay_within_a_tenth_of_their_seeded_size(own_place: Place) -> None:
    """Many times what is kept is written and pruned, with the vacuums that the tables' settings would have caused."""
    sizes = (
        "SELECT relname, pg_relation_size(oid) AS size FROM pg_class WHERE relname IN ('payments', 'ledger_entries')"
    )
    async with running(own_place.settings()) as app, own_place.connect() as connection:
        before = {row["relname"]: row["size"] for row in await connection.fetch(sizes)}
        for _ in range(40):
            await fill(connection, 100)
            await settle_all(app)
            await app.service.retention.prune()
            await connection.execute("VACUUM payments")
            await connection.execute("VACUUM ledger_entries")
        after = {row["relname"]: row["size"] for row in await connection.fetch(sizes)}
    assert {name: after[name] / before[name] <= 1.1 for name in before} == dict.fromkeys(before, True)


async def settle_all(app: Running) -> None:
    for merchant_id in range(1, 6):
        await app.public.post("/settlement-runs", json={"merchant_id": merchant_id})
