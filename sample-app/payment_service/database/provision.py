"""Brings the server to the wanted state: roles, database, extension, schema, seed.

Idempotent; may be killed at any point.

A database is complete when its ``seed_info`` row exists, which is written last. One that is not complete, or was made
from another schema or in another size, is dropped and made anew: seeding takes seconds, and nothing half-made can
survive.
"""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager

import asyncpg  # pyright: ignore[reportMissingTypeStubs]  # asyncpg ships no type information
import structlog

from payment_service.database import scram, seed
from payment_service.settings import TaskSettings, read_password
from payment_service.store.driver import Connection, Target, connect

log = structlog.get_logger("payment_service.database")

OWNER = "payments_owner"
APP = "payment_app"
EXPORTER = "postgres_exporter"
DBA = "dba"

# Two tasks at a time would undo each other's work; the number is arbitrary.
_LOCK = 7_281_950_431
_SESSION = {
    "application_name": "payment-database",
    # A killed task must not leave its statements running: they would hold locks that the next task waits for.
    "client_connection_check_interval": "1s",
    "synchronous_commit": "off",
    "jit": "off",
    "work_mem": "32MB",
    "maintenance_work_mem": "64MB",
    "statement_timeout": "0",
    "lock_timeout": "0",
    # A role's verifier stands in the statement that sets it.
    "pg_stat_statements.track_utility": "off",
}


_ROLE = """
    SELECT rolpassword, rolcanlogin AND rolconnlimit = $2 AND NOT rolsuper
        AND rolcreaterole = $3 AND rolreplication = $3 AS equal
    FROM pg_authid WHERE rolname = $1
"""
# What operators set for the whole server, without being superusers.
_OPERATED = (
    "max_wal_size",
    "min_wal_size",
    "checkpoint_timeout",
    "work_mem",
    "autovacuum_naptime",
    "autovacuum_vacuum_cost_delay",
    "autovacuum_vacuum_cost_limit",
    "idle_in_transaction_session_timeout",
    "lock_timeout",
    "deadlock_timeout",
    "max_slot_wal_keep_size",
)


class NotSuperuserError(Exception):
    """The role that the task logged in as may not do its work."""


async def provision(settings: TaskSettings) -> None:
    """Do the whole task.

    Args:
        settings: The task's settings.

    Raises:
        SettingsError: A secret file cannot be read.
        NotSuperuserError: The role is no superuser.
        OSError: The server cannot be reached in time.
        asyncpg.PostgresError: The server refused something.
    """
    started = time.perf_counter()
    passwords = {
        OWNER: read_password(settings.owner_password_file),
        APP: read_password(settings.app_password_file),
        EXPORTER: read_password(settings.exporter_password_file),
        DBA: read_password(settings.dba_password_file),
    }
    limits = {
        OWNER: -1,
        APP: settings.app_connection_limit,
        EXPORTER: settings.exporter_connection_limit,
        DBA: settings.dba_connection_limit,
    }
    async with _open(settings, "postgres", wait=settings.connect_wait) as server:
        if not await server.fetchval("SELECT rolsuper FROM pg_roles WHERE rolname = current_user"):
            raise NotSuperuserError(f"The role {settings.superuser} is no superuser.")
        if not await server.fetchval("SELECT pg_try_advisory_lock($1)", _LOCK):
            log.info("waiting for another task")
            await server.fetchval("SELECT pg_advisory_lock($1)", _LOCK)
        for role, password in passwords.items():
            await _ensure_role(server, role, password, limits[role], operates=role == DBA)
        await server.execute(f"GRANT pg_monitor TO {EXPORTER}")
        await _let_operate(server)
        changed = await _reason_to_make(server, settings)
        if changed is not None:
            log.info("making the database", reason=changed, payments=settings.seed_payments)
            await _make_database(server, settings)
    log.info("database is ready", seconds=_since(started), made=changed is not None)


@asynccontextmanager
async def _open(settings: TaskSettings, database: str, *, wait: float = 0.0) -> AsyncGenerator[Connection]:
    """A superuser's session; with ``wait``, tries until the server accepts it."""
    target = Target(
        host=settings.db_host,
        port=settings.db_port,
        user=settings.superuser,
        database=database,
        ssl=settings.db_ssl,
        connect_timeout=5.0,
        settings=_SESSION,
    )
    deadline = time.monotonic() + wait
    while True:
        try:
            connection = await connect(target, read_password(settings.superuser_password_file))
            break
        except (OSError, asyncpg.CannotConnectNowError, asyncpg.ConnectionDoesNotExistError) as error:
            if time.monotonic() >= deadline:
                raise
            log.debug("server does not accept connections yet", reason=str(error))
            await asyncio.sleep(0.1)
    try:
        yield connection
    finally:
        # A graceful close would wait for a statement that a sibling's failure left running.
        connection.terminate()


async def _ensure_role(server: Connection, role: str, password: str, limit: int, *, operates: bool) -> None:
    row = await server.fetchrow(_ROLE, role, limit, operates)
    if row is not None and row["equal"] and scram.matches(password, row["rolpassword"]):
        return
    verb = "CREATE" if row is None else "ALTER"
    operating = "CREATEROLE REPLICATION" if operates else "NOCREATEROLE NOREPLICATION"
    attributes = f"LOGIN NOSUPERUSER NOCREATEDB {operating} CONNECTION LIMIT {limit}"
    await server.execute(f"{verb} ROLE {role} {attributes} PASSWORD '{scram.make_verifier(password)}'")
    log.info("role is set", role=role, done=verb.lower())


async def _let_operate(server: Connection) -> None:
    """Operators see everything, end sessions, tune the server, and change tables and passwords; they own nothing."""
    await server.execute(
        f"GRANT pg_monitor, pg_signal_backend, pg_checkpoint TO {DBA};"
        # From PostgreSQL 16 on CREATEROLE alone does not reach a role that somebody else made.
        f"GRANT {OWNER}, {APP} TO {DBA} WITH ADMIN OPTION;"
        f"GRANT SET, ALTER SYSTEM ON PARAMETER {', '.join(_OPERATED)} TO {DBA}"
    )


async def _reason_to_make(server: Connection, settings: TaskSettings) -> str | None:
    """Why the database has to be made, or None if it is as it should be."""
    if not await server.fetchval("SELECT true FROM pg_database WHERE datname = $1", settings.db_name):
        return "missing"
    async with _open(settings, settings.db_name) as database:
        try:
            info = await database.fetchrow("SELECT fingerprint, payments FROM public.seed_info")
        except (asyncpg.UndefinedTableError, asyncpg.UndefinedColumnError):
            info = None
        if info is None:
            return "incomplete"
        if info["fingerprint"] != seed.fingerprint(settings.seed_number, settings.seed_history_end):
            return "schema changed"
        if info["payments"] != settings.seed_payments:
            return "size changed"
        await _grant(database, settings.db_name)
    return None


async def _make_database(server: Connection, settings: TaskSettings) -> None:
    started = time.perf_counter()
    name = settings.db_name
    # A logical slot that nobody reads would refuse the drop.
    await server.execute(
        "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = $1 AND NOT active", name
    )
    await server.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
    await server.execute(f"CREATE DATABASE {name} OWNER {OWNER} TEMPLATE template0 ENCODING 'UTF8'")
    await server.execute(f"REVOKE ALL ON DATABASE {name} FROM PUBLIC")
    log.info("step", name="database", seconds=_since(started))

    history_end = time.time() if settings.seed_history_end is None else settings.seed_history_end
    async with AsyncExitStack() as stack:
        sessions = [await stack.enter_async_context(_open(settings, name)) for _ in range(settings.seed_workers)]
        first = sessions[0]
        started = time.perf_counter()
        await first.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
        await first.execute(f"ALTER SCHEMA public OWNER TO {OWNER}; GRANT CREATE ON DATABASE {name} TO {OWNER}")
        for session in sessions:
            await session.execute(f"SET ROLE {OWNER}")
        async with first.transaction():
            await first.execute(seed.read_sql("schema.sql"))
        log.info("step", name="schema", seconds=_since(started))

        await seed.run(
            sessions,
            payments=settings.seed_payments,
            seed_number=settings.seed_number,
            history_end=history_end,
            report=lambda step, seconds: log.info("step", name=step, seconds=round(seconds, 3)),
        )
        await first.execute("RESET ROLE")
        await _grant(first, name)
        await first.execute(f"SET ROLE {OWNER}; SET synchronous_commit = on")
        await first.execute(
            "INSERT INTO seed_info (fingerprint, payments, customers, last_payment_id, history_end)"
            " SELECT $1, $2, count(*), $2, to_timestamp($3) FROM customers",
            seed.fingerprint(settings.seed_number, settings.seed_history_end),
            settings.seed_payments,
            history_end,
        )


async def _grant(database: Connection, name: str) -> None:
    """The service reads and writes rows; it owns nothing. Rights to a function are the database's own."""
    await database.execute(
        f"GRANT CONNECT ON DATABASE {name} TO {APP}, {EXPORTER}, {DBA}; GRANT USAGE ON SCHEMA public TO {APP};"
        f"GRANT EXECUTE ON FUNCTION pg_reload_conf() TO {DBA};"
        f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {APP};"
        f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {APP};"
        f"GRANT INSERT, UPDATE, DELETE ON payments, ledger_entries, refunds, accounts, settlement_runs,"
        f" merchant_daily_totals, archived_entries TO {APP}"
    )


def _since(started: float) -> float:
    return round(time.perf_counter() - started, 3)
