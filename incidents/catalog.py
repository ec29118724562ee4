"""All incidents there are: every folder of this package that defines one, checked.

CatalogError            the definitions contradict each other or their files; a defect of this repository
UnknownIncidentError    no incident has this name
"""

import difflib
import importlib
import pkgutil
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import cache
from types import MappingProxyType

import incidents
from incidents.model import Fix, Incident, Kind, Signal

__all__ = ["CatalogError", "UnknownIncidentError", "catalog", "faults", "find"]

_OTHER_PACKAGES = frozenset({"runner"})
_NAME = re.compile(r"[a-z]+(-[a-z0-9]+)*")
_FIX_FILES = frozenset({"fix.sql", "settings.toml"})


class CatalogError(Exception):
    """The definitions do not hold. Its text has one sentence for each fault."""


class UnknownIncidentError(LookupError):
    """No incident has this name.

    Attributes:
        name: what was asked for.
        nearest: names that are like it, the most alike first.
    """

    def __init__(self, name: str, nearest: tuple[str, ...], known: Iterable[str]) -> None:
        hint = f"Did you mean {' or '.join(nearest)}?" if nearest else f"There are: {', '.join(known)}."
        super().__init__(f"There is no incident {name!r}. {hint}")
        self.name = name
        self.nearest = nearest


@cache
def catalog() -> Mapping[str, Incident]:
    """Every incident by its name, ordered by rank.

    Raises:
        CatalogError: definitions or their files are wrong.
    """
    found: list[Incident] = []
    wrong: list[str] = []
    for module in pkgutil.iter_modules(incidents.__path__, f"{incidents.__name__}."):
        folder = module.name.rpartition(".")[2]
        if not module.ispkg or folder in _OTHER_PACKAGES:
            continue
        incident = getattr(importlib.import_module(module.name), "INCIDENT", None)
        if isinstance(incident, Incident):
            found.append(incident)
        else:
            wrong.append(f"The package {module.name} defines no INCIDENT.")
    wrong += faults(found)
    if wrong:
        raise CatalogError("\n".join(wrong))
    return MappingProxyType({incident.name: incident for incident in sorted(found, key=lambda one: one.rank)})


def find(name: str) -> Incident:
    """The incident of this name.

    Args:
        name: as somebody typed it; underscores, spaces and capitals do no harm.

    Raises:
        UnknownIncidentError: there is none; it knows the nearest names.
    """
    known = catalog()
    wanted = re.sub(r"[\s_]+", "-", name.strip().lower())
    if wanted in known:
        return known[wanted]
    # Part of a name ("deadlock") is nearer to it than its letters say.
    nearest = [one for one in known if wanted and wanted in one]
    nearest += [one for one in difflib.get_close_matches(wanted, known, n=3, cutoff=0.5) if one not in nearest]
    raise UnknownIncidentError(name, tuple(nearest[:3]), known)


def faults(found: Iterable[Incident]) -> list[str]:
    """What is wrong with a set of definitions, in sentences; nothing: it can be used.

    Args:
        found: all of them, because they refer to each other.
    """
    every = tuple(found)
    wrong = [
        f"{what} {value!r} is that of {count} incidents."
        for what, values in (("The name", [one.name for one in every]), ("The rank", [one.rank for one in every]))
        for value, count in Counter[str | int](values).items()
        if count > 1
    ]
    by_name = {one.name: one for one in every}
    for incident in every:
        sentences = [
            *_wrong_shape(incident),
            *_wrong_files(incident),
            *_wrong_sql(incident, by_name),
            *_wrong_look_alikes(incident, by_name),
        ]
        wrong += [f"{incident.name}: {sentence}" for sentence in sentences]
    return wrong


def _wrong_shape(incident: Incident) -> list[str]:
    """What a definition of its kind lacks, or has too much."""
    checks = [
        (_NAME.fullmatch(incident.name) is not None, "the name is not lower case with hyphens."),
        (
            incident.folder.name == incident.name.replace("-", "_"),
            f"the folder is called {incident.folder.name}, not as the incident.",
        ),
        (bool(incident.title and incident.summary), "title and summary must say something."),
        (sum(step.meets_after is not None for step in incident.steps) != 1, "a step meets another, and there is none."),
    ]
    if incident.kind is Kind.CONTROL:
        checks.append((not (incident.steps or incident.alert), "a control has neither steps nor an alert."))
    else:
        checks += [
            (bool(incident.steps), "nothing injects it."),
            (bool(incident.evidence), "nothing shows it."),
            (bool(incident.bound), "it does not say what bounds the disk and memory that it takes."),
        ]
    if incident.kind is Kind.DECOY:
        checks.append((incident.alert is None, "no alert may fire for a decoy."))
    if incident.kind is Kind.INCIDENT:
        seen = {evidence.signal for evidence in incident.evidence}
        checks += [(signal in seen, f"there is no evidence in its {signal.value}.") for signal in Signal]
        checks += [
            (incident.alert is not None, "no alert belongs to it."),
            (incident.oracle is not None, "no oracle says when it is fixed."),
            (bool(incident.causes and incident.ask and incident.finds), "causes, questions or answers are missing."),
            (_starts_with_folder(incident.right_fixes), "its first right fix has no folder."),
            (_starts_with_folder(incident.unsafe_fixes), "its first unsafe fix has no folder."),
        ]
    names = Counter((evidence.signal, evidence.name) for evidence in incident.evidence)
    checks += [(count == 1, f"{count} pieces of evidence are called {key[1]!r}.") for key, count in names.items()]
    return [sentence for holds, sentence in checks if not holds]


def _starts_with_folder(fixes: tuple[Fix, ...]) -> bool:
    return bool(fixes) and fixes[0].folder is not None


def _wrong_files(incident: Incident) -> list[str]:
    """Files that are named and missing, or there and not named."""
    named = {incident.recover, *(step.file for step in incident.steps)}
    there = {path.name for path in incident.folder.glob("*.sql")}
    wrong = [f"there is no file {name}." for name in sorted(named - there)]
    wrong += [f"no step uses {name}." for name in sorted(there - named)]
    folders = [fix.folder for fix in (*incident.right_fixes, *incident.unsafe_fixes) if fix.folder is not None]
    for folder in folders:
        files = {path.name for path in (incident.folder / folder).glob("*")}
        if not files:
            wrong.append(f"the folder {folder} of a fix is missing or empty.")
        wrong += [f"{folder}/{name} is not part of a fix." for name in sorted(files - _FIX_FILES)]
    kept = {f"fixes/{path.name}" for path in (incident.folder / "fixes").glob("*")}
    wrong += [f"no fix uses {name}." for name in sorted(kept - set(folders))]
    return wrong


def _wrong_sql(incident: Incident, by_name: Mapping[str, Incident]) -> list[str]:
    """What PostgreSQL's log and statistics would tell an agent."""
    wrong: list[str] = []
    for path in sorted(incident.folder.rglob("*.sql")):
        text = path.read_text(encoding="utf-8").lower()
        where = path.relative_to(incident.folder).as_posix()
        if "pg_sleep" in text:
            wrong.append(f"{where} sleeps in the server.")
        wrong += [f"{where} names {name}." for name in by_name if _names(text, name)]
    return wrong


def _names(text: str, name: str) -> bool:
    return re.search(rf"\b{'[-_ ]?'.join(name.split('-'))}\b", text) is not None


def _wrong_look_alikes(incident: Incident, by_name: Mapping[str, Incident]) -> list[str]:
    wrong: list[str] = []
    for look_alike in incident.look_alikes:
        other = by_name.get(look_alike.other)
        if other is None:
            wrong.append(f"it looks like {look_alike.other}, which does not exist.")
        elif incident.name not in {back.other for back in other.look_alikes}:
            wrong.append(f"it looks like {other.name}, but {other.name} does not say that it looks like it.")
    return wrong
