"""What an incident under way looks like: a line for each signal, from waiting to seen."""

import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text

__all__ = ["Watcher", "matrix", "watching"]

_MARKS: Final = {"waiting": "[dim]·[/]", "seen": "[green]✓[/]", "missing": "[red]✗[/]"}
_SIGNALS: Final = ("metrics", "logs", "traces", "alert")
_PHASES: Final = {
    "baseline": "taking the baseline",
    "injecting": "injecting",
    "proving": "proving: what an agent can see now",
    "harmless": "watching that it does no harm",
    "looking for leaks": "looking for the answer in every store",
    "recovering": "recovering",
    "alerts resolve": "waiting for the alerts to resolve",
    "applying the fix": "applying the fix",
    "watching nothing": "watching a healthy stack",
    "watching": "watching whether the service level holds",
}


@dataclass(slots=True)
class _Line:
    signal: str
    name: str
    state: str
    seconds: float | None = None
    detail: str = ""


class Watcher:
    """Takes a runner's events.

    Args:
        title: what is being done.
        console: standard error, usually.
    """

    def __init__(self, title: str, console: Console) -> None:
        self._title = title
        self._console = console
        self._lines: dict[tuple[str, str], _Line] = {}
        self._phase = ""
        self._note = ""
        self._started = time.monotonic()
        self._live = console.is_terminal

    def __call__(self, event: dict[str, Any]) -> None:
        """Take one event."""
        kind = event["event"]
        if kind in _MARKS:
            key = (str(event["signal"]), str(event["name"]))
            self._lines[key] = _Line(*key, kind, event.get("seconds"), _numbers(event))
            if not self._live and kind != "waiting":
                self._print(f"{key[0]:8} {key[1]}: {kind} {_seconds(event.get('seconds'))} {_numbers(event)}")
            return
        if kind == "phase":
            self._phase = _PHASES.get(str(event["phase"]), str(event["phase"]))
            if event.get("waits"):
                self._phase += f" ({event['waits']} s)"
            self._note = ""
        elif kind == "still there":
            self._note = f"still there: {'; '.join(event['what'])}" if event["what"] else "nothing of it is left"
        elif kind == "recovered":
            self._note = f"{event['name']} recovered after {event['seconds']:.0f} s"
        else:
            rest = ", ".join(f"{name} {value}" for name, value in event.items() if name != "event")
            self._note = f"{kind}: {rest}"
        if not self._live:
            self._print(self._note or self._phase)

    def _print(self, text: str) -> None:
        line = f"[{time.monotonic() - self._started:6.1f} s] {text}"
        self._console.print(line, highlight=False, markup=False, soft_wrap=True)

    def __rich__(self) -> RenderableType:
        """The present picture."""
        table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
        elapsed = time.monotonic() - self._started
        table.add_row("", f"[bold]{escape(self._title)}[/]", "", f"{elapsed:.0f} s", "")
        for line in self._lines.values():
            table.add_row(
                _MARKS[line.state], line.signal, escape(line.name), _seconds(line.seconds), f"[dim]{line.detail}[/]"
            )
        table.add_row("", escape(self._phase), escape(self._note), "", "")
        return table


@contextmanager
def watching(title: str) -> Generator[Watcher]:
    """Show what happens in the block, on standard error."""
    console = Console(file=sys.stderr)
    watcher = Watcher(title, console)
    if not console.is_terminal:
        yield watcher
        return
    with Live(watcher, console=console, refresh_per_second=8):
        yield watcher


def matrix(results: list[dict[str, Any]]) -> RenderableType:
    """The table of seconds by signal, and below it the faults; no wider than 80 columns.

    Args:
        results: of ``verify``.
    """
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("")
    table.add_column("seconds until", no_wrap=True)
    for column in (*_SIGNALS, "recovery", "healthy"):
        table.add_column(column, justify="right")
    by_fault: dict[str, list[str]] = {}
    for result in results:
        seconds = result["seconds"]
        table.add_row(
            "[red]✗[/]" if result["fault"] else "[green]✓[/]",
            result["name"],
            *(_number(seconds.get(signal)) for signal in _SIGNALS),
            _number(seconds.get("recovery")),
            _number(seconds.get("healthy")),
        )
        if result["fault"]:
            by_fault.setdefault(result["fault"], []).append(result["name"])
    faults = [Text(_named(fault, names)) for fault, names in by_fault.items()]
    return Group(table, *faults)


def _named(fault: str, names: list[str]) -> str:
    """A fault and whose it is, which its own sentence may say."""
    return fault if fault.startswith(f"{names[0]} ") and len(names) == 1 else f"{', '.join(names)}: {fault}"


def _numbers(event: dict[str, Any]) -> str:
    if "threshold" not in event:
        return ""
    value = event.get("value")
    shown = "nothing" if value is None else f"{value:.4g}"
    return f"{shown}, baseline {event['baseline']:.4g}, threshold {event['threshold']:.4g}" if "value" in event else ""


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{value:.1f} s"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.0f}"
