"""Health: what works, how fast, and what that makes of the service as a whole.

It has to answer when nothing else does. So the database is asked over connections that no request uses, for a second
at most, once for all who ask at the same time; and the pool is only looked at.
"""

import asyncio
import time
from dataclasses import dataclass
from enum import Enum
from typing import Any

from payment_service.store.breaker import State
from payment_service.store.database import Database
from payment_service.store.errors import describe
from payment_service.store.session import Session
from payment_service.store.statements import Statement

_PING = Statement(operation="SELECT", sql="SELECT 1")
_TIMEOUT = 1.0
_FRESH = 0.5
_SLOW_MS = 300.0


class Status(Enum):
    """Of a component, or of the whole."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    UNHEALTHY = "unhealthy"


_ORDER = list(Status)


@dataclass(frozen=True, slots=True)
class _Finding:
    status: Status
    latency_ms: float
    detail: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        return {"status": self.status.value, "latency_ms": round(self.latency_ms, 3), **self.detail}


class Health:
    """Looks at the components.

    Args:
        database: What requests use.
        background: Reaches the same server over connections of its own.
    """

    def __init__(self, database: Database, background: Database) -> None:
        self._database = database
        self._background = background
        self._probe: asyncio.Task[_Finding] | None = None
        self._probed_at = 0.0

    async def check(self) -> tuple[Status, dict[str, Any]]:
        """The status of the whole, and the answer for a client."""
        components = {"database": await self._check_database(), "connection_pool": self._check_pool()}
        worst = max((finding.status for finding in components.values()), key=_ORDER.index)
        return worst, {
            "status": worst.value,
            "components": {name: finding.to_json() for name, finding in components.items()},
        }

    async def _check_database(self) -> _Finding:
        if self._probe is None or (self._probe.done() and time.monotonic() - self._probed_at > _FRESH):
            self._probe = asyncio.create_task(self._ping())
        return await asyncio.shield(self._probe)

    async def _ping(self) -> _Finding:
        async def ping(session: Session) -> None:
            await session.fetchval(_PING)

        started = time.perf_counter()
        try:
            async with asyncio.timeout(_TIMEOUT):
                await self._background.run_once(ping)
        except Exception as error:  # noqa: BLE001  # whatever it is, it is the finding
            return _Finding(Status.UNHEALTHY, _milliseconds(started), {"detail": describe(error)})
        finally:
            self._probed_at = time.monotonic()
        latency = _milliseconds(started)
        state = self._database.breaker.state
        slow = latency > _SLOW_MS or state is not State.CLOSED
        return _Finding(Status.DEGRADED if slow else Status.HEALTHY, latency, {"circuit_breaker": state.value})

    def _check_pool(self) -> _Finding:
        pool = self._database.pool
        exhausted = pool.in_use >= pool.max_size and pool.waiting > 0
        detail = {"in_use": pool.in_use, "max_size": pool.max_size, "waiting": pool.waiting}
        return _Finding(Status.DEGRADED if exhausted else Status.HEALTHY, pool.longest_wait * 1000, detail)


def _milliseconds(started: float) -> float:
    return (time.perf_counter() - started) * 1000
