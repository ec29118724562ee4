"""What the status page shows, as plain data; each part stands for itself and may be a fault instead."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from gateway.probes import Round

# The service level (docs/architecture.md): over 30 s, as the traffic client saw it.
SUCCESS_OBJECTIVE = 0.995
P95_OBJECTIVE_SECONDS = 0.3


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a part cannot be shown."""

    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceLevel:
    """The last 30 s of payments; None where there were none.

    Attributes:
        success: share of payments that succeeded, 0 to 1.
        p95: 95th percentile of their duration, seconds.
    """

    success: float | None
    p95: float | None

    @property
    def success_met(self) -> bool | None:
        """Whether enough payments succeed."""
        return None if self.success is None else self.success >= SUCCESS_OBJECTIVE

    @property
    def p95_met(self) -> bool | None:
        """Whether payments are fast enough."""
        return None if self.p95 is None else self.p95 < P95_OBJECTIVE_SECONDS


@dataclass(frozen=True, slots=True, kw_only=True)
class ChartSpec:
    """A small chart of one query.

    Attributes:
        title: what it shows.
        query: PromQL with one series as its result.
        unit: how values are written: ``per_second``, ``share``, ``seconds`` or ``count``.
        objective: a line that the values should stay below.
    """

    title: str
    query: str
    unit: str
    objective: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """Values of a chart at equal steps, oldest first; None where there was no sample."""

    spec: ChartSpec
    values: Sequence[float | None]

    @property
    def latest(self) -> float | None:
        """The newest value, None if it is missing."""
        return self.values[-1] if self.values else None


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLine:
    """A line of a log."""

    at: datetime
    level: str
    text: str
    trace_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceRow:
    """A trace, as far as a list shows it."""

    trace_id: str
    at: datetime
    name: str
    milliseconds: float
    spans: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ActiveAlert:
    """An alert that Alertmanager holds now."""

    name: str
    severity: str
    summary: str
    since: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """Everything at one time."""

    at: datetime
    services: Round
    level: ServiceLevel | Fault
    charts: Sequence[tuple[ChartSpec, Chart | Fault]]
    logs: Sequence[LogLine] | Fault
    traces: Sequence[TraceRow] | Fault
    alerts: Sequence[ActiveAlert] | Fault
