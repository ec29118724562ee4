"""Whether the stack is as it should be: every service answers, the service level holds, no alert fires."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from incidents.runner.events import Stopwatch
from incidents.runner.gateway import STEP_SECONDS, Gateway, Sample
from incidents.runner.measuring import LATENCY
from incidents.runner.problems import UnreachableError

__all__ = ["LEAST_SUCCESS", "MOST_LATENCY", "Health", "ServiceLevel"]

LEAST_SUCCESS = 0.995
MOST_LATENCY = 0.3
_POLL_SECONDS = 1.5
_SUCCESS = "payment:client_success:ratio_30s"
# Rates look back over half a minute: in the first one they hold the seed, and hardly a request to divide by.
_WARM = f"{_SUCCESS} offset 30s"
# A refund and a settlement run may meet; that is rare, and in a baseline it would hide the one deadlock of a decoy.
_DEADLOCKED = "(sum(increase(db:deadlocks:total[30s])) > bool 0.5 or vector(0))"
# While the stack is young or was restarted there may be nothing to divide.
_FIRING = 'ALERTS{alertstate="firing"}'


@dataclass(frozen=True, slots=True)
class ServiceLevel:
    """What the traffic client saw over the last 30 s.

    Attributes:
        success: share of payments that succeeded; None without payments.
        latency: p95 of payments in seconds; None without payments.
    """

    success: float | None
    latency: float | None

    @property
    def holds(self) -> bool:
        """Whether both objectives are met."""
        return (
            self.success is not None
            and self.latency is not None
            and self.success >= LEAST_SUCCESS
            and self.latency <= MOST_LATENCY
        )

    def __str__(self) -> str:
        if self.success is None or self.latency is None:
            return "no payments were answered in the last 30 s"
        return f"{self.success:.1%} of payments succeed, p95 {self.latency * 1000:.0f} ms"


class Health:
    """Asks for it through the gateway.

    Args:
        gateway: what an agent asks, too.
    """

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def service_level(self) -> ServiceLevel:
        """The service level now."""
        success, latency = await asyncio.gather(self._gateway.promql(_SUCCESS), self._gateway.promql(LATENCY))
        return ServiceLevel(_first(success), _first(latency))

    async def healthy_for(self, most: float, latency: float = MOST_LATENCY) -> float:
        """For how many of the last ``most`` seconds, up to now, nothing was unusual; not of a stack's first 30.

        That is: the service level held, and no deadlock was to be seen.

        Args:
            most: seconds to look back.
            latency: seconds that the p95 of payments may have, if less is wanted than the service level asks for.
        """
        bad = f"({_SUCCESS} < bool {LEAST_SUCCESS}) + ({LATENCY} > bool {min(latency, MOST_LATENCY)}) + {_DEADLOCKED}"
        values = await self._gateway.promql_range(f"({bad}) and on () ({_WARM}) or vector(1)", most)
        for age, value in enumerate(reversed(values)):
            if value > 0:
                return float(max(0, age - 1) * STEP_SECONDS)
        return most

    async def firing(self) -> list[str]:
        """Names of the alerts that fire."""
        return sorted({labels["alertname"] for labels, _ in await self._gateway.promql(_FIRING)})

    async def until_healthy(self, limit: float) -> str | None:
        """Wait until the stack is healthy, alerts included; returns what is wrong when the time is over, else None."""
        watch = Stopwatch()
        while True:
            try:
                fault = await self.fault()
            except UnreachableError as error:
                fault = str(error)
            if fault is None or watch.seconds >= limit:
                return fault
            await asyncio.sleep(_POLL_SECONDS)

    async def fault(self) -> str | None:
        """Why an incident must not be started now, in one clause; None if the stack is healthy."""
        not_ready = await self._gateway.ready()
        if not_ready is not None:
            return f"not every service answers: {not_ready[:300]}"
        level, firing = await asyncio.gather(self.service_level(), self.firing())
        if not level.holds:
            return str(level)
        return f"{', '.join(firing)} {'fires' if len(firing) == 1 else 'fire'}" if firing else None


def _first(samples: Sequence[Sample]) -> float | None:
    value = samples[0][1] if samples else None
    return None if value is None or value != value else value  # noqa: PLR0124  # not a number
