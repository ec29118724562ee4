"""These tests need the lab cluster, which ./demo test kubernetes starts."""

import pytest
from live_cluster import cluster
from live_stack import KIND, KIND_VARIABLE


@pytest.fixture(scope="session", autouse=True)
def lab() -> None:
    """The lab cluster runs."""
    if KIND != "lab":
        pytest.skip(f"needs {KIND_VARIABLE}=lab and ./demo cluster up; ./demo test kubernetes does both")
    status = cluster("status")
    if status.returncode != 0:
        pytest.fail(f"the lab cluster does not serve:\n{status.stdout}{status.stderr}")
