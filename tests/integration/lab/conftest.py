"""These tests need the lab cluster, which ./demo test kubernetes starts."""

import os

import pytest
from live_cluster import cluster
from live_stack import KIND, KIND_VARIABLE

THOROUGH = "COMPASS_TEST_THOROUGH"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out what waits for a cluster's own time-outs, minutes each, unless somebody wants it."""
    if os.environ.get(THOROUGH):
        return
    for item in items:
        if item.get_closest_marker("thorough"):
            item.add_marker(pytest.mark.skip(reason=f"waits minutes for a time-out; {THOROUGH}=1 runs it"))


@pytest.fixture(scope="session", autouse=True)
def lab() -> None:
    """The lab cluster runs."""
    if KIND != "lab":
        pytest.skip(f"needs {KIND_VARIABLE}=lab and ./demo cluster up; ./demo test kubernetes does both")
    status = cluster("status")
    if status.returncode != 0:
        pytest.fail(f"the lab cluster does not serve:\n{status.stdout}{status.stderr}")
