"""A report as a whole: its window, its claims, and what came of them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from infra.errors import DemoError
from postmortem.check import Signals, Verdict, check
from postmortem.claims import Claim, Remark, claims_of
from postmortem.stack import Window
from postmortem.text import Block, Statement, read
from postmortem.values import days_of, times_of

__all__ = ["Checked", "check_report"]

# Two lines of the head of COMPASS's reports.
_GENERATED = re.compile(r"Generated: ")
_LASTED = re.compile(r"Duration: (\d{1,7}(?:\.\d{1,6})?) seconds")
_PAD = timedelta(seconds=60)
_BEFORE = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What became of a report.

    Attributes:
        window: for claims that do not say when.
        tolerance: share of itself by which a claimed value may be off.
        verdicts: of the claims.
        remarks: statements with a number that cannot be checked.
    """

    window: Window
    tolerance: float
    verdicts: tuple[Verdict, ...]
    remarks: tuple[Remark, ...]

    @property
    def holds(self) -> bool:
        """Whether there is a claim, and every claim holds."""
        return bool(self.verdicts) and all(verdict.holds for verdict in self.verdicts)

    def as_json(self) -> dict[str, Any]:
        """Everything, for programs."""
        return {
            "holds": self.holds,
            "from": self.window.start.isoformat(),
            "to": self.window.end.isoformat(),
            "tolerance": self.tolerance,
            "claims": [
                {
                    "line": verdict.claim.line,
                    "kind": str(verdict.claim.kind),
                    "code": verdict.claim.code,
                    "claimed": [f"{value.relation} {value.text}" for value in verdict.claim.values],
                    "at": verdict.claim.at.isoformat() if verdict.claim.at else None,
                    "holds": verdict.holds,
                    "observed": verdict.observed,
                }
                for verdict in self.verdicts
            ],
            "not_checkable": [{"line": remark.line, "text": remark.text, "why": remark.why} for remark in self.remarks],
        }


def check_report(
    markdown: str, signals: Signals, *, start: datetime | None, end: datetime | None, tolerance: float
) -> Checked:
    """Check a report.

    Args:
        markdown: the report.
        signals: who is asked.
        start: of the window; None for the report's own times.
        end: of the window; None for the report's own times.
        tolerance: share of itself by which a claimed value may be off.

    Raises:
        DemoError: there is no window, or the stack cannot be asked.
    """
    parts = read(markdown)
    times = sorted(time for part in parts for time in times_of(_all_text(part), None))
    given = start or end
    if not times and given is None:
        # The day in the head, and times of day below it.
        days = [day for part in parts for day in days_of(_all_text(part))]
        times = sorted(time for part in parts for time in times_of(_all_text(part), days[0])) if days else []
    day = times[0].date() if times else (given or datetime.now(UTC)).date()
    window = _window(times, parts, start=start, end=end)
    claims, remarks = claims_of(parts, day)
    verdicts = tuple(check(claim, signals, window, tolerance) for claim in _once(claims))
    return Checked(window=window, tolerance=tolerance, verdicts=verdicts, remarks=tuple(remarks))


def _once(claims: Sequence[Claim]) -> list[Claim]:
    """Claims without exact repetitions."""
    seen: set[tuple[Any, ...]] = set()
    kept: list[Claim] = []
    for claim in claims:
        key = (claim.kind, claim.code, tuple((value.relation, value.text) for value in claim.values), claim.at)
        if key not in seen:
            seen.add(key)
            kept.append(claim)
    return kept


def _all_text(part: Statement | Block) -> str:
    return part.content if isinstance(part, Block) else part.shown()


def _window(
    times: Sequence[datetime],
    parts: Sequence[Statement | Block],
    *,
    start: datetime | None,
    end: datetime | None,
) -> Window:
    now = datetime.now(UTC)
    if times:
        clocks = [time for part in parts for time in times_of(_all_text(part), times[0].date())]
        first, last = min(clocks), max(clocks)
        # A report that only says when it was written is about the time before.
        first = first - _BEFORE if last - first < _PAD else first - _PAD
        begun = _investigation_begun(parts)
        if begun is not None:
            first = min(first, begun - _BEFORE)
        start, end = start or first, end or min(last + _PAD, now)
    elif start is not None:
        end = end or now
    if start is None or end is None:
        raise DemoError("The report names no date and time; give its window with --from and --to.")
    if start >= end:
        raise DemoError(f"The window begins at {start:%Y-%m-%d %H:%M:%S} and ends before that; see --from and --to.")
    return Window(start, end)


def _investigation_begun(parts: Sequence[Statement | Block]) -> datetime | None:
    """When COMPASS began to look, by the head of its report: it tells of what was before, whatever times it names."""
    texts = [part.text for part in parts if isinstance(part, Statement)]
    written = [time for text in texts if _GENERATED.match(text) for time in times_of(text, None)]
    lasted = [float(found[1]) for text in texts if (found := _LASTED.fullmatch(text))]
    return written[0] - timedelta(seconds=lasted[0]) if written and lasted else None
