"""The database as the rest of the service sees it.

Run an operation, safely repeated, behind the breaker, traced and counted.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog

from payment_service.settings import ServiceSettings
from payment_service.store.breaker import CircuitBreaker, State
from payment_service.store.errors import Failure, PoolTimeoutError, classify, describe
from payment_service.store.pool import ConnectionPool, Lease
from payment_service.store.retry import retry
from payment_service.store.session import Session, StatementTracer
from payment_service.telemetry.context import RequestContext, current_request
from payment_service.telemetry.metrics import Metrics
from payment_service.telemetry.spans import Tracer

log = structlog.get_logger("payment_service.database")

T = TypeVar("T")
Operation = Callable[[Session], Awaitable[T]]

_LOGGED = frozenset({Failure.UNREACHABLE, Failure.TIMEOUT, Failure.CAPACITY, Failure.CREDENTIAL, Failure.POOL})


class Database:
    """PostgreSQL, for requests.

    Args:
        settings: The service's settings.
        pool: Connections.
        tracer: Records spans.
        metrics: Counts.
        name: The breaker's name in metrics.
    """

    def __init__(
        self, settings: ServiceSettings, pool: ConnectionPool, tracer: Tracer, metrics: Metrics, name: str
    ) -> None:
        self.pool = pool
        self._settings = settings
        self._metrics = metrics
        self._name = name
        self._statements = StatementTracer(tracer, settings)
        self.breaker = CircuitBreaker(settings.breaker_threshold, settings.breaker_open_seconds, self._on_state)
        for state in State:
            metrics.breaker_state.labels(name, state.value).set(state is State.CLOSED)

    async def run(self, operation: Operation[T]) -> T:
        """Run an operation with a connection of its own.

        Args:
            operation: Takes a session. Has to be safe to repeat as a whole: it is repeated after a lost connection, a
            deadlock
                or a serialisation failure.

        Raises:
            DatabaseError: The service refuses to try.
            OSError: The server cannot be reached.
            TimeoutError: It does not answer.
            asyncpg.PostgresError: It refused.
        """
        settings = self._settings
        try:
            return await retry(
                lambda: self.run_once(operation),
                attempts=settings.retry_attempts,
                give_up_after=settings.request_timeout / 2,
                on_failure=self._on_failure,
            )
        except Exception as error:
            kind = classify(error)
            if kind in _LOGGED:
                log.error("database connection failed", reason=describe(error), kind=kind.value)  # noqa: TRY400  # no traceback per request of an outage
            raise

    async def run_once(self, operation: Operation[T]) -> T:
        """Run an operation with a connection of its own, without repeating it.

        Args:
            operation: Takes a session.

        Raises:
            As `run` does.
        """
        request = current_request.get()
        trial = self.breaker.admit()
        try:
            lease = await self._acquire(request)
            try:
                result = await operation(Session(lease.connection, self._statements, request))
            except (asyncio.CancelledError, TimeoutError):
                self.pool.release_interrupted(lease)
                raise
            except BaseException:
                await self.pool.release(lease)
                raise
            await self.pool.release(lease)
        except Exception as error:
            kind = classify(error)
            if kind is Failure.UNREACHABLE:
                self.breaker.fail(trial=trial)
            elif kind in {Failure.TIMEOUT, Failure.POOL}:
                self.breaker.abandon(trial=trial)
            else:
                self.breaker.succeed(trial=trial)
            raise
        except BaseException:
            self.breaker.abandon(trial=trial)
            raise
        self.breaker.succeed(trial=trial)
        return result

    async def _acquire(self, request: RequestContext | None) -> Lease:
        start, started = time.time_ns(), time.perf_counter()
        error: BaseException | None = None
        try:
            return await self.pool.acquire()
        except BaseException as failed:
            error = failed
            if isinstance(failed, PoolTimeoutError):
                self._metrics.pool_acquire_timeouts.inc()
            raise
        finally:
            self._metrics.pool_acquire_duration.observe(time.perf_counter() - started)
            if request is not None:
                self._statements.record_acquire(request, start, error)

    def _on_failure(self, kind: Failure) -> None:
        self._metrics.query_retries.labels(kind.value).inc()

    def _on_state(self, state: State) -> None:
        for each in State:
            self._metrics.breaker_state.labels(self._name, each.value).set(each is state)
        self._metrics.breaker_transitions.labels(self._name, state.value).inc()
        level = log.error if state is State.OPEN else log.info
        level("circuit breaker changed", name=self._name, state=state.value)
