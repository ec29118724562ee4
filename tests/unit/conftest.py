"""Pulumi programs under mocks: both preview modes, an event loop of its own for each module."""

# pyright: reportMissingTypeStubs=false
# xdist has none.

import asyncio
import gc
from collections.abc import Callable, Generator
from functools import cache
from importlib import import_module
from pathlib import Path

import pytest
from mocked_program import Program, event_loop, run_program
from pulumi import log
from pulumi.runtime import resource
from pulumi.runtime.proto import source_pb2
from pulumi_recorder import Recorder
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

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


@pytest.fixture(scope="session", autouse=True)
def _sdk_without_detours() -> Generator[None]:
    """The SDK without what takes most of the time of these tests and changes nothing of what they look at."""
    types = import_module("pulumi._types")
    with pytest.MonkeyPatch.context() as patch:
        # It notes where each resource was made, the whole stack.
        patch.setattr(resource, "_get_stack_trace", source_pb2.StackTrace)
        # It says each step to the engine; `./demo up` silences it too.
        patch.setattr(log, "debug", _say_nothing)
        # It looks at the same annotations again for each property of each resource.
        for name in ("_is_union_type", "_is_optional_type"):
            patch.setattr(types, name, cache(getattr(types, name)))
        yield


def _say_nothing(*_: object, **__: object) -> None:
    """Instead of a message."""


@pytest.fixture(scope="module", params=[False, True], ids=["up", "preview"])
def dry_run(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture(scope="module")
def loop() -> Generator[asyncio.AbstractEventLoop]:
    with event_loop() as loop:
        yield loop


@pytest.fixture(scope="module")
def run(dry_run: bool, loop: asyncio.AbstractEventLoop) -> Callable[[str, Program], Recorder]:
    """Run a program to its end, resources drained, and hand over what it registered and returned."""
    assert not loop.is_closed()
    return lambda stack, program: run_program(stack, program, dry_run=dry_run)
