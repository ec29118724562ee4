"""Which incidents a run proves.

COMPASS_TEST_INCIDENTS is a list of names with commas between, or ``half``: those that the last commit touches, and
every second one of the others, the other half with the next commit. Without it all of them are run.
"""

import os
import subprocess

from incidents.catalog import catalog, find
from incidents.model import Incident
from infra.paths import REPOSITORY

__all__ = ["chosen", "commits"]

VARIABLE = "COMPASS_TEST_INCIDENTS"


def chosen() -> list[Incident]:
    """The definitions, in their order."""
    every = list(catalog().values())
    wanted = os.environ.get(VARIABLE, "")
    if not wanted:
        return every
    if wanted != "half":
        return [find(name) for name in wanted.split(",")]
    touched = {path.split("/")[1] for path in _git("diff", "--name-only", "HEAD~1").splitlines() if path.count("/") > 1}
    half = commits() % 2
    return [one for number, one in enumerate(every) if number % 2 == half or one.folder.name in touched]


def commits() -> int:
    """How many led to this state; grows by one with each, which is what makes turns."""
    return int(_git("rev-list", "--count", "HEAD") or 0)


def _git(*arguments: str) -> str:
    ran = subprocess.run(["git", *arguments], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    return ran.stdout.strip() if ran.returncode == 0 else ""
