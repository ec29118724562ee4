"""The stack that the tests look at, brought up once."""

import os
from collections.abc import Generator

import pytest
from eventually import eventually
from live_stack import KIND, Stack, Telemetry, make_stack

from cli.platforms.docker import remove_leftovers
from toolchain.engine import Engine

THOROUGH = "COMPASS_TEST_THOROUGH"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out what takes minutes each, unless somebody wants it."""
    if os.environ.get(THOROUGH):
        return
    for item in items:
        if item.get_closest_marker("thorough"):
            item.add_marker(pytest.mark.skip(reason=f"takes minutes; {THOROUGH}=1 runs it"))


@pytest.fixture(scope="session")
def engine() -> Engine:
    return Engine.connect()


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory, engine: Engine) -> Generator[Stack]:
    """The default stack, brought up once for all tests that only look; the seed is as large as a user's."""
    one = make_stack(tmp_path_factory.mktemp("stack"), "itest", 20000)
    if KIND == "airgap":
        remove_leftovers(engine, one.name)
    one.succeed("up", one.name, timeout=600)
    with one.reachable():
        yield one
    one.demo("destroy", one.name)
    if KIND == "airgap":
        remove_leftovers(engine, one.name)


@pytest.fixture(scope="session")
def telemetry(stack: Stack) -> Telemetry:
    found = Telemetry(stack.settings)
    # Scraping starts seconds after the stack answers.
    eventually(lambda: len(found.promql("up == 1")) == len(found.promql("up")) > 5, seconds=30)
    return found
