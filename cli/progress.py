"""What long work looks like: a live list on a terminal, plain lines anywhere else."""

import sys
import threading
import time
from collections.abc import Generator, Iterable
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Final, Protocol

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from toolchain.progress import Step

__all__ = ["Display", "make_display"]

_HEARTBEAT_SECONDS: Final = 15
_MARK: Final = {"waiting": ("·", "dim"), "done": ("✓", "green"), "failed": ("✗", "bold red")}


@dataclass(slots=True)
class Row:
    """One step on the screen."""

    name: str
    state: str = "waiting"
    detail: str = ""
    done: int | None = None
    total: int | None = None
    started: float = 0.0
    ended: float = 0.0

    @property
    def seconds(self) -> float:
        """How long the step runs or ran."""
        if not self.started:
            return 0.0
        return (self.ended or time.monotonic()) - self.started

    def update(self, detail: str, *, done: int | None = None, total: int | None = None) -> None:
        """See ``toolchain.progress.Step``."""
        self.detail, self.done, self.total = detail, done, total


class Display(Protocol):
    """A ``Progress`` that also shows what is still to come."""

    def step(self, name: str) -> AbstractContextManager[Step]:
        """See ``toolchain.progress.Progress``."""
        ...

    def plan(self, names: Iterable[str]) -> None:
        """See ``toolchain.progress.Progress``."""
        ...

    def drop(self, name: str) -> None:
        """Forget a planned step: there is nothing to do for it."""
        ...

    def say(self, sentence: str) -> None:
        """Print a line that stays."""
        ...

    def running(self) -> AbstractContextManager[None]:
        """Show the steps while the block runs."""
        ...


class _Rows:
    """The steps in their order, shared by both displays."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.lock = threading.Lock()

    def plan(self, names: Iterable[str]) -> None:
        with self.lock:
            known = {row.name for row in self.rows}
            self.rows.extend(Row(name) for name in names if name not in known)

    def drop(self, name: str) -> None:
        with self.lock:
            self.rows = [row for row in self.rows if row.name != name or row.state != "waiting"]

    def start(self, name: str) -> Row:
        with self.lock:
            row = next((r for r in self.rows if r.name == name and r.state == "waiting"), None)
            if row is None:
                row = Row(name)
                self.rows.append(row)
            row.state, row.started = "running", time.monotonic()
            return row

    def end(self, row: Row, state: str) -> None:
        row.ended, row.state = time.monotonic(), state

    def left(self) -> int:
        return sum(row.state in {"waiting", "running"} for row in self.rows)

    @contextmanager
    def step(self, name: str) -> Generator[Row]:
        row = self.start(name)
        try:
            yield row
        except BaseException:
            self.end(row, "failed")
            raise
        self.end(row, "done")


class _Terminal:
    """A list that is drawn again several times a second."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._rows = _Rows()
        self._started = time.monotonic()
        self._spinner = Spinner("dots")
        self.plan = self._rows.plan
        self.drop = self._rows.drop
        self.step = self._rows.step

    def say(self, sentence: str) -> None:
        self._console.print(sentence, highlight=False, markup=False)

    @contextmanager
    def running(self) -> Generator[None]:
        with Live(get_renderable=self._draw, console=self._console, refresh_per_second=8):
            yield

    def _draw(self) -> Group:
        table = Table.grid(padding=(0, 1))
        rows = list(self._rows.rows)
        # A list longer than the screen would scroll; what is done and what is far away may be hidden first.
        room = max(5, self._console.height - 4)
        shown = rows if len(rows) <= room else [row for row in rows if row.state in {"running", "failed"}][:room]
        for row in shown:
            mark = self._spinner if row.state == "running" else Text(*_MARK[row.state])
            seconds = Text(f"{row.seconds:5.1f} s" if row.started else "", style="cyan")
            bar = (
                ProgressBar(total=row.total, completed=row.done or 0, width=20)
                if row.total and row.state == "running"
                else Text("")
            )
            name = Text(row.name, style="dim" if row.state == "waiting" else "")
            detail = Text(row.detail if row.state != "done" else "", style="dim", overflow="ellipsis", no_wrap=True)
            table.add_row(mark, seconds, name, bar, detail)
        left = self._rows.left()
        footer = Text(
            f"{time.monotonic() - self._started:.0f} s, {left} of {len(rows)} left" if rows else "", style="dim"
        )
        return Group(table, footer)


class _Lines:
    """One line when a step starts or ends, and now and then one that says it is still at it."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._rows = _Rows()
        self._started = time.monotonic()
        self.plan = self._rows.plan
        self.drop = self._rows.drop

    def say(self, sentence: str) -> None:
        self._console.print(sentence, highlight=False, markup=False, soft_wrap=True)

    @contextmanager
    def step(self, name: str) -> Generator[Row]:
        self._print(f"{name} ...")
        row = self._rows.start(name)
        try:
            yield row
        except BaseException:
            self._rows.end(row, "failed")
            self._print(f"{name} FAILED after {row.seconds:.1f} s")
            raise
        self._rows.end(row, "done")
        self._print(f"{name} done in {row.seconds:.1f} s, {self._rows.left()} left")

    @contextmanager
    def running(self) -> Generator[None]:
        ended = threading.Event()
        thread = threading.Thread(target=self._beat, args=(ended,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def _beat(self, ended: threading.Event) -> None:
        while not ended.wait(_HEARTBEAT_SECONDS):
            busy = [row for row in list(self._rows.rows) if row.state == "running"]
            for row in busy:
                self._print(f"{row.name}: {row.detail or 'still at it'} ({row.seconds:.0f} s)")

    def _print(self, text: str) -> None:
        self.say(f"[{time.monotonic() - self._started:6.1f} s] {text}")


def make_display() -> Display:
    """The display for where standard error goes: a person's terminal or anything else."""
    console = Console(stderr=True)
    return _Terminal(console) if sys.stderr.isatty() and not console.is_dumb_terminal else _Lines(console)
