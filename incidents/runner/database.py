"""Sessions in the database: as whom, under which name, statement by statement."""

import asyncio
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import asyncpg  # pyright: ignore[reportMissingTypeStubs]  # asyncpg ships no type information
import sqlparse  # pyright: ignore[reportMissingTypeStubs]  # neither does sqlparse
from payment_service.database.scram import make_verifier
from payment_service.store.driver import Connection, Target, connect

from incidents.model import Login
from incidents.runner.problems import UnreachableError
from incidents.runner.settings import RunnerSettings, read_secret

__all__ = ["FAULTS", "LOGINS", "Database", "read_statements", "split"]

LOGINS: Final = {
    # login -> (role, application_name)
    Login.MIGRATION: ("payments_owner", "payments-migrations"),
    Login.BACKFILL: ("payments_owner", "payments-backfill"),
    Login.EXPORT: ("payments_owner", "finance-export"),
    Login.OPERATOR: ("dba", "psql"),
    Login.BATCH: ("payment_app", "payments-batch"),
    Login.STANDBY: ("dba", "standby_eu_1"),
}
"""Roles and names that an ordinary migration, job or person would have."""

FAULTS: Final = (UnreachableError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError)
"""What work in a session fails with: no server, one that is gone, one that refuses; a time-out is an OSError."""

_CONNECT_TIMEOUT = 5.0
_END_OF_LOG = "SELECT pg_current_wal_flush_lsn()::text"
_STANDBY_SECONDS = 4
_TERMINATE = """
    SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
    WHERE usename = $1 AND application_name = $2 AND pid <> pg_backend_pid()
"""

_SET_BY_OPERATORS = """
    SELECT coalesce(array_agg(statement ORDER BY place), '{}') FROM (
        SELECT 1 AS place, concat_ws(' ', 'ALTER ROLE', setrole::regrole, CASE WHEN setdatabase <> 0
                                     THEN format('IN DATABASE %I', current_database()) END, 'RESET ALL') AS statement
        FROM pg_db_role_setting
        WHERE setrole::regrole::text = ANY($1)
          AND setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
        UNION ALL
        SELECT 1, format('ALTER DATABASE %I RESET ALL', datname)
        FROM pg_db_role_setting JOIN pg_database d ON d.oid = setdatabase
        WHERE setrole = 0 AND datname = current_database() AND pg_has_role(datdba, 'MEMBER')
        UNION ALL
        SELECT 2, format('ALTER SYSTEM RESET %I', name) FROM pg_settings
        WHERE sourcefile LIKE '%postgresql.auto.conf' AND has_parameter_privilege(name, 'ALTER SYSTEM')
    ) found
"""
"""Statements that undo it; most of the time there are none. What operators may not set, they have not set."""


def split(sql: str) -> list[str]:
    """The statements of a script, without comments."""
    bare: str = sqlparse.format(sql, strip_comments=True)  # pyright: ignore[reportUnknownMemberType]  # untyped library
    return [statement for statement in sqlparse.split(bare) if statement.strip(" ;\n")]  # pyright: ignore[reportUnknownMemberType]


class Database:
    """Opens sessions and runs scripts.

    Args:
        settings: address and password files.
    """

    def __init__(self, settings: RunnerSettings) -> None:
        self._settings = settings

    async def open(self, login: Login, *, tag: str | None = None) -> Connection:
        """A session of this login.

        Args:
            login: as whom.
            tag: another ``application_name`` than the login's own.

        Raises:
            UnreachableError: no server answers.
            asyncpg.PostgresError: the server refuses this one.
        """
        settings = self._settings
        role, name = LOGINS[login]
        standby = login is Login.STANDBY
        files = {
            "payments_owner": settings.owner_password_file,
            "dba": settings.dba_password_file,
            "payment_app": settings.app_password_file,
        }
        target = Target(
            host=settings.db_host,
            port=settings.db_port,
            user=role,
            database=settings.db_name,
            ssl="disable",
            connect_timeout=_CONNECT_TIMEOUT,
            settings={
                "application_name": tag or name,
                "client_connection_check_interval": "1s",
                **({"replication": "database", "wal_sender_timeout": f"{_STANDBY_SECONDS}s"} if standby else {}),
                **(self._to_put_back() if login is Login.OPERATOR else {}),
            },
        )
        try:
            session = await connect(target, read_secret(files[role]))
        except (OSError, asyncpg.CannotConnectNowError) as error:
            raise UnreachableError(f"The database does not answer: {error or type(error).__name__}.") from None
        return session

    def _to_put_back(self) -> dict[str, str]:
        """What recovery has to put back, as settings of the session: neither statements nor the log show those."""
        settings = self._settings
        return {
            "credential.current": make_verifier(read_secret(settings.app_password_file)),
            "credential.next": make_verifier(read_secret(settings.next_password_file)),
            "stack.connection_limit": str(settings.app_connection_limit),
        }

    async def run(self, login: Login, file: Path) -> None:
        """Run a script in a session of its own, statement by statement.

        Raises:
            UnreachableError: no server answers.
            asyncpg.PostgresError: a statement fails.
        """
        session = await self.open(login)
        try:
            for statement in await read_statements(file):
                await session.execute(statement)
        finally:
            session.terminate()

    async def stand_by(self, file: Path) -> None:
        """Stream the log as a standby that stops answering, until the server gives it up.

        Args:
            file: the replication command.

        Raises:
            UnreachableError: no server answers.
            asyncpg.PostgresError: there is no slot to stream from.
        """
        operator = await self.open(Login.OPERATOR)
        try:
            # Not from where the slot begins: that can be hundreds of megabytes ago, and nobody here wants them.
            start = await operator.fetchval(_END_OF_LOG)
        finally:
            operator.terminate()
        command = (await read_statements(file))[0].replace("$lsn", str(start))
        session = await self.open(Login.STANDBY)
        try:
            async with asyncio.timeout(3 * _STANDBY_SECONDS):
                await session.execute(command)
        except (TimeoutError, asyncpg.ConnectionDoesNotExistError):
            return  # the server ended it: what was wanted
        finally:
            session.terminate()

    async def end_sessions(self, logins: Iterable[Login]) -> int:
        """End every session of these logins, whoever holds it; returns how many there were.

        Raises:
            UnreachableError: no server answers.
        """
        session = await self.open(Login.OPERATOR)
        try:
            wanted = [LOGINS[login] for login in dict.fromkeys(logins)]
            return sum([await session.fetchval(_TERMINATE, role, name) for role, name in wanted])
        finally:
            session.terminate()

    async def put_back_settings(self) -> None:
        """Take back what operators set for roles, the database and the server: the stack itself sets nothing there.

        Raises:
            UnreachableError: no server answers.
            asyncpg.PostgresError: the server refuses it.
        """
        session = await self.open(Login.OPERATOR)
        try:
            roles = sorted({role for role, _ in LOGINS.values()})
            if statements := await session.fetchval(_SET_BY_OPERATORS, roles):
                for statement in (*statements, "SELECT pg_reload_conf()"):
                    await session.execute(statement)
        finally:
            session.terminate()

    async def ask(self, sql: str) -> object:
        """The first value of an operator's query."""
        session = await self.open(Login.OPERATOR)
        try:
            return await session.fetchval(sql)
        finally:
            session.terminate()


async def read_statements(file: Path) -> list[str]:
    """The statements of a script's file."""
    return split(await asyncio.to_thread(file.read_text, encoding="utf-8"))
