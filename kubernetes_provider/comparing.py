"""What differs between two objects, as paths in the form that Pulumi shows."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal, cast

from kubernetes_provider.kinds import Path

__all__ = ["Change", "changes", "path_text"]

_PLAIN_KEY: Final = re.compile(r"[A-Za-z_$][A-Za-z0-9_$]*")
_MISSING: Final = object()


@dataclass(frozen=True, slots=True)
class Change:
    """One value that differs."""

    path: Path
    kind: Literal["add", "delete", "update"]


def changes(old: Any, new: Any, path: Path = ()) -> Iterator[Change]:
    """The values that differ, each as deep inside as possible; ``None`` counts as missing."""
    if isinstance(old, dict) and isinstance(new, dict):
        before, after = cast("dict[str, Any]", old), cast("dict[str, Any]", new)
        for key in {**before, **after}:
            yield from changes(before.get(key, _MISSING), after.get(key, _MISSING), (*path, key))
    elif isinstance(old, list) and isinstance(new, list):
        first, second = cast("list[Any]", old), cast("list[Any]", new)
        for index in range(max(len(first), len(second))):
            left = first[index] if index < len(first) else _MISSING
            right = second[index] if index < len(second) else _MISSING
            yield from changes(left, right, (*path, index))
    elif _missing(old) and not _missing(new):
        yield Change(path, "add")
    elif _missing(new) and not _missing(old):
        yield Change(path, "delete")
    elif not _missing(old) and (old != new or isinstance(old, bool) != isinstance(new, bool)):
        yield Change(path, "update")


def path_text(path: Path) -> str:
    """The path as Pulumi writes it: ``metadata.labels["app.kubernetes.io/name"]``, ``containers[0].image``."""
    text = ""
    for key in path:
        if isinstance(key, int):
            text += f"[{key}]"
        elif _PLAIN_KEY.fullmatch(key):
            text += f".{key}" if text else key
        else:
            text += '["' + key.replace("\\", "\\\\").replace('"', '\\"') + '"]'
    return text


def _missing(value: Any) -> bool:
    return value is _MISSING or value is None
