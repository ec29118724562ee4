"""asyncpg, as far as the service uses it, with types.

asyncpg ships no type information. Everything that crosses this module is typed here once; no other module imports asyncpg's
connections or pools.
"""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol, cast

import asyncpg  # pyright: ignore[reportMissingTypeStubs]  # asyncpg ships no type information


class Record(Protocol):
    """A row: values by column name or position."""

    def __getitem__(self, key: str | int) -> Any: ...  # noqa: ANN401  # a column's type is known to the statement only

    def __iter__(self) -> Iterator[Any]: ...

    def __len__(self) -> int: ...


class Connection(Protocol):
    """An open connection."""

    async def execute(self, query: str, *args: object, timeout: float | None = None) -> str: ...  # noqa: ASYNC109  # asyncpg's own parameter

    async def fetch(self, query: str, *args: object) -> list[Record]: ...

    async def fetchrow(self, query: str, *args: object) -> Record | None: ...

    async def fetchval(self, query: str, *args: object) -> Any: ...  # noqa: ANN401  # as for Record

    def transaction(self) -> AbstractAsyncContextManager[object]: ...

    def is_closed(self) -> bool: ...

    async def close(self, *, timeout: float | None = None) -> None: ...  # noqa: ASYNC109  # asyncpg's own parameter

    def terminate(self) -> None: ...


class PooledConnection(Connection, Protocol):
    """A connection of a pool; it knows when it is due to be replaced."""

    expires_at: float


class Pool(Protocol):
    """asyncpg's pool."""

    def acquire(self, *, timeout: float | None = None) -> Awaitable[PooledConnection]: ...

    async def release(self, connection: PooledConnection, *, timeout: float | None = None) -> None: ...  # noqa: ASYNC109  # asyncpg's own parameter

    async def close(self) -> None: ...

    def terminate(self) -> None: ...

    def get_size(self) -> int: ...

    def get_idle_size(self) -> int: ...


class _ExpiringConnection(asyncpg.Connection):
    """asyncpg's connection with room for the time at which it is due."""

    __slots__ = ("expires_at",)


async def connect(
    *,
    host: str,
    port: int,
    user: str,
    password: str,
    database: str,
    application_name: str,
    ssl: str = "disable",
    connect_timeout: float = 5.0,
    settings: dict[str, str] | None = None,
) -> Connection:
    """Open one connection outside any pool.

    Args:
        host: Name or address of the server.
        port: Its port.
        user: Role to log in as.
        password: The role's password.
        database: Database to connect to.
        application_name: What ``pg_stat_activity`` shows.
        ssl: ``disable``, ``prefer`` or ``require``.
        connect_timeout: Seconds until the attempt is given up.
        settings: Server settings of the session.

    Raises:
        OSError: The server cannot be reached.
        TimeoutError: It did not answer in time.
        asyncpg.PostgresError: It refused.
    """
    connection: Any = await asyncpg.connect(  # pyright: ignore[reportUnknownMemberType]  # untyped library
        host=host,
        port=port,
        user=user,
        password=password,
        database=database,
        ssl=ssl,
        timeout=connect_timeout,
        server_settings={"application_name": application_name, **(settings or {})},
    )
    return cast("Connection", connection)


async def create_pool(
    *,
    host: str,
    port: int,
    user: str,
    password: Callable[[], str],
    database: str,
    ssl: str,
    max_size: int,
    connect_timeout: float,
    command_timeout: float,
    idle_lifetime: float,
    lifetime: Callable[[], float],
    settings: dict[str, str],
) -> Pool:
    """Make a pool without opening a connection, so that it exists while the server does not.

    Args:
        host: Name or address of the server.
        port: Its port.
        user: Role to log in as.
        password: Called for each new connection.
        database: Database to connect to.
        ssl: ``disable``, ``prefer`` or ``require``.
        max_size: Most connections at a time.
        connect_timeout: Seconds until an attempt to connect is given up.
        command_timeout: Seconds after which the client gives up on a statement (a dead peer; slowness is the server's to limit).
        idle_lifetime: Seconds after which an idle connection is closed.
        lifetime: Gives the monotonic time at which a new connection is due.
        settings: Server settings of each session.
    """

    async def set_expiry(connection: PooledConnection) -> None:  # noqa: RUF029  # asyncpg awaits it
        connection.expires_at = lifetime()

    async def keep_session(_connection: PooledConnection) -> None:
        """Leave the session as it is: the service sets nothing in it, so asyncpg's reset would be a wasted round trip."""

    pool: Any = await asyncpg.create_pool(  # pyright: ignore[reportUnknownMemberType, reportGeneralTypeIssues]  # untyped library
        host=host,
        port=port,
        user=user,
        password=password,
        database=database,
        ssl=ssl,
        min_size=0,
        max_size=max_size,
        timeout=connect_timeout,
        command_timeout=command_timeout,
        max_inactive_connection_lifetime=idle_lifetime,
        connection_class=_ExpiringConnection,
        init=set_expiry,
        reset=keep_session,
        server_settings=settings,
    )
    return cast("Pool", pool)
