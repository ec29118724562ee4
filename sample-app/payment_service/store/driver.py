"""asyncpg, as far as the service uses it, with types.

asyncpg ships no type information. Everything that crosses this module is typed here once; other modules import from
asyncpg nothing but its exceptions.
"""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Protocol, cast

import asyncpg  # pyright: ignore[reportMissingTypeStubs]  # asyncpg ships no type information


class Record(Protocol):
    """A row: values by column name or position."""

    def __getitem__(self, key: str | int) -> Any: ...  # noqa: ANN401  # a column's type is known to the statement only

    def __iter__(self) -> Iterator[Any]: ...

    def __len__(self) -> int: ...


class Connection(Protocol):
    """An open connection."""

    async def execute(self, query: str, *args: object) -> str:
        """Run a statement; returns the command tag."""
        ...

    async def fetch(self, query: str, *args: object) -> list[Record]:
        """All rows."""
        ...

    async def fetchrow(self, query: str, *args: object) -> Record | None:
        """The first row."""
        ...

    async def fetchval(self, query: str, *args: object) -> Any:  # noqa: ANN401  # as for Record
        """The first value of the first row."""
        ...

    def transaction(self) -> AbstractAsyncContextManager[object]:
        """A transaction."""
        ...

    def is_closed(self) -> bool:
        """Whether it can no longer be used."""
        ...

    async def close(self, *, timeout: float | None = None) -> None:  # noqa: ASYNC109  # asyncpg's own parameter
        """Close it as the protocol wants it."""
        ...

    def terminate(self) -> None:
        """Cut it."""
        ...


class PooledConnection(Connection, Protocol):
    """A connection of a pool; it knows when it is due to be replaced."""

    expires_at: float


class Pool(Protocol):
    """asyncpg's pool."""

    def acquire(self) -> Awaitable[PooledConnection]:
        """Take a connection out of it."""
        ...

    async def release(self, connection: PooledConnection, *, timeout: float | None = None) -> None:  # noqa: ASYNC109  # asyncpg's own parameter
        """Put it back."""
        ...

    async def close(self) -> None:
        """Close each connection once it is back."""
        ...

    def terminate(self) -> None:
        """Cut all connections."""
        ...

    def get_size(self) -> int:
        """Open connections."""
        ...

    def get_idle_size(self) -> int:
        """Of these, those that nobody has."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What to connect to, and how.

    Attributes:
        host: Name or address of the server.
        port: Its port.
        user: Role to log in as.
        database: Database to connect to.
        ssl: ``disable``, ``prefer`` or ``require``.
        connect_timeout: Seconds until an attempt to connect is given up.
        settings: Server settings of the session, ``application_name`` among them.
    """

    host: str
    port: int
    user: str
    database: str
    ssl: str
    connect_timeout: float
    settings: dict[str, str]

    def arguments(self) -> dict[str, Any]:
        """As asyncpg's arguments."""
        return {
            "host": self.host,
            "port": self.port,
            "user": self.user,
            "database": self.database,
            "ssl": self.ssl,
            "timeout": self.connect_timeout,
            "server_settings": self.settings,
        }


class _ExpiringConnection(asyncpg.Connection):
    """asyncpg's connection with room for the time at which it is due."""

    __slots__ = ("expires_at",)


async def connect(target: Target, password: str) -> Connection:
    """Open one connection outside any pool.

    Args:
        target: What to connect to.
        password: The role's password.

    Raises:
        OSError: The server cannot be reached.
        TimeoutError: It did not answer in time.
        asyncpg.PostgresError: It refused.
    """
    opened: Any = await asyncpg.connect(password=password, **target.arguments())  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]  # untyped library
    return cast("Connection", opened)


async def create_pool(
    target: Target,
    password: Callable[[], str],
    *,
    max_size: int,
    command_timeout: float,
    idle_lifetime: float,
    lifetime: Callable[[], float],
) -> Pool:
    """Make a pool without opening a connection, so that it exists while the server does not.

    Args:
        target: What to connect to.
        password: Called for each new connection.
        max_size: Most connections at a time.
        command_timeout: Seconds after which the client gives up on a statement: against a dead peer; slow statements
            are for the server to limit.
        idle_lifetime: Seconds after which an idle connection is closed.
        lifetime: Gives the monotonic time at which a new connection is due.
    """

    async def set_expiry(connection: PooledConnection) -> None:
        connection.expires_at = lifetime()

    async def keep_session(_connection: PooledConnection) -> None:
        """The service sets nothing in a session, so asyncpg's own reset would be a wasted round trip."""

    pool: Any = await asyncpg.create_pool(  # pyright: ignore[reportUnknownMemberType, reportGeneralTypeIssues, reportUnknownVariableType]  # untyped library
        password=password,
        min_size=0,
        max_size=max_size,
        command_timeout=command_timeout,
        max_inactive_connection_lifetime=idle_lifetime,
        connection_class=_ExpiringConnection,
        init=set_expiry,
        reset=keep_session,
        **target.arguments(),
    )
    return cast("Pool", pool)
