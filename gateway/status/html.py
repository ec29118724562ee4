"""Filling templates so that text cannot become markup."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


# Not html.escape: its module also brings a table of every entity's name, nearly a megabyte.
_ESCAPES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#x27;"})


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


def fill(template: str, /, **values: object) -> Markup:
    """Return the template with its ``{names}`` replaced; whatever is not Markup is escaped, also for attributes."""
    return Markup(
        template.format_map(
            {
                name: value if isinstance(value, Markup) else str(value).translate(_ESCAPES)
                for name, value in values.items()
            }
        )
    )


def join(parts: Iterable[Markup]) -> Markup:
    """Return the parts as one."""
    return Markup("".join(parts))
