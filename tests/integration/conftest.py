"""The stack that the tests look at, brought up once."""

import os
from collections.abc import Generator

import pytest
from eventually import eventually
from live_stack import KIND, Stack, Telemetry, make_stack

from cli.platforms.docker import remove_leftovers
from cli.testing import LENGTH
from toolchain.engine import Engine

THOROUGH = "COMPASS_TEST_THOROUGH"
CLUSTER_SECONDS = 900
"""For one test on a cluster: the first one brings the stack up, and those of faults do so several times."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out what takes minutes each, unless somebody wants it, and what a short run of a suite has not."""
    left_out = {
        "thorough": "" if os.environ.get(THOROUGH) else f"takes minutes; {THOROUGH}=1 runs it",
        "long": f"{LENGTH}=short leaves it out" if os.environ.get(LENGTH) == "short" else "",
    }
    for item in items:
        for marker, reason in left_out.items():
            if reason and item.get_closest_marker(marker):
                item.add_marker(pytest.mark.skip(reason=reason))
        if KIND == "lab" and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(CLUSTER_SECONDS))


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
