"""Pulumi programs under mocks: both preview modes, an event loop of its own for each module."""

# pyright: reportMissingTypeStubs=false
# xdist has none.

# Pulumi's SDK is imported by what uses it: this file is also read by the process that only hands out the tests, and the
# others start after it.

from __future__ import annotations

import gc
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from xdist.scheduler import LoadFileScheduling

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Generator

    from mocked_program import Program
    from pulumi_recorder import Recorder
    from xdist.remote import Producer

RENDERED = frozenset({"test_kubernetes_stacks.py", "test_parity.py", "test_program.py"})
"""Modules that look at the same rendered stacks."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadFileScheduling:
    """Side by side, a module stays in one process, and those that share what takes longest share a process too."""
    return _Side(config, log)


class _Side(LoadFileScheduling):
    """xdist's own groups of tests do nothing below pytest 9.2, which no longer lets a plugin rename a test."""

    def _split_scope(self, nodeid: str) -> str:
        module = super()._split_scope(nodeid)
        return "rendered stacks" if Path(module).name in RENDERED else module


# A rendered stack is a hundred thousand objects that live until its module is done; looking through them again and
# again takes a tenth of the time.
gc.set_threshold(100_000, 20, 20)


def pytest_collection_finish() -> None:
    """What was imported and collected stays until the end: no use in looking through that either."""
    gc.freeze()


@pytest.fixture(scope="module", params=[False, True], ids=["up", "preview"])
def dry_run(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture(scope="module")
def loop() -> Generator[asyncio.AbstractEventLoop]:
    from mocked_program import event_loop  # noqa: PLC0415

    with event_loop() as loop:
        yield loop


@pytest.fixture(scope="module")
def run(dry_run: bool, loop: asyncio.AbstractEventLoop) -> Callable[[str, Program], Recorder]:
    """Run a program to its end, resources drained, and hand over what it registered and returned."""
    from mocked_program import run_program  # noqa: PLC0415

    assert not loop.is_closed()
    return lambda stack, program: run_program(stack, program, dry_run=dry_run)
