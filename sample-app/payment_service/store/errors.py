"""What can go wrong between the service and PostgreSQL, sorted by what it means for a request.

DatabaseError
├── PoolTimeoutError     no connection became free in time
├── PoolOverloadError    too many requests wait for one already
└── CircuitOpenError     the circuit breaker is open: not even tried
Everything else is the driver's own, and `classify` says what kind it is.
"""

from enum import Enum

import asyncpg  # pyright: ignore[reportMissingTypeStubs]  # asyncpg ships no type information


class DatabaseError(Exception):
    """The service itself refuses to use the database."""


class PoolTimeoutError(DatabaseError):
    """No connection became free in time."""


class PoolOverloadError(DatabaseError):
    """Too many requests wait for a connection already."""


class CircuitOpenError(DatabaseError):
    """The circuit breaker is open.

    Attributes:
        retry_after: Seconds after which a request may try again.
    """

    def __init__(self, retry_after: float) -> None:
        super().__init__("circuit breaker is open")
        self.retry_after = retry_after


class Failure(Enum):
    """Kinds of failure."""

    UNREACHABLE = "connection"
    """The server is gone, refuses, or went away in the middle."""
    TIMEOUT = "timeout"
    """It is there and does not answer."""
    CAPACITY = "too_many_connections"
    CREDENTIAL = "credential"
    DEADLOCK = "deadlock"
    SERIALIZATION = "serialization"
    STATEMENT_TIMEOUT = "statement_timeout"
    LOCK_TIMEOUT = "lock_timeout"
    POOL = "pool"
    CIRCUIT = "circuit"


_BY_SQLSTATE = {
    "57P01": Failure.UNREACHABLE,  # admin_shutdown
    "57P02": Failure.UNREACHABLE,  # crash_shutdown
    "57P03": Failure.UNREACHABLE,  # cannot_connect_now
    "57P05": Failure.UNREACHABLE,  # idle_session_timeout
    "25P03": Failure.UNREACHABLE,  # idle_in_transaction_session_timeout
    "3D000": Failure.UNREACHABLE,  # the database is being made anew
    "53300": Failure.CAPACITY,
    "28000": Failure.CREDENTIAL,
    "28P01": Failure.CREDENTIAL,
    "40P01": Failure.DEADLOCK,
    "40001": Failure.SERIALIZATION,
    "57014": Failure.STATEMENT_TIMEOUT,
    "55P03": Failure.LOCK_TIMEOUT,
}

SAFE_TO_REPEAT = frozenset({Failure.UNREACHABLE, Failure.CAPACITY, Failure.DEADLOCK, Failure.SERIALIZATION})
"""Kinds after which an operation that leaves nothing behind twice may be tried again."""


def sqlstate(error: BaseException) -> str | None:
    """PostgreSQL's error code, if the server sent one.

    Args:
        error: Any exception.
    """
    code = getattr(error, "sqlstate", None) if isinstance(error, asyncpg.PostgresError) else None
    return code if isinstance(code, str) else None


def classify(error: BaseException) -> Failure | None:  # a table in the form of a function
    """The kind of a failure; None for what is no failure of the database.

    Args:
        error: What was raised while the database was used.
    """
    code = sqlstate(error)
    if code is not None:
        return Failure.UNREACHABLE if code.startswith("08") else _BY_SQLSTATE.get(code)
    match error:
        case PoolTimeoutError() | PoolOverloadError():
            return Failure.POOL
        case CircuitOpenError():
            return Failure.CIRCUIT
        case TimeoutError():
            return Failure.TIMEOUT
        case OSError() | asyncpg.InterfaceError() | asyncpg.InternalClientError():
            return Failure.UNREACHABLE
        case _:
            return None


def describe(error: BaseException) -> str:
    """A failure of the connection in words for a log line.

    Args:
        error: What was raised.
    """
    match error:
        case ConnectionRefusedError():
            return "connection refused"
        case PoolTimeoutError():
            return "connection pool timeout"
        case TimeoutError():
            return "connection timeout"
        case _:
            return f"connection failed: {error}"
