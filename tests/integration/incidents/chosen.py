"""Which incidents a run proves: COMPASS_TEST_INCIDENTS names them, with commas between; without it all of them."""

import os

from incidents.catalog import catalog, find
from incidents.model import Incident

__all__ = ["chosen"]

VARIABLE = "COMPASS_TEST_INCIDENTS"


def chosen() -> list[Incident]:
    """The definitions, in the order in which they are run."""
    wanted = os.environ.get(VARIABLE, "")
    return [find(name) for name in wanted.split(",")] if wanted else list(catalog().values())
