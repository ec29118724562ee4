"""Runs a Pulumi program under mocks: a clean root each time, in a loop whose worker threads have loops too."""

# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false
# The SDK's mocks are not typed.

import asyncio
from collections.abc import Callable, Generator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from typing import Any, Final

import pulumi
import pytest
from pulumi import log
from pulumi.runtime import mocks, resource, settings
from pulumi.runtime.config import set_all_config
from pulumi.runtime.proto import source_pb2
from pulumi_recorder import Echo, Recorder

Program = Callable[[], Mapping[str, Any]]

_TYPES: Final = import_module("pulumi._types")
_OF_ANNOTATIONS: Final = {name: cache(getattr(_TYPES, name)) for name in ("_is_union_type", "_is_optional_type")}


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


@contextmanager
def sdk_without_detours() -> Generator[None]:
    """The SDK without what takes most of the time of a rendering and changes nothing of what tests look at."""
    with pytest.MonkeyPatch.context() as patch:
        # It notes where each resource was made, the whole stack.
        patch.setattr(resource, "_get_stack_trace", source_pb2.StackTrace)
        # It says each step to the engine; `./demo up` silences it too.
        patch.setattr(log, "debug", _say_nothing)
        # It looks at the same annotations again for each property of each resource.
        for name, function in _OF_ANNOTATIONS.items():
            patch.setattr(_TYPES, name, function)
        yield


def _say_nothing(*_: object, **__: object) -> None:
    """Instead of a message."""


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

    with sdk_without_detours():
        under_test()
    recorder.outputs = values
    return recorder
