"""The circuit breaker and the retries, without a database."""

from __future__ import annotations

import asyncio

import asyncpg  # pyright: ignore[reportMissingTypeStubs]  # asyncpg ships no type information
import pytest
from payment_service.problems import Problem, from_exception, not_found
from payment_service.store.breaker import CircuitBreaker, State
from payment_service.store.errors import (
    SAFE_TO_REPEAT,
    CircuitOpenError,
    Failure,
    PoolOverloadError,
    PoolTimeoutError,
    classify,
    describe,
)
from payment_service.store.retry import retry


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Case:
    def __init__(self) -> None:
        self.clock = Clock()
        self.states: list[str] = []
        self.breaker = CircuitBreaker(3, 2.0, lambda state: self.states.append(state.value), self.clock)

    def fail(self, times: int = 1) -> None:
        for _ in range(times):
            self.breaker.fail(trial=self.breaker.admit())


@pytest.fixture
def case() -> Case:
    return Case()


def test_it_opens_after_so_many_failures_in_a_row(case: Case) -> None:
    case.fail(2)
    assert case.breaker.state is State.CLOSED
    case.breaker.succeed(trial=case.breaker.admit())
    case.fail(2)
    assert case.breaker.state is State.CLOSED, "a success starts the count again"
    case.fail()
    assert case.breaker.state is State.OPEN
    assert case.states == ["open"]


def test_open_it_says_when_to_come_back(case: Case) -> None:
    case.fail(3)
    case.clock.now += 0.5
    with pytest.raises(CircuitOpenError) as caught:
        case.breaker.admit()
    assert caught.value.retry_after == pytest.approx(1.5)


def test_after_the_pause_one_request_tries_and_the_others_wait(case: Case) -> None:
    case.fail(3)
    case.clock.now += 2.0
    assert case.breaker.admit() is True
    assert case.breaker.state is State.HALF_OPEN
    with pytest.raises(CircuitOpenError):
        case.breaker.admit()
    case.breaker.succeed(trial=True)
    assert case.breaker.admit() is False
    assert case.states == ["open", "half_open", "closed"]


def test_a_failed_trial_starts_another_pause(case: Case) -> None:
    case.fail(3)
    case.clock.now += 2.0
    case.fail()
    assert case.breaker.state is State.OPEN
    case.clock.now += 1.9
    with pytest.raises(CircuitOpenError):
        case.breaker.admit()


def test_a_trial_that_told_nothing_lets_the_next_one_try(case: Case) -> None:
    case.fail(3)
    case.clock.now += 2.0
    case.breaker.abandon(trial=case.breaker.admit())
    assert case.breaker.state is State.OPEN
    assert case.breaker.admit() is True


def test_who_was_under_way_when_it_opened_does_not_close_it(case: Case) -> None:
    late = case.breaker.admit()
    case.fail(3)
    case.breaker.succeed(trial=late)
    assert case.breaker.state is State.OPEN


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ConnectionRefusedError(), Failure.UNREACHABLE),
        (OSError(113, "No route to host"), Failure.UNREACHABLE),
        (asyncpg.ConnectionDoesNotExistError(), Failure.UNREACHABLE),
        (asyncpg.AdminShutdownError(), Failure.UNREACHABLE),
        (asyncpg.CannotConnectNowError(), Failure.UNREACHABLE),
        (asyncpg.InterfaceError("connection is closed"), Failure.UNREACHABLE),
        (asyncpg.InvalidCatalogNameError(), Failure.UNREACHABLE),
        (TimeoutError(), Failure.TIMEOUT),
        (asyncpg.TooManyConnectionsError(), Failure.CAPACITY),
        (asyncpg.InvalidPasswordError(), Failure.CREDENTIAL),
        (asyncpg.DeadlockDetectedError(), Failure.DEADLOCK),
        (asyncpg.SerializationError(), Failure.SERIALIZATION),
        (asyncpg.QueryCanceledError(), Failure.STATEMENT_TIMEOUT),
        (asyncpg.LockNotAvailableError(), Failure.LOCK_TIMEOUT),
        (PoolTimeoutError(), Failure.POOL),
        (PoolOverloadError(), Failure.POOL),
        (CircuitOpenError(1), Failure.CIRCUIT),
        (asyncpg.UniqueViolationError(), None),
        (asyncpg.UndefinedTableError(), None),
        (ValueError(), None),
        (not_found("x"), None),
    ],
)  # fmt: skip
def test_every_error_has_its_kind_and_its_answer(error: Exception, kind: Failure | None) -> None:
    assert classify(error) is kind
    problem = from_exception(error)
    if kind is None:
        assert problem is None
    else:
        assert isinstance(problem, Problem)
        assert problem.status == (504 if kind is Failure.STATEMENT_TIMEOUT else 503)
        assert problem.status == 504 or problem.headers == {"Retry-After": "1"}


def test_only_what_leaves_nothing_behind_is_safe_to_repeat() -> None:
    assert {Failure.UNREACHABLE, Failure.CAPACITY, Failure.DEADLOCK, Failure.SERIALIZATION} == SAFE_TO_REPEAT


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ConnectionRefusedError(), "connection refused"),
        (TimeoutError(), "connection timeout"),
        (PoolTimeoutError(), "connection pool timeout"),
        (asyncpg.InvalidPasswordError("no"), "connection failed: no"),
    ],
)
def test_a_connection_failure_reads_like_one(error: Exception, words: str) -> None:
    assert describe(error) == words


class Flaky:
    def __init__(self, *failures: Exception) -> None:
        self.failures = list(failures)
        self.calls = 0
        self.seen: list[Failure] = []

    async def __call__(self) -> str:
        self.calls += 1
        if self.failures:
            raise self.failures.pop(0)
        return "done"

    async def run(self, attempts: int = 4) -> str:
        return await retry(self, attempts=attempts, give_up_after=5, on_failure=self.seen.append)


@pytest.mark.anyio
async def test_what_succeeds_is_run_once() -> None:
    flaky = Flaky()
    assert await flaky.run() == "done"
    assert (flaky.calls, flaky.seen) == (1, [])


@pytest.mark.anyio
async def test_what_is_safe_to_repeat_is_repeated_and_counted_by_kind() -> None:
    flaky = Flaky(asyncpg.DeadlockDetectedError(), asyncpg.SerializationError(), ConnectionResetError())
    assert await flaky.run() == "done"
    assert flaky.calls == 4
    assert flaky.seen == [Failure.DEADLOCK, Failure.SERIALIZATION, Failure.UNREACHABLE]


@pytest.mark.anyio
@pytest.mark.parametrize(
    "error",
    [
        TimeoutError(),
        asyncpg.InvalidPasswordError(),
        PoolTimeoutError(),
        CircuitOpenError(1),
        not_found("x"),
        ValueError(),
    ],
)
async def test_what_is_not_safe_is_not_repeated(error: Exception) -> None:
    flaky = Flaky(error)
    with pytest.raises(type(error)):
        await flaky.run()
    assert (flaky.calls, flaky.seen) == (1, [])


@pytest.mark.anyio
async def test_after_the_last_attempt_the_error_is_the_callers() -> None:
    flaky = Flaky(*(asyncpg.DeadlockDetectedError() for _ in range(9)))
    with pytest.raises(asyncpg.DeadlockDetectedError):
        await flaky.run(attempts=3)
    assert (flaky.calls, len(flaky.seen)) == (3, 2)


@pytest.mark.anyio
async def test_an_unsafe_error_after_a_safe_one_ends_it() -> None:
    flaky = Flaky(asyncpg.DeadlockDetectedError(), ValueError())
    with pytest.raises(ValueError):  # noqa: PT011 - the very one
        await flaky.run()
    assert flaky.calls == 2


@pytest.mark.anyio
async def test_a_cancelled_operation_is_not_repeated() -> None:
    async def wait() -> str:
        await asyncio.sleep(60)
        return "never"

    task = asyncio.create_task(retry(wait, attempts=4, give_up_after=5, on_failure=lambda _: None))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
