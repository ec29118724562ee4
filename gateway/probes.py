"""Does the stack answer? Every HTTP probe of the topology, asked at once, from inside the network.

This is about servers that answer, never about payments that succeed: an incident is not an outage of the stack.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import httpx2

from gateway.backend import make_client, reason, verification
from gateway.shared_round import SharedRound

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.config import ProbeSettings
    from gateway.metrics import Metrics

_MAX_AGE_SECONDS = 0.5
_SHORT_BODY_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What one service said.

    Attributes:
        service: name in the topology.
        up: whether it answered; None for a service that only its own container health check can ask.
        milliseconds: how long the answer took; None if none came or nobody asked.
        reason: why it does not count as up.
    """

    service: str
    up: bool | None
    milliseconds: float | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Round:
    """The answers of all services, in the order of the configuration."""

    answers: tuple[Answer, ...]

    @property
    def ready(self) -> bool:
        """Whether nothing that can be asked is down."""
        return all(answer.up is not False for answer in self.answers)

    def as_json(self) -> dict[str, object]:
        """Return the body of ``/ready/stack``: what fails and why comes first."""
        return {
            "ready": self.ready,
            "failing": [
                {"service": answer.service, "reason": answer.reason} for answer in self.answers if answer.up is False
            ],
            "services": {
                answer.service: {"status": "up" if answer.up else "down", "milliseconds": answer.milliseconds}
                for answer in self.answers
                if answer.up is not None
            },
            "own_health_check": [answer.service for answer in self.answers if answer.up is None],
        }


class Probes:
    """Asks the services; many askers within half a second share one round.

    Args:
        probes: what to ask.
        metrics: where ``gateway_probe_up`` is kept.
    """

    def __init__(self, probes: Sequence[ProbeSettings], metrics: Metrics) -> None:
        self._probes = probes
        self._gauge = metrics.probe_up
        longest = max((probe.timeout_seconds for probe in probes), default=1.0)
        tls = next((probe.url for probe in probes if probe.url and probe.url.startswith("https:")), "http:")
        self._client = make_client(longest, max(len(probes), 1), verify=verification(tls))
        self._rounds = SharedRound(self._ask_all, max_age=_MAX_AGE_SECONDS)

    async def ask(self) -> Round:
        """Return the newest answers, at most half a second old."""
        return await self._rounds.get()

    async def close(self) -> None:
        """Give the connections back."""
        await self._rounds.close()
        await self._client.aclose()

    async def _ask_all(self) -> Round:
        answers = await asyncio.gather(*(self._ask(probe) for probe in self._probes))
        for answer in answers:
            if answer.up is not None:
                self._gauge.labels(answer.service).set(answer.up)
        return Round(tuple(answers))

    async def _ask(self, probe: ProbeSettings) -> Answer:
        if probe.url is None:
            return Answer(service=probe.service, up=None)
        started = time.perf_counter()
        try:
            async with asyncio.timeout(probe.timeout_seconds), self._client.stream("GET", probe.url) as response:
                why = None if response.is_success else f"answers {response.status_code}"
                await _finish(response)
        except (TimeoutError, httpx2.TimeoutException):
            return Answer(service=probe.service, up=False, reason=f"no answer within {probe.timeout_seconds:g} s")
        except (httpx2.TransportError, httpx2.InvalidURL) as error:
            return Answer(service=probe.service, up=False, reason=reason(error))
        milliseconds = round((time.perf_counter() - started) * 1000, 1)
        return Answer(service=probe.service, up=why is None, milliseconds=milliseconds, reason=why)


async def _finish(response: httpx2.Response) -> None:
    """Read a short body to its end, so that the connection serves the next round too."""
    left = _SHORT_BODY_BYTES
    async for chunk in response.aiter_raw():
        left -= len(chunk)
        if left < 0:
            return
