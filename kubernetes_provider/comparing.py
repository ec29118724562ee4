"""What differs between two objects, as paths in the form that Pulumi shows."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal, cast

from kubernetes_provider.paths import Json, Path

__all__ = ["Change", "changes", "path_text", "projected"]

_PLAIN_KEY: Final = re.compile(r"[A-Za-z_$][A-Za-z0-9_$]*")
_MISSING: Final = object()


@dataclass(frozen=True, slots=True)
class Change:
    """One value that differs."""

    path: Path
    kind: Literal["add", "delete", "update"]


def changes(old: Json, new: Json, path: Path = ()) -> Iterator[Change]:
    """The values that differ, each as deep inside as possible; ``None`` counts as missing."""
    if isinstance(old, dict) and isinstance(new, dict):
        before, after = cast("dict[str, Json]", old), cast("dict[str, Json]", new)
        for key in {**before, **after}:
            yield from changes(before.get(key, _MISSING), after.get(key, _MISSING), (*path, key))
    elif isinstance(old, list) and isinstance(new, list):
        first, second = cast("list[Json]", old), cast("list[Json]", new)
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


def projected(value: Json, like: Json) -> Json:
    """What of ``value`` is also declared in ``like``."""
    if isinstance(value, dict) and isinstance(like, dict):
        whole, wanted = cast("dict[str, Json]", value), cast("dict[str, Json]", like)
        return {key: projected(whole[key], wanted[key]) for key in wanted if key in whole}
    if isinstance(value, list) and isinstance(like, list):
        items, wanted_items = cast("list[Json]", value), cast("list[Json]", like)
        if len(items) == len(wanted_items):
            return [projected(item, one) for item, one in zip(items, wanted_items, strict=True)]
    return cast("Json", value)


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


def _missing(value: Json) -> bool:
    return value is _MISSING or value is None
