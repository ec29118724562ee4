"""JSON schemas of tools' arguments."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_KINDS = {"text": "string", "number": "integer"}
START = ("text", "Start, RFC 3339 or relative to now (now-1h)")
END = ("text", "End, RFC 3339 or relative to now")


def schema(
    required: Mapping[str, tuple[str, str]], more: Mapping[str, object] | None = None, /, **optional: tuple[str, str]
) -> Mapping[str, object]:
    """Return a schema.

    Args:
        required: name to kind (``text``, ``number``) and description.
        more: name to the schema of an argument that may be left out and is of another kind.
        optional: the same for arguments that may be left out.
    """
    return {
        "type": "object",
        "properties": {
            name: {"type": _KINDS[kind], "description": description}
            for name, (kind, description) in {**required, **optional}.items()
        }
        | dict(more or {}),
        "required": list(required),
    }


DATASOURCE = {"datasourceUid": ("text", "The uid of the data source")}
