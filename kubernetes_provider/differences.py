"""What an update would change, asked of the API server by a dry run, and whether it takes a new object.

Where nothing was declared anew and the live object has every value as it is declared, a dry run could only say that
nothing changes, and takes several times as long as a look.
"""

import asyncio
from dataclasses import dataclass
from typing import Final

from kubernetes_provider.comparing import Change, changes, projected
from kubernetes_provider.faults import ApiFault, Invalid
from kubernetes_provider.kinds import Kind
from kubernetes_provider.manifests import Manifest, comparable
from kubernetes_provider.objects import Objects
from kubernetes_provider.paths import Object, Path, at

__all__ = ["Difference", "declared_difference", "live_difference"]

_ATTEMPTS: Final = 5
"""An object that is written to more often than that is compared as it was last."""
_IDENTITY: Final[tuple[Path, ...]] = (("metadata", "namespace"), ("metadata", "name"))


@dataclass(frozen=True, slots=True)
class Difference:
    """What changes, and the paths that make a new object necessary."""

    changes: tuple[Change, ...]
    replacing: tuple[Path, ...] = ()
    delete_first: bool = False

    def replaces(self, change: Change) -> bool:
        """Whether this change is one of those that make a new object necessary."""
        return any(
            change.path[: len(path)] == path or path[: len(change.path)] == change.path for path in self.replacing
        )


def declared_difference(kind: Kind, old: Manifest, new: Manifest) -> Difference:
    """What differs between two declarations."""
    moved = [path for path in _IDENTITY if at(old.body, path) != at(new.body, path)]
    replacing = (*moved, *kind.replacing_paths(old.body, new.body))
    # An object of the same name has to make room first.
    return Difference(tuple(changes(old.body, new.body)), replacing, delete_first=not moved)


async def live_difference(objects: Objects, kind: Kind, old_inputs: Object, new_inputs: Object) -> Difference:
    """What applying the new inputs would change in the live object.

    Values that the API server fills in or writes in another way are the same on both sides of a dry run, so they
    never show; and what someone changed by hand does show.

    Raises:
        Conflict: fields are managed by someone else and have other values.
        Invalid: the new inputs are not valid.
        ApiFault: the API server refused it.
        Unreachable: it does not answer.
    """
    old, new = Manifest.of(kind, old_inputs), Manifest.of(kind, new_inputs)
    declared = declared_difference(kind, old, new)
    if declared.replacing or not new.known:
        return declared
    if not declared.changes and await _is_as_declared(objects, new):
        return declared
    live, wanted = await _live_and_wanted(objects, kind, new)
    if live is None or live["metadata"].get("deletionTimestamp"):
        return Difference((Change(("metadata",), "add"),))
    if isinstance(wanted, Invalid):
        # The live object is another one than was declared: it was replaced by hand.
        replacing = kind.replacing_paths(projected(live, new.body), new.body)
        if not replacing:
            raise wanted
        return Difference(tuple(Change(path, "update") for path in replacing), tuple(replacing), delete_first=True)
    if isinstance(wanted, ApiFault):
        raise wanted
    return Difference(tuple(changes(comparable(live), comparable(wanted))))


async def _is_as_declared(objects: Objects, manifest: Manifest) -> bool:
    """Whether every declared value is to the letter in the live object."""
    live = await objects.get(manifest.kind, manifest.namespace, manifest.name)
    if live is None or live["metadata"].get("deletionTimestamp"):
        return False
    return not any(changes(projected(live, manifest.body), manifest.body))


async def _live_and_wanted(objects: Objects, kind: Kind, new: Manifest) -> tuple[Object | None, Object | ApiFault]:
    """The live object, and what the API server makes of the new one, both of one and the same moment.

    A controller may write in between, and its annotation would show as a difference.
    """
    live: Object | None = None
    wanted: Object | ApiFault = {}
    for _ in range(_ATTEMPTS):
        found, tried = await asyncio.gather(
            objects.get(kind, new.namespace, new.name), objects.apply(new, dry_run=True), return_exceptions=True
        )
        if isinstance(found, BaseException):
            raise found
        if isinstance(tried, BaseException) and not isinstance(tried, ApiFault):
            raise tried
        live, wanted = found, tried
        if live is None or isinstance(wanted, ApiFault) or _version(live) == _version(wanted):
            break
    return live, wanted


def _version(live: Object) -> str:
    return str(at(live, ("metadata", "resourceVersion")))
