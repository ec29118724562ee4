"""These tests need the lab cluster, which ./demo test kubernetes starts."""

from collections.abc import Generator

import pytest
from live_cluster import cluster
from live_stack import KIND, KIND_VARIABLE, Stack, make_stack


@pytest.fixture(scope="session", autouse=True)
def lab() -> None:
    """The lab cluster runs."""
    if KIND != "lab":
        pytest.skip(f"needs {KIND_VARIABLE}=lab and ./demo cluster up; ./demo test kubernetes does both")
    status = cluster("status")
    if status.returncode != 0:
        pytest.fail(f"the lab cluster does not serve:\n{status.stdout}{status.stderr}")


@pytest.fixture(scope="module")
def fragile(tmp_path_factory: pytest.TempPathFactory) -> Generator[Stack]:
    """A small stack that is broken again and again."""
    one = make_stack(tmp_path_factory.mktemp("fragile"), "lfault", 21000, "lab", seedPayments=10000)
    one.demo("destroy", one.name)
    yield one
    one.demo("destroy", one.name)
