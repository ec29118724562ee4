"""Pulumi programs under mocks: both preview modes, an event loop of its own for each module."""

import asyncio
import gc
from collections.abc import Callable, Generator

import pytest
from mocked_program import Program, event_loop, run_program
from pulumi.runtime import resource
from pulumi.runtime.proto import source_pb2
from pulumi_recorder import Recorder

RENDERED = frozenset({"test_kubernetes_stacks.py", "test_parity.py", "test_program.py"})
"""Modules that look at the same rendered stacks."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Side by side, a module stays in one process, and those that share what takes longest share a process too."""
    for item in items:
        name = "rendered stacks" if item.path.name in RENDERED else str(item.path)
        item.add_marker(pytest.mark.xdist_group(name))


# A rendered stack is a hundred thousand objects that live until its module is done; looking through them again and
# again takes a tenth of the time.
gc.set_threshold(100_000, 20, 20)


@pytest.fixture(scope="session", autouse=True)
def _no_source_positions() -> Generator[None]:
    """The SDK notes where each resource was made, the whole stack: below pytest half of the time of these tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(resource, "_get_stack_trace", source_pb2.StackTrace)
        yield


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
