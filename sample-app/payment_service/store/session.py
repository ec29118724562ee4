"""A connection as an operation uses it: each statement is a span."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, TypeVar

import asyncpg  # pyright: ignore[reportMissingTypeStubs]  # asyncpg ships no type information

from payment_service.settings import ServiceSettings
from payment_service.store.driver import Connection, Record
from payment_service.store.errors import classify, sqlstate
from payment_service.store.statements import COMMIT, ROLLBACK, Statement
from payment_service.telemetry.context import RequestContext
from payment_service.telemetry.spans import CLIENT, INTERNAL, AttributeValue, SpanTemplate, Tracer

T = TypeVar("T")


class StatementTracer:
    """Makes the spans of statements, and of getting a connection.

    Args:
        tracer: Records spans.
        settings: Says which server and database they are about.
    """

    def __init__(self, tracer: Tracer, settings: ServiceSettings) -> None:
        self.tracer = tracer
        self._common: dict[str, AttributeValue] = {
            "db.system.name": "postgresql",
            "db.namespace": f"{settings.db_name}|public",
            "server.address": settings.db_host,
            "server.port": settings.db_port,
        }
        self._templates: dict[Statement, SpanTemplate] = {}
        self._acquire = SpanTemplate(
            "db.pool.acquire",
            INTERNAL,
            {**self._common, "db.client.connection.pool.name": settings.db_name},
        )

    def record(
        self, statement: Statement, request: RequestContext, start: int, error: BaseException | None = None
    ) -> None:
        """Record a statement that ended now.

        Args:
            statement: The statement.
            request: The request it ran for.
            start: When it started, nanoseconds since the epoch.
            error: What it failed with.
        """
        template = self._templates.get(statement)
        if template is None:
            template = self._templates[statement] = self._make(statement)
        self.tracer.record(
            template,
            request,
            start,
            time.time_ns(),
            attributes=None if error is None else describe_error(error),
            error=error,
        )

    def record_acquire(self, request: RequestContext, start: int, error: BaseException | None) -> None:
        """Record that a connection was got, or not.

        Args:
            request: The request that asked.
            start: When it asked, nanoseconds since the epoch.
            error: Why it got none.
        """
        self.tracer.record(
            self._acquire,
            request,
            start,
            time.time_ns(),
            attributes=None if error is None else describe_error(error),
            error=error,
        )

    def _make(self, statement: Statement) -> SpanTemplate:
        attributes = {
            **self._common,
            "db.operation.name": statement.operation,
            "db.query.summary": statement.summary,
            "db.query.text": statement.sql,
        }
        if statement.collection:
            attributes["db.collection.name"] = statement.collection
        return SpanTemplate(statement.summary, CLIENT, attributes)


def describe_error(error: BaseException) -> dict[str, AttributeValue]:
    """``error.type`` and, if the server sent one, its code.

    Args:
        error: What a statement failed with.
    """
    code = sqlstate(error)
    if code is not None:
        return {"error.type": code, "db.response.status_code": code}
    kind = classify(error)
    return {"error.type": kind.value if kind is not None else type(error).__qualname__}


class Session:
    """A connection for one operation.

    Args:
        connection: The connection.
        tracer: Makes the spans.
        request: The request that it is for; None outside one.
    """

    __slots__ = ("_connection", "_request", "_tracer")

    def __init__(self, connection: Connection, tracer: StatementTracer, request: RequestContext | None) -> None:
        self._connection = connection
        self._tracer = tracer
        self._request = request if tracer.tracer.records(request) else None

    async def fetch(self, statement: Statement, *args: object) -> list[Record]:
        """All rows of a statement.

        Args:
            statement: The statement.
            args: Its parameters.
        """
        return await self._run(statement, self._connection.fetch, args)

    async def fetchrow(self, statement: Statement, *args: object) -> Record | None:
        """The first row of a statement.

        Args:
            statement: The statement.
            args: Its parameters.
        """
        return await self._run(statement, self._connection.fetchrow, args)

    async def fetchval(self, statement: Statement, *args: object) -> Any:  # noqa: ANN401  # the statement knows its type
        """The first value of a statement.

        Args:
            statement: The statement.
            args: Its parameters.
        """
        return await self._run(statement, self._connection.fetchval, args)

    async def execute(self, statement: Statement, *args: object) -> str:
        """Run a statement.

        Args:
            statement: The statement.
            args: Its parameters.

        Returns:
            PostgreSQL's command tag.
        """
        return await self._run(statement, self._connection.execute, args)

    def transaction(self) -> "Transaction":
        """A transaction: commits at the end of the block, rolls back on an exception."""
        return Transaction(self)

    async def begin(self) -> None:
        """Begin a transaction; `transaction` does, and ends it too."""
        await self._connection.execute("BEGIN")

    async def _run(self, statement: Statement, method: Callable[..., Awaitable[T]], args: tuple[object, ...]) -> T:
        if self._request is None:
            return await method(statement.sql, *args)
        start = time.time_ns()
        try:
            result = await method(statement.sql, *args)
        except BaseException as error:
            self._tracer.record(statement, self._request, start, error)
            raise
        self._tracer.record(statement, self._request, start)
        return result


class Transaction:
    """A transaction of a session. The commit is a span of its own: it is where a slow disk shows."""

    __slots__ = ("_session",)

    def __init__(self, session: Session) -> None:
        self._session = session

    async def __aenter__(self) -> None:
        # No span: it does nothing on the server but take note.
        await self._session.begin()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            await self._session.execute(COMMIT)
            return
        if isinstance(error, asyncio.CancelledError | TimeoutError):
            return  # interrupted: the pool rolls back once the server has let go of the statement
        try:
            await self._session.execute(ROLLBACK)
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            # The connection is gone, and the transaction with it; the first error is the one that counts.
            return
