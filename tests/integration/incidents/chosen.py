"""Which incidents a run proves, by COMPASS_TEST_INCIDENTS: names with commas between, ``changed``, or all without it.

``changed`` is for CI, where all of them take too long: those whose folder a commit of the last day touched, counted
back from HEAD's; half of the rest, the other half on the day after; and the control. Where a change begins cannot be
told from a clone of it, and a day is more than one takes.
"""

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from incidents.catalog import catalog, find
from incidents.model import Incident, Kind

__all__ = ["SECOND_ATTEMPTS", "VARIABLE", "Choice", "choose"]

VARIABLE = "COMPASS_TEST_INCIDENTS"
SECOND_ATTEMPTS: dict[str, str] = {}
"""By incident, why it was tried twice in this run."""
_CHANGED = "changed"
_DAY_SECONDS = 86_400


@dataclass(frozen=True, slots=True)
class Choice:
    """What a run proves.

    Attributes:
        incidents: in the order in which they are run.
        why: one line.
    """

    incidents: Sequence[Incident]
    why: str


def choose(environment: Mapping[str, str] = os.environ, repository: Path = Path(__file__).parents[3]) -> Choice:
    """By the environment; ``repository`` is where the history is."""
    wanted = environment.get(VARIABLE, "")
    if wanted == _CHANGED:
        return _by_history(repository)
    if wanted:
        return Choice([find(name) for name in wanted.split(",")], f"{VARIABLE} names them")
    return Choice(list(catalog().values()), "all there are")


def _by_history(repository: Path) -> Choice:
    touched, day, note = _history(repository)
    every = list(catalog().values())
    changed = [one for one in every if one.folder.name in touched]
    control = [one for one in every if one.kind is Kind.CONTROL]
    rest = [one for one in every if one not in changed and one not in control]
    size = (len(rest) + 1) // 2
    first = day * size % len(rest) if rest else 0
    half = (rest[first:] + rest[:first])[:size]
    taken = [one for one in every if one in changed or one in half or one in control]
    why = (
        f"changed within a day{note}: {', '.join(one.name for one in changed) or 'none'}; half of the rest, from "
        f"{half[0].name if half else 'none'} on (the turn of HEAD's day, {day}); the control"
    )
    return Choice(taken, why)


def _history(repository: Path) -> tuple[set[str], int, str]:
    """Folders of ``incidents/`` that were touched lately, HEAD's day since 1970, and what could not be read."""
    try:
        time = int(_git(repository, "log", "-1", "--format=%ct"))
        # The oldest commit of a clone may be cut off from its parents and would show every file as new.
        log = ("-c", "log.showRoot=false", "log", "--format=", "--name-only", f"--since={time - _DAY_SECONDS}")
        paths = [Path(line).parts for line in _git(repository, *log, "--", "incidents").splitlines()]
    except (OSError, subprocess.CalledProcessError) as error:
        return set(), 0, f" (no history: {error})"
    return {parts[1] for parts in paths if len(parts) > 1}, time // _DAY_SECONDS, ""


def _git(repository: Path, *arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=repository, check=True, capture_output=True, text=True).stdout
