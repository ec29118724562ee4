"""Evidence as numbers: the baseline of a stretch of time before, and the value now."""

import asyncio
import math
import statistics
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass

from incidents.model import Evidence, Signal
from incidents.runner.gateway import Gateway

__all__ = ["LATENCY", "Baseline", "Measuring"]

LATENCY = "payment:client_latency_seconds:p95_30s"
_SLOW_FACTOR = 4
_SLOW_LEAST_MS = 100


@dataclass(frozen=True, slots=True)
class Baseline:
    """What was normal.

    Attributes:
        slow_ms: the duration that ``$slow`` stands for in queries.
        values: by query: for what falls the lowest value, for everything else the highest.
    """

    slow_ms: int
    values: Mapping[str, float]

    def of(self, evidence: Evidence) -> float:
        """The value of a piece of evidence."""
        return self.values[_key(evidence)]

    def knows(self, evidence: Iterable[Evidence]) -> bool:
        """Whether it has a value for each."""
        return all(_key(piece) in self.values for piece in evidence)

    def to_json(self) -> dict[str, object]:
        """As plain data."""
        return asdict(self)


class Measuring:
    """Measures through the gateway.

    Args:
        gateway: what an agent asks, too.
    """

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def baseline(self, evidence: Iterable[Evidence], seconds: float) -> Baseline:
        """The values of the last ``seconds``, which must have been healthy.

        Args:
            evidence: what to measure.
            seconds: how far back.

        Raises:
            UnreachableError: the gateway does not answer.
        """
        latencies = [value for value in await self._gateway.promql_range(LATENCY, seconds) if not math.isnan(value)]
        # Not the highest: one slow moment would hide what an incident slows to less than four times of it.
        usual = statistics.median(latencies) if latencies else 0.0
        slow = max(_SLOW_LEAST_MS, round(_SLOW_FACTOR * 1000 * usual))
        pieces = {_key(piece): piece for piece in evidence}
        values = await asyncio.gather(*(self._before(piece, slow, seconds) for piece in pieces.values()))
        return Baseline(slow, dict(zip(pieces, values, strict=True)))

    async def now(self, evidence: Evidence, baseline: Baseline) -> float | None:
        """The present value; None where a metric has none.

        Args:
            evidence: what to measure.
            baseline: of the same run.

        Raises:
            UnreachableError: the gateway does not answer.
        """
        query = _query(evidence, baseline.slow_ms)
        if evidence.signal is Signal.TRACES:
            now = time.time()
            start, enough = now - evidence.window_seconds, _enough(evidence, baseline.of(evidence))
            return float(await self._gateway.traceql(query, start, now, most=enough))
        ask = self._gateway.promql if evidence.signal is Signal.METRICS else self._gateway.logql
        values = [value for _, value in await ask(query) if not math.isnan(value)]
        # A count of lines that are not there is zero; a metric that is not there is no measurement.
        nothing = 0.0 if evidence.signal is Signal.LOGS or evidence.compares.direction == "stays" else None
        return _extreme(evidence, values) if values else nothing

    async def _before(self, evidence: Evidence, slow_ms: int, seconds: float) -> float:
        query = _query(evidence, slow_ms)
        if evidence.signal is Signal.TRACES:
            now, window = time.time(), evidence.window_seconds
            ends = [now - start for start in range(0, max(1, int(seconds) - window + 1), window)]
            counts = await asyncio.gather(*(self._gateway.traceql(query, end - window, end) for end in ends))
            return float(_extreme(evidence, [float(count) for count in counts]))
        ask = self._gateway.promql_range if evidence.signal is Signal.METRICS else self._gateway.logql_range
        values = [value for value in await ask(query, seconds) if not math.isnan(value)]
        return _extreme(evidence, values) if values else 0.0


def _enough(evidence: Evidence, baseline: float) -> int:
    """How many traces decide: traces of hundreds of spans are expensive to find."""
    return math.floor(max(evidence.compares.threshold(baseline), baseline)) + 1


def _key(evidence: Evidence) -> str:
    return f"{evidence.signal} {evidence.compares.direction} {evidence.window_seconds} {evidence.query}"


def _query(evidence: Evidence, slow_ms: int) -> str:
    return evidence.query.replace("$slow", f"{slow_ms}ms").replace("$long", f"{slow_ms // 2}ms")


def _extreme(evidence: Evidence, values: list[float]) -> float:
    return min(values) if evidence.compares.direction == "falls" else max(values)
