"""Runs a Pulumi program under mocks: both preview modes, a clean root and an event loop of its own for each test."""

# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false
# The SDK's mocks are not typed.

import asyncio
from collections.abc import Callable, Generator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pulumi
import pytest
from pulumi.runtime import mocks, resource, settings
from pulumi.runtime.config import set_all_config
from pulumi.runtime.proto import source_pb2
from pulumi_recorder import Echo, Recorder


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
    """A loop whose worker threads have loops too: the SDK makes them there and never closes them."""
    worker_loops: list[asyncio.AbstractEventLoop] = []

    def give_loop() -> None:
        worker_loops.append(asyncio.new_event_loop())
        asyncio.set_event_loop(worker_loops[-1])

    loop = asyncio.new_event_loop()
    executor = ThreadPoolExecutor(initializer=give_loop)
    loop.set_default_executor(executor)
    asyncio.set_event_loop(loop)
    yield loop
    executor.shutdown()
    for one in (*worker_loops, loop):
        one.close()
    asyncio.set_event_loop(None)


Program = Callable[[], Mapping[str, Any]]


@pytest.fixture(scope="module")
def run(dry_run: bool, loop: asyncio.AbstractEventLoop) -> Callable[[str, Program], Recorder]:
    """Run a program to its end, resources drained, and hand over what it registered and returned."""
    assert not loop.is_closed()

    def runner(stack: str, program: Program) -> Recorder:
        recorder = Recorder()
        settings.set_root_resource(None)  # type: ignore[arg-type] # set_mocks keeps the last test's root otherwise
        mocks.set_mocks(Echo(), project="compass-demo", stack=stack, preview=dry_run, monitor=recorder)
        set_all_config({})
        values: dict[str, Any] = {}

        @pulumi.runtime.test
        def under_test() -> pulumi.Output[Any]:
            values.update(program())
            return pulumi.Output.all(*[output for output in values.values() if isinstance(output, pulumi.Output)])

        under_test()
        recorder.outputs = values
        return recorder

    return runner
