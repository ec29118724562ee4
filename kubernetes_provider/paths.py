"""JSON objects of which little is known, and ways into them."""

from typing import Any, cast

__all__ = ["Json", "Object", "Path", "at", "items_at", "object_at"]

Json = Any
"""A JSON value, with marks for secret and unknown parts where it comes from the engine."""

Object = dict[str, Any]
"""A JSON object."""

Path = tuple[str | int, ...]
"""Where a value is inside of an object."""


def at(value: Json, path: Path) -> Json:
    """The part of an object at a path; ``None`` where there is none."""
    for key in path:
        if isinstance(key, int):
            items = cast("list[Json]", value) if isinstance(value, list) else []
            value = items[key] if key < len(items) else None
        else:
            value = cast("Object", value).get(key) if isinstance(value, dict) else None
    return value


def object_at(value: Json, *path: str | int) -> Object:
    """The object at a path; an empty one where there is none."""
    found = at(value, path)
    return cast("Object", found) if isinstance(found, dict) else {}


def items_at(value: Json, *path: str | int) -> list[Json]:
    """The list at a path; an empty one where there is none."""
    found = at(value, path)
    return cast("list[Json]", found) if isinstance(found, list) else []
