"""Checks claims: is it there, and was it what the report says?"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from postmortem.claims import Claim, Kind
from postmortem.stack import QueryRefused, Window
from postmortem.values import Relation, Value

__all__ = ["Signals", "Verdict", "check"]

_MARGIN = timedelta(seconds=60)
_ANY_STREAM = '{service_name=~".+"}'


class Signals(Protocol):
    """What can be asked; :class:`postmortem.stack.Stack` answers it from a running stack."""

    def metrics(self, query: str, window: Window) -> list[list[float]]:
        """The values of each series that a PromQL query finds."""
        ...

    def log_metrics(self, query: str, window: Window) -> list[list[float]]:
        """The same for a LogQL query that counts."""
        ...

    def log_lines(self, query: str, window: Window) -> int:
        """How many lines a LogQL query finds."""
        ...

    def traces(self, query: str, window: Window) -> list[float]:
        """Milliseconds of each trace that a TraceQL query finds."""
        ...

    def trace(self, trace_id: str) -> float | None:
        """Milliseconds of one trace; None if it is not there."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What became of a claim.

    Attributes:
        claim: which.
        holds: whether the telemetry confirms it.
        observed: what the telemetry says, for people.
    """

    claim: Claim
    holds: bool
    observed: str


def check(claim: Claim, signals: Signals, window: Window, tolerance: float) -> Verdict:
    """Return whether a claim holds.

    Args:
        claim: which.
        signals: who is asked.
        window: when, unless the claim says it itself; then a minute to each side of that.
        tolerance: by which share of itself a claimed value may be off.

    Raises:
        DemoError: the stack cannot be asked.
    """
    when = window.around(claim.at, _MARGIN) if claim.at is not None else window
    try:
        match claim.kind:
            case Kind.PROMQL | Kind.SERIES:
                return _numbers(claim, signals.metrics(claim.code, when), tolerance)
            case Kind.LOGQL:
                return _logs(claim, signals, when, tolerance)
            case Kind.LOG_LINE:
                return _line(claim, signals, when)
            case Kind.TRACEQL:
                return _traces(claim, signals.traces(claim.code, when), tolerance)
            case Kind.TRACE:
                return _trace(claim, signals.trace(claim.code), tolerance)
    except QueryRefused as refused:
        return Verdict(claim=claim, holds=False, observed=str(refused))


def _numbers(claim: Claim, series: list[list[float]], tolerance: float) -> Verdict:
    values = [value for one in series for value in one]
    if not values:
        return Verdict(claim=claim, holds=False, observed="no such series")
    holds = all(_fits(value, value.numbers, values, tolerance) for value in claim.values)
    return Verdict(claim=claim, holds=holds, observed=_extent(values, len(series)))


def _logs(claim: Claim, signals: Signals, window: Window, tolerance: float) -> Verdict:
    if not claim.code.lstrip().startswith("{"):
        return _numbers(claim, signals.log_metrics(claim.code, window), tolerance)
    return _counted(claim, signals.log_lines(claim.code, window), "line", tolerance)


def _line(claim: Claim, signals: Signals, window: Window) -> Verdict:
    # What a collector put before a line (time, level) is not part of what it stored.
    wanted = claim.code.strip()
    found = signals.log_lines(f"{_ANY_STREAM} |= {json.dumps(wanted)}", window)
    return Verdict(claim=claim, holds=found > 0, observed=_count(found, "line"))


def _traces(claim: Claim, milliseconds: list[float], tolerance: float) -> Verdict:
    durations = [value for value in claim.values if value.milliseconds is not None]
    if not durations:
        return _counted(claim, len(milliseconds), "trace", tolerance)
    if not milliseconds:
        return Verdict(claim=claim, holds=False, observed="no trace")
    holds = all(_fits(value, (value.milliseconds or 0.0,), milliseconds, tolerance) for value in durations)
    return Verdict(claim=claim, holds=holds, observed=f"{_extent(milliseconds, len(milliseconds), 'trace')} (ms)")


def _trace(claim: Claim, milliseconds: float | None, tolerance: float) -> Verdict:
    if milliseconds is None:
        return Verdict(claim=claim, holds=False, observed="no such trace")
    durations = [value for value in claim.values if value.milliseconds is not None]
    holds = all(_fits(value, (value.milliseconds or 0.0,), [milliseconds], tolerance) for value in durations)
    return Verdict(claim=claim, holds=holds, observed=f"{milliseconds:.4g} ms")


def _counted(claim: Claim, count: int, noun: str, tolerance: float) -> Verdict:
    """A claim about how many there are; without a number, that there is one."""
    if claim.values:
        holds = all(_fits(value, value.numbers[:1], [float(count)], tolerance) for value in claim.values)
    else:
        holds = count > 0
    return Verdict(claim=claim, holds=holds, observed=_count(count, noun))


def _fits(claimed: Value, numbers: Sequence[float], observed: Sequence[float], tolerance: float) -> bool:
    """Whether an observed value is what is claimed, in one of the meanings of its unit."""
    return any(_is(claimed.relation, number, observed, abs(number) * tolerance) for number in numbers)


def _is(relation: Relation, number: float, observed: Sequence[float], margin: float) -> bool:
    match relation:
        case Relation.ABOVE:
            return max(observed) >= number - margin
        case Relation.BELOW:
            return min(observed) <= number + margin
        case Relation.ABOUT:
            return any(math.isclose(value, number, abs_tol=margin + 1e-9) for value in observed)


def _count(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}" if count else f"no {noun}"


def _extent(values: Sequence[float], count: int, noun: str = "series") -> str:
    low, high = min(values), max(values)
    shown = f"{low:.4g}" if low == high else f"{low:.4g} to {high:.4g}"
    return shown if count == 1 else f"{shown} in {count} {noun if noun == 'series' else noun + 's'}"
