"""The task that makes the database: what it makes, and that it always ends in the wanted state."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import time
import uuid
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import asyncpg  # pyright: ignore[reportMissingTypeStubs]  # asyncpg ships no type information
import pytest
from payment_service.database import scram
from payment_service.database.provision import provision

from tests.sample_app.invariants import broken_invariants, checksum
from tests.sample_app.support import Place, until

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

pytestmark = [pytest.mark.anyio, pytest.mark.postgres]


@pytest.fixture
def elsewhere(template: Place) -> Generator[Place]:
    """The name of a database that the task may make."""
    name = f"made_{uuid.uuid4().hex[:12]}"
    yield replace(template, database=name)

    async def drop() -> None:
        async with template.connect(database="postgres") as connection:
            await connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    asyncio.run(drop())


async def test_the_seed_keeps_every_invariant(place: Place) -> None:
    async with place.connect() as connection:
        assert await broken_invariants(connection) == []
        assert await connection.fetchval("SELECT count(*) FROM payments") == 10_000


async def test_a_broken_invariant_is_found(own_place: Place) -> None:
    async with own_place.connect() as connection:
        await connection.execute(
            "UPDATE ledger_entries SET amount_minor = amount_minor + 1 WHERE payment_id = 77 AND line = 1"
        )
        await connection.execute("UPDATE merchant_daily_totals SET payments = payments + 1 WHERE merchant_id = 1")
        broken = await broken_invariants(connection)
    assert "the entries of a payment sum to zero" in broken
    assert "a customer's balance is the sum of its entries" in broken
    assert "totals count the payments and refunds of a day" in broken


async def test_the_data_look_like_a_payment_service(place: Place) -> None:
    async with place.connect() as connection:
        shares = await connection.fetch("SELECT count(*) AS n FROM payments GROUP BY merchant_id ORDER BY n DESC")
        assert 1_000 < shares[0]["n"] < 2_000, "the largest merchant has about a seventh of the business"
        amounts = await connection.fetchrow(
            "SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY amount_minor) AS median, avg(amount_minor) AS mean"
            " FROM payments"
        )
        assert amounts is not None
        assert 2_500 < amounts["median"] < 3_500
        assert amounts["mean"] > 1.2 * amounts["median"], "amounts have a long tail"
        states = {
            row["status"]: row["n"]
            for row in await connection.fetch("SELECT status, count(*) AS n FROM payments GROUP BY 1")
        }
        assert 80 < states["declined"] < 160
        assert 50 < states["refunded"] < 110
        hours = await connection.fetch(
            "SELECT extract(hour FROM created_at AT TIME ZONE 'UTC')::int AS h, count(*) AS n FROM payments GROUP BY 1"
        )
        by_hour = {row["h"]: row["n"] for row in hours}
        assert by_hour[15] > 2 * by_hour[3], "afternoons are busier than nights"
        span = await connection.fetchrow(
            "SELECT min(created_at) AS first, max(created_at) AS last, now() AS now FROM payments"
        )
        assert span is not None
        assert 89 < (span["last"] - span["first"]).days + 1 <= 91
        assert span["last"] <= span["now"]
        assert await connection.fetchval(
            "SELECT bool_and(o) FROM (SELECT created_at >= lag(created_at) OVER (ORDER BY id) AS o FROM payments) x"
        )


async def test_the_hot_queries_have_their_indexes(place: Place) -> None:
    queries = {
        "payments_customer_id_created_at_idx": "SELECT count(*) FROM payments WHERE customer_id = 7"
        " AND created_at > now() - interval '90 days'",
        "payments_to_settle_idx": "SELECT id FROM payments WHERE merchant_id = 3 AND created_at >= current_date"
        " AND settlement_run_id IS NULL AND status = 'completed'",
        "payments_reference_key": "SELECT id FROM payments WHERE reference = 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'",
        "ledger_entries_pkey": "SELECT * FROM ledger_entries WHERE payment_id = 5",
    }
    async with place.connect() as connection:
        for index, query in queries.items():
            plan = json.dumps([row[0] for row in await connection.fetch(f"EXPLAIN {query}")])
            assert index in plan, plan


async def test_the_service_role_owns_nothing_and_reads_no_secrets(place: Place) -> None:
    async with place.connect("payment_app") as connection:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("CREATE TABLE mine (id integer)")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("DROP INDEX payments_customer_id_created_at_idx")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("UPDATE merchants SET weight = 0")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.fetch("SELECT * FROM pg_authid")
        assert await connection.fetchval("SELECT rolconnlimit FROM pg_roles WHERE rolname = current_user") == 40


async def test_the_task_does_nothing_the_second_time_and_is_quick_about_it(elsewhere: Place) -> None:
    settings = elsewhere.task_settings()
    await provision(settings)
    async with elsewhere.connect() as connection:
        made = await connection.fetchval("SELECT completed_at FROM seed_info")
        await connection.execute("INSERT INTO customers VALUES (999999, 'kept', 'DE', now())")
    started = time.perf_counter()
    await provision(settings)
    assert time.perf_counter() - started < 1
    async with elsewhere.connect() as connection:
        assert await connection.fetchval("SELECT completed_at FROM seed_info") == made
        assert await connection.fetchval("SELECT name FROM customers WHERE id = 999999") == "kept"


async def test_the_same_seed_gives_the_same_rows_and_another_seed_others(elsewhere: Place) -> None:
    sums: list[list[str]] = []
    for seed_number in (3, 3, 4):
        async with elsewhere.connect(database="postgres") as connection:
            await connection.execute(f"DROP DATABASE IF EXISTS {elsewhere.database} WITH (FORCE)")
        await provision(elsewhere.task_settings(seed_number=seed_number, seed_history_end=1_790_000_000.0))
        async with elsewhere.connect() as connection:
            tables = {"payments": "id", "ledger_entries": "payment_id, line", "accounts": "id", "customers": "id"}
            sums.append([await checksum(connection, table, order) for table, order in tables.items()])
    assert sums[0] == sums[1]
    assert all(one != other for one, other in zip(sums[1], sums[2], strict=True))


async def test_another_size_or_schema_makes_the_database_anew_even_in_use(elsewhere: Place) -> None:
    await provision(elsewhere.task_settings())
    async with elsewhere.connect("payment_app") as in_use:
        await provision(elsewhere.task_settings(seed_payments=12_000))
        with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
            await in_use.fetchval("SELECT 1")
    async with elsewhere.connect() as connection:
        assert await connection.fetchval("SELECT count(*) FROM payments") == 12_000
        assert await broken_invariants(connection) == []
        await connection.execute("UPDATE seed_info SET fingerprint = 'of an older schema'")
        await connection.execute("SELECT pg_create_physical_replication_slot('unrelated')")
    await provision(elsewhere.task_settings(seed_payments=12_000))
    async with elsewhere.connect() as connection:
        assert await connection.fetchval("SELECT fingerprint FROM seed_info") != "of an older schema"
        assert await connection.fetchval("SELECT count(*) FROM pg_replication_slots") == 1, (
            "slots of others are left alone"
        )
        await connection.execute("SELECT pg_drop_replication_slot('unrelated')")


async def test_a_changed_password_is_set_and_an_equal_one_is_left_alone(elsewhere: Place, tmp_path: Path) -> None:
    await provision(elsewhere.task_settings())
    verifier = "SELECT rolpassword FROM pg_authid WHERE rolname = 'postgres_exporter'"
    async with elsewhere.connect() as connection:
        before = await connection.fetchval(verifier)
        await provision(elsewhere.task_settings())
        assert await connection.fetchval(verifier) == before
        changed = tmp_path / "changed"
        changed.write_text("another password", encoding="utf-8")
        await provision(elsewhere.task_settings(exporter_password_file=changed))
        after = await connection.fetchval(verifier)
        assert after != before
        assert scram.matches("another password", after)
        await provision(elsewhere.task_settings())
        assert scram.matches("the postgres-exporter-password", await connection.fetchval(verifier))


@pytest.mark.parametrize("after_step", ["schema", "payments", "ledger entries", "keys of payments"])
async def test_a_task_that_was_killed_is_taken_up_by_the_next(
    elsewhere: Place, tmp_path: Path, after_step: str
) -> None:
    environment = elsewhere.environment("task", seed_payments=60_000)
    output = tmp_path / "output"
    with output.open("wb") as out:
        command = [sys.executable, "-m", "payment_service.database"]
        task = await asyncio.create_subprocess_exec(*command, env=environment, stdout=out, stderr=out)
    try:
        await until(lambda: f'"name":"{after_step}"' in output.read_text(encoding="utf-8"))
    finally:
        task.send_signal(signal.SIGKILL)
        await task.wait()
    await provision(elsewhere.task_settings(seed_payments=60_000))
    async with elsewhere.connect() as connection:
        assert await connection.fetchval("SELECT count(*) FROM payments") == 60_000
        assert await broken_invariants(connection) == []
        assert await connection.fetchval("SELECT to_regnamespace('seed')") is None
        assert await connection.fetchval("SELECT count(*) FROM pg_index WHERE NOT indisvalid") == 0


async def test_two_tasks_at_a_time_take_turns(elsewhere: Place) -> None:
    await asyncio.gather(*(provision(elsewhere.task_settings()) for _ in range(2)))
    async with elsewhere.connect() as connection:
        assert await broken_invariants(connection) == []


async def run_task(environment: dict[str, str]) -> tuple[int | None, list[dict[str, Any]], str]:
    """The task in a process of its own: its exit code, its lines, and what it said on stderr."""
    command = [sys.executable, "-m", "payment_service.database"]
    pipe = asyncio.subprocess.PIPE
    task = await asyncio.create_subprocess_exec(*command, env=environment, stdout=pipe, stderr=pipe)
    output, errors = await task.communicate()
    return task.returncode, [json.loads(line) for line in output.splitlines()], errors.decode()


async def test_the_task_tells_its_steps_and_their_seconds_as_json(elsewhere: Place) -> None:
    code, lines, _ = await run_task(elsewhere.environment("task"))
    assert code == 0
    steps = {line["name"]: line["seconds"] for line in lines if line["event"] == "step"}
    assert {"database", "schema", "payments", "ledger entries", "index payments by customer"} <= set(steps)
    assert all(seconds >= 0 for seconds in steps.values())
    assert lines[-1]["event"] == "database is ready"
    for name in ("postgres-password", "payment-app-password"):
        secret = (elsewhere.secrets / name).read_text(encoding="utf-8").strip()
        assert secret not in json.dumps(lines, ensure_ascii=False)


async def test_a_task_without_a_server_says_so_in_one_line(template: Place) -> None:
    code, lines, errors = await run_task(template.environment("task", db_port=1, connect_wait=0.2))
    assert (code, errors) == (1, "")
    assert lines[-1]["event"] == "database task failed"


async def test_a_task_that_is_told_nonsense_says_what(template: Place) -> None:
    code, lines, errors = await run_task(template.environment("task", seed_payments=5))
    assert (code, lines) == (2, [])
    assert errors.startswith("PAYMENT_SEED_PAYMENTS is '5': Input should be greater than or equal to 10000.")
