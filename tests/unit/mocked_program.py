"""Runs a Pulumi program under mocks: a clean root each time, in a loop whose worker threads have loops too."""

# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false
# The SDK's mocks are not typed.

import asyncio
from collections.abc import Callable, Generator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pulumi
from pulumi.runtime import mocks, settings
from pulumi.runtime.config import set_all_config
from pulumi_recorder import Echo, Recorder

Program = Callable[[], Mapping[str, Any]]


@contextmanager
def event_loop() -> Generator[asyncio.AbstractEventLoop]:
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


def run_program(stack: str, program: Program, *, dry_run: bool) -> Recorder:
    """Run a program to its end, resources drained, and hand over what it registered and returned."""
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
