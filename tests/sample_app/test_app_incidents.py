"""The incidents' SQL on a real PostgreSQL, whichever version it is: it runs, and recovery leaves the seeded state.

Without the traffic that makes them hurt; that is for the running stack.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from incidents.catalog import catalog, find
from incidents.model import Incident, Login
from incidents.runner.damage import Damage
from incidents.runner.database import LOGINS, Database
from incidents.runner.injection import Injection
from incidents.runner.recovery import Recovery
from incidents.runner.settings import RunnerSettings
from tests.sample_app.support import until_true

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.sample_app.support import Place

pytestmark = [pytest.mark.anyio, pytest.mark.postgres]

INCIDENTS = tuple(catalog().values())
RUNS_SECONDS = 1.0
"""Enough for steps that repeat to come round; what is held and repeated is cut off wherever it is."""
_STATE = {
    "acquirers": "SELECT id, name, response_ms, capture_ms FROM acquirers ORDER BY id",
    "merchants": "SELECT id, name, acquirer_id, weight FROM merchants ORDER BY id",
    "runs": "SELECT count(*), coalesce(max(id), 0) FROM settlement_runs",
    "totals": "SELECT count(*), sum(payments) FROM merchant_daily_totals",
    "payments": "SELECT count(*), min(id), max(id), sum(amount_minor)::text FROM payments",
    "balances": "SELECT sum(balance_minor)::text, count(*) FROM accounts",
    "indexes": "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1",
    "invalid": "SELECT indexrelid::regclass::text FROM pg_index WHERE NOT indisvalid",
    "tables": "SELECT relname::text, reloptions FROM pg_class WHERE relnamespace = 'public'::regnamespace ORDER BY 1",
    "columns": "SELECT attrelid::regclass::text, attname::text, attoptions, attstattarget FROM pg_attribute"
    " JOIN pg_class c ON c.oid = attrelid AND c.relnamespace = 'public'::regnamespace AND c.relkind = 'r'"
    " WHERE attnum > 0 AND NOT attisdropped ORDER BY 1, 2",
    "constraints": "SELECT conname::text, pg_get_constraintdef(oid) FROM pg_constraint"
    " WHERE connamespace = 'public'::regnamespace ORDER BY 1, 2",
    "roles": "SELECT rolname::text, rolconnlimit, rolpassword FROM pg_authid WHERE rolname !~ '^pg_' ORDER BY 1",
    "role settings": "SELECT setdatabase::text, setrole::regrole::text, setconfig FROM pg_db_role_setting",
    "settings": "SELECT name, setting FROM pg_settings WHERE source = 'configuration file' ORDER BY 1",
    "slots": "SELECT slot_name::text FROM pg_replication_slots",
    "sessions": "SELECT usename::text, application_name FROM pg_stat_activity"
    " WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()",
}


_DEADLOCKS = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
_A_PAYMENT = """
    INSERT INTO payments (reference, amount_minor, customer_id, merchant_id, currency, status)
    VALUES (gen_random_uuid(), 100, 1, 1, 'EUR', 'completed')
"""
_SPILLED = "SELECT coalesce(sum(temp_blks_written), 0)::integer FROM pg_stat_statements WHERE query ~ 'INTO payments'"


class NoApp:
    """Live settings that nobody changed."""

    async def read(self) -> dict[str, Any]:
        return {}

    async def change(self, values: Mapping[str, Any]) -> dict[str, Any]:
        raise AssertionError(values)


class NoGateway:
    async def promql(self, _query: str) -> list[Any]:
        return []


@pytest.fixture(scope="module")
def database(place: Place, tmp_path_factory: pytest.TempPathFactory) -> Database:
    # A folder of its own: a second credential would change what other tests' services log in with.
    secrets = tmp_path_factory.mktemp("runner-secrets")
    for name in ("dba-password", "payments-owner-password", "payment-app-password"):
        (secrets / name).write_text((place.secrets / name).read_text(encoding="utf-8"), encoding="utf-8")
    (secrets / "payment-app-password-2").write_text("the next one\n", encoding="utf-8")
    return Database(
        RunnerSettings(
            db_host=place.server.host,
            db_port=place.server.port,
            db_name=place.database,
            dba_password_file=secrets / "dba-password",
            owner_password_file=secrets / "payments-owner-password",
            app_password_file=secrets / "payment-app-password",
        )
    )


async def state(place: Place) -> dict[str, object]:
    async with place.connect() as session:
        found = {name: [tuple(row) for row in await session.fetch(sql)] for name, sql in _STATE.items()}
    # A password that was set again has another salt.
    found["roles"] = [(name, limit, (verifier or "")[:14]) for name, limit, verifier in found["roles"]]
    return dict(found)


async def recover(incident: Incident, injection: Injection | None, database: Database) -> None:
    await Recovery(database, NoApp()).undo(incident, injection, {}, lambda _: None, alone=True, limit=60)  # pyright: ignore[reportArgumentType] - the part of it that is used


async def settled(place: Place, wanted: dict[str, object]) -> dict[str, object]:
    """The state once sessions that were ended are gone, which PostgreSQL takes a moment for."""
    now: dict[str, object] = {}
    for _ in range(50):
        now = await state(place)
        if now == wanted:
            break
        await asyncio.sleep(0.1)
    return now


@pytest.mark.parametrize("incident", INCIDENTS, ids=lambda one: one.name)
async def test_it_can_be_injected_and_recovery_leaves_the_seeded_state(
    place: Place, database: Database, incident: Incident
) -> None:
    before = await state(place)
    # Nothing is there to recover from.
    await recover(incident, None, database)
    assert await settled(place, before) == before
    for _ in range(2):
        injection = Injection(incident, database)
        await injection.begin()
        await asyncio.sleep(RUNS_SECONDS if incident.steps else 0)
        await recover(incident, injection, database)
        await recover(incident, None, database)
        assert await settled(place, before) == before


@pytest.mark.parametrize("incident", [one for one in INCIDENTS if one.steps], ids=lambda one: one.name)
async def test_a_runner_that_was_killed_in_the_middle_leaves_nothing_that_recovery_does_not_find(
    place: Place, database: Database, incident: Incident
) -> None:
    before = await state(place)
    injection = Injection(incident, database)
    beginning = asyncio.create_task(injection.begin())
    await asyncio.sleep(0.05)
    beginning.cancel()
    await asyncio.gather(beginning, return_exceptions=True)
    # Its sessions are left as they are: recovery has to find them by their role and name.
    await recover(incident, None, database)
    await injection.end()
    await recover(incident, None, database)
    assert await settled(place, before) == before


async def test_two_jobs_that_meet_are_one_deadlock(database: Database) -> None:
    incident = find("decoy-one-deadlock")

    async def deadlocks() -> int:
        return int(str(await database.ask(_DEADLOCKS)))

    async def one_more() -> bool:
        return await deadlocks() == before + 1

    before = await deadlocks()
    injection = Injection(incident, database)
    await injection.begin()
    await until_true(one_more)
    await recover(incident, injection, database)


async def test_each_payment_sorts_on_disk_until_an_index_gives_the_order(place: Place, database: Database) -> None:
    """The seed of the tests is a hundredth of the stack's, so the memory is less, too."""
    incident = find("sort-spill")
    oracle = incident.oracle
    assert oracle is not None
    try:
        await Injection(incident, database).begin()
        assert await spilled_by_a_payment(place) > 0
        assert await database.ask(oracle.sql) is False
        await database.run(Login.OPERATOR, incident.folder / "fixes/index_for_the_order/fix.sql")
        assert await spilled_by_a_payment(place) == 0
        assert await database.ask(oracle.sql) is True
        async with place.connect() as session:
            await session.execute("ALTER TABLE payments DISABLE TRIGGER payments_announce_large")
        assert await database.ask(oracle.sql) is False
    finally:
        await recover(incident, None, database)


async def spilled_by_a_payment(place: Place) -> int:
    """Blocks that one INSERT writes to temporary files; it is rolled back."""
    async with place.connect() as session:
        before = await session.fetchval(_SPILLED)
        await session.execute("SET work_mem = '64kB'")
        await session.execute("BEGIN")
        await session.execute(_A_PAYMENT)
        await session.execute("ROLLBACK")
        return int(await session.fetchval(_SPILLED)) - int(before)


async def test_every_login_is_one_that_an_ordinary_job_would_have(database: Database) -> None:
    for login in Login:
        if login is Login.STANDBY:
            continue  # speaks another protocol
        session = await database.open(login)
        role, name = LOGINS[login]
        assert await session.fetchval("SELECT session_user::text") == role
        assert await session.fetchval("SELECT current_setting('application_name')") == name
        session.terminate()


async def harm(database: Database, statements: list[str], incident: Incident) -> list[str]:
    """What the watcher says of these statements, run as a fix is run."""
    async with Damage(database, NoGateway(), incident) as damage:  # pyright: ignore[reportArgumentType] - the part of it that is used
        session = await database.open(Login.OPERATOR)
        damage.watch_session(int(await session.fetchval("SELECT pg_backend_pid()")))
        for statement in statements:
            await session.execute(statement)
        await asyncio.sleep(0.6)
        session.terminate()
        return await damage.found()


async def test_a_fix_that_does_no_harm_is_told_nothing(database: Database) -> None:
    assert await harm(database, ["ANALYZE payments", "SELECT count(*) FROM payments"], INCIDENTS[0]) == []


@pytest.mark.parametrize(
    ("statements", "sentence"),
    [
        (["BEGIN", "LOCK TABLE payments IN SHARE MODE"], "ShareLock on payments kept payments waiting"),
        (["DELETE FROM ledger_entries WHERE payment_id = 1"], "rows of ledger_entries are gone"),
        (["DELETE FROM settlement_runs WHERE merchant_id = 1"], "rows of settlement_runs are gone"),
        (["DELETE FROM merchant_daily_totals WHERE merchant_id = 1"], "rows of merchant_daily_totals are gone"),
        (["ALTER INDEX ledger_entries_pkey RENAME TO another_name"], "dropped: ledger_entries_pkey"),
    ],
)
async def test_harm_is_seen(place: Place, database: Database, statements: list[str], sentence: str) -> None:
    found = await harm(database, statements, INCIDENTS[0])
    assert any(sentence in one for one in found), found
    async with place.connect() as session:
        await session.execute("ALTER INDEX IF EXISTS another_name RENAME TO ledger_entries_pkey")


@pytest.mark.parametrize("by_force", [True, False])
async def test_a_pool_that_is_cut_off_is_told_from_one_that_is_renewed(database: Database, by_force: bool) -> None:
    sessions = [await database.open(Login.BATCH, tag="payment-service") for _ in range(4)]
    try:
        async with Damage(database, NoGateway(), INCIDENTS[0]) as damage:  # pyright: ignore[reportArgumentType] - the part of it that is used
            if by_force:
                await database.ask(
                    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                    " WHERE application_name = 'payment-service'"
                )
            else:
                for session in sessions:
                    await session.close()
            await asyncio.sleep(0.6)
            found = await damage.found()
    finally:
        for session in sessions:
            session.terminate()
    assert found == (["4 sessions of the payment service were cut off at once"] if by_force else [])


@pytest.mark.parametrize(
    "statement",
    [
        "ALTER ROLE payment_app SET enable_seqscan = off",
        "ALTER ROLE payments_owner SET lock_timeout = '1s'",
        "ALTER ROLE dba IN DATABASE {database} SET work_mem = '1MB'",
        "ALTER SYSTEM SET autovacuum_naptime = '7min'",
    ],
)
async def test_recovery_takes_back_what_a_fix_has_set(place: Place, database: Database, statement: str) -> None:
    before = await state(place)
    session = await database.open(Login.OPERATOR)
    await session.execute(statement.format(database=place.database))
    await session.execute("SELECT pg_reload_conf()")
    session.terminate()

    async def is_in_force() -> bool:
        return await state(place) != before

    await until_true(is_in_force)
    await recover(INCIDENTS[0], None, database)
    assert await settled(place, before) == before
