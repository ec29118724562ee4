"""The connection pool: asyncpg's, with a fair queue in front that can be resized while requests wait in it.

asyncpg's pool has a fixed size and no maximum age of a connection. So this one counts what is in use itself, hands
connections out in the order of asking, and replaces the whole asyncpg pool when size or credential change: the new
pool serves from that moment on, the old one closes each connection as it comes back.
"""

import asyncio
import random
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import asyncpg  # pyright: ignore[reportMissingTypeStubs]  # asyncpg ships no type information
import structlog

from payment_service.settings import ServiceSettings
from payment_service.store.driver import Pool, PooledConnection, Target, create_pool
from payment_service.store.errors import PoolOverloadError, PoolTimeoutError, classify

log = structlog.get_logger("payment_service.pool")

APPLICATION_NAME = "payment-service"
_RELEASE_TIMEOUT = 5.0
_RETIRE_TIMEOUT = 55.0
_CLIENT_GRACE = 5.0
_CLOSE_TIMEOUT = 1.0


@dataclass(frozen=True, slots=True)
class Lease:
    """A connection, and the generation of the pool that it has to go back to."""

    pool: Pool
    connection: PooledConnection


class ConnectionPool:
    """Connections for the requests.

    Args:
        settings: The service's settings.
        password: Called for each new connection.
        max_size: Most connections.
        acquire_timeout: Seconds to wait for one.
    """

    def __init__(
        self, settings: ServiceSettings, password: Callable[[], str], *, max_size: int, acquire_timeout: float
    ) -> None:
        self.max_size = max_size
        self.acquire_timeout = acquire_timeout
        self.in_use = 0
        self._settings = settings
        self._password = password
        self._pool: Pool | None = None
        self._retiring: dict[asyncio.Task[None], Pool] = {}
        self._recovering: set[asyncio.Task[None]] = set()
        self._waiters: deque[tuple[asyncio.Future[None], float]] = deque()

    @property
    def waiting(self) -> int:
        """Requests that wait for a connection."""
        return len(self._waiters)

    @property
    def longest_wait(self) -> float:
        """Seconds for which the first in the queue has waited."""
        return time.monotonic() - self._waiters[0][1] if self._waiters else 0.0

    @property
    def size(self) -> int:
        """Open connections, those of retiring generations included."""
        return sum(pool.get_size() for pool in (self._pool, *self._retiring.values()) if pool is not None)

    @property
    def idle(self) -> int:
        """Open connections that nobody uses."""
        return 0 if self._pool is None else self._pool.get_idle_size()

    async def open(self) -> None:
        """Make the pool. Needs no server."""
        self._pool = await self._make()

    async def warm_up(self, connections: int) -> None:
        """Open connections before somebody waits for them; without a server, do nothing.

        Args:
            connections: How many.
        """
        leases = await asyncio.gather(
            *(self.acquire() for _ in range(min(connections, self.max_size))), return_exceptions=True
        )
        for lease in leases:
            if isinstance(lease, Lease):
                await self.release(lease)

    async def acquire(self) -> Lease:
        """Get a connection, in the order of asking.

        Raises:
            PoolTimeoutError: None became free in time.
            PoolOverloadError: Too many wait already.
            OSError: The server cannot be reached.
            TimeoutError: It does not answer.
            asyncpg.PostgresError: It refused.
        """
        if self.in_use < self.max_size and not self._waiters:
            self.in_use += 1
        else:
            await self._wait()
        try:
            return await self._take()
        except BaseException:
            self._free_slot()
            raise

    async def release(self, lease: Lease) -> None:
        """Give a connection back.

        Args:
            lease: What `acquire` returned.
        """
        try:
            await lease.pool.release(lease.connection, timeout=_RELEASE_TIMEOUT)
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            # The connection is gone. What the request did with it has been told already.
            log.debug("connection was lost on release", reason=str(error), kind=str(classify(error)))
        finally:
            self._free_slot()

    def release_interrupted(self, lease: Lease) -> None:
        """Give a connection back whose statement was interrupted, without waiting for it.

        asyncpg asks the server to cancel the statement; until it has, nothing else can be done with the connection. A
        server that does not answer must not keep the request waiting, so this goes on in the background.

        Args:
            lease: What `acquire` returned.
        """
        task = asyncio.create_task(self._recover(lease))
        self._recovering.add(task)
        task.add_done_callback(self._recovering.discard)

    async def renew(self, *, max_size: int) -> None:
        """Continue with a new generation of connections.

        Requests that wait get one of them, those that have one keep it.

        Args:
            max_size: Most connections from now on.
        """
        old = self._pool
        self.max_size = max_size
        self._pool = await self._make()
        if old is not None:
            task = asyncio.create_task(self._retire(old))
            self._retiring[task] = old
            task.add_done_callback(lambda done: self._retiring.pop(done, None))
        self._wake()

    async def close(self, timeout: float) -> None:  # noqa: ASYNC109  # the whole shutdown has one budget
        """Close all connections; those in use after the time-out are cut.

        Args:
            timeout: Seconds.
        """
        pools = [pool for pool in (self._pool, *self._retiring.values()) if pool is not None]
        _, late = await asyncio.wait([asyncio.create_task(pool.close()) for pool in pools], timeout=timeout)
        for task in late:
            task.cancel()
        for pool in pools:
            pool.terminate()

    async def _wait(self) -> None:
        if len(self._waiters) >= self._settings.pool_max_waiting:
            raise PoolOverloadError(f"{len(self._waiters)} requests wait for a connection already")
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        entry = (waiter, time.monotonic())
        self._waiters.append(entry)
        try:
            async with asyncio.timeout(self.acquire_timeout):
                await waiter
        except BaseException as error:
            if waiter.done() and not waiter.cancelled():
                self._free_slot()  # granted in the same moment
            else:
                self._waiters.remove(entry)
            if isinstance(error, TimeoutError):
                raise PoolTimeoutError(f"no connection became free within {self.acquire_timeout:g} s") from None
            raise

    async def _take(self) -> Lease:
        while True:
            pool = self._pool
            if pool is None:
                raise asyncpg.InterfaceError("the pool is not open")
            try:
                connection = await pool.acquire()
            except asyncpg.InterfaceError:
                if pool is self._pool:
                    raise
                continue  # replaced while this request was connecting
            if time.monotonic() < connection.expires_at and not connection.is_closed():
                return Lease(pool, connection)
            await self._discard(pool, connection)

    async def _discard(self, pool: Pool, connection: PooledConnection) -> None:
        try:
            await connection.close(timeout=_CLOSE_TIMEOUT)
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            connection.terminate()
        finally:
            await pool.release(connection, timeout=_RELEASE_TIMEOUT)

    async def _recover(self, lease: Lease) -> None:
        try:
            async with asyncio.timeout(_RELEASE_TIMEOUT):
                await lease.connection.execute("ROLLBACK")
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            lease.connection.terminate()
        finally:
            await self.release(lease)

    def _free_slot(self) -> None:
        self.in_use -= 1
        self._wake()

    def _wake(self) -> None:
        while self._waiters and self.in_use < self.max_size:
            waiter, _ = self._waiters.popleft()
            if not waiter.done():
                self.in_use += 1
                waiter.set_result(None)

    async def _retire(self, pool: Pool) -> None:
        try:
            async with asyncio.timeout(_RETIRE_TIMEOUT):
                await pool.close()
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            log.warning("old connections were cut", reason=str(error) or "timeout")
            pool.terminate()

    async def _make(self) -> Pool:
        settings = self._settings
        milliseconds = str(round(settings.statement_timeout * 1000))
        target = Target(
            host=settings.db_host,
            port=settings.db_port,
            user=settings.db_user,
            database=settings.db_name,
            ssl=settings.db_ssl,
            connect_timeout=settings.connect_timeout,
            settings={
                "application_name": APPLICATION_NAME,
                "statement_timeout": milliseconds,
                # Many short statements side by side: what one gains by compiling or by parallel workers, others lose.
                "jit": "off",
                "max_parallel_workers_per_gather": "0",
            },
        )
        return await create_pool(
            target,
            self._password,
            max_size=self.max_size,
            command_timeout=settings.statement_timeout + _CLIENT_GRACE,
            idle_lifetime=settings.connection_idle_lifetime,
            lifetime=self._due,
        )

    def _due(self) -> float:
        spread = random.uniform(0.75, 1.25)  # noqa: S311  # spreads reconnections, protects nothing
        return time.monotonic() + self._settings.connection_max_age * spread
