"""How long work tells what it does; the command line decides what that looks like."""

from collections.abc import Generator, Iterable
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

__all__ = ["Progress", "Silent", "Step"]


class Step(Protocol):
    """One piece of work that is under way. Methods may be called from any thread."""

    def update(self, detail: str, *, done: int | None = None, total: int | None = None) -> None:
        """Say what is being done now and, where it is known, how much of it is left."""
        ...


class Progress(Protocol):
    """A list of steps with their names and seconds."""

    def plan(self, names: Iterable[str]) -> None:
        """List steps that will come."""
        ...

    def step(self, name: str) -> AbstractContextManager[Step]:
        """Start a step; it ends with the ``with`` block, failed if that raises. Steps may overlap."""
        ...


class _SilentStep:
    def update(self, detail: str, *, done: int | None = None, total: int | None = None) -> None:
        """Say nothing."""


class Silent:
    """Progress for scripts that want none."""

    def plan(self, names: Iterable[str]) -> None:
        """List steps that nobody will see."""

    @contextmanager
    def step(self, name: str) -> Generator[Step]:  # noqa: ARG002 # the protocol's signature
        """Start a step that nobody sees."""
        yield _SilentStep()
