"""A display that remembers what it was told."""

from collections.abc import Generator, Iterable
from contextlib import contextmanager

from cli.progress import Row


class FakeDisplay:
    """Every start and end of a step, in order."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.said: list[str] = []
        self.rows: list[Row] = []
        self.dropped: list[str] = []

    @contextmanager
    def step(self, name: str) -> Generator[Row]:
        self.told.append(f"start {name}")
        self.rows.append(Row(name))
        try:
            yield self.rows[-1]
        except BaseException:
            self.told.append(f"failed {name}")
            raise
        self.told.append(f"done {name}")

    def plan(self, names: Iterable[str]) -> None:
        self.told.extend(f"plan {name}" for name in names)

    def drop(self, name: str) -> None:
        self.dropped.append(name)

    def say(self, sentence: str) -> None:
        self.said.append(sentence)

    @contextmanager
    def running(self) -> Generator[None]:
        yield
