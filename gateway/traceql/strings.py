"""String literals, in Go's two forms: in double quotes with escapes, in backticks without."""

from __future__ import annotations

import re

from gateway.traceql.errors import TraceQLError

_PLAIN = re.compile(r'[^"\\\n]+')
_ESCAPE = re.compile(r"\\(?:([abfnrtv\\\"])|x([0-9A-Fa-f]{2})|u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|([0-7]{3}))")
_SIMPLE = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\", '"': '"'}
_NAMES = {"\n": "\\n", "\r": "\\r", "\t": "\\t", "\\": "\\\\", '"': '\\"'}
_LAST_ASCII, _LAST = 0x7F, 0x10FFFF
_SURROGATES = range(0xD800, 0xE000)


def quoted_string(query: str, position: int) -> tuple[str, int]:
    """Return the value of the literal in double quotes at a position, and the offset after it.

    Raises:
        TraceQLError: it has no end, or an escape that Go does not know.
    """
    parts: list[str] = []
    end = position + 1
    while end < len(query):
        if query[end] == '"':
            return "".join(parts), end + 1
        plain = _PLAIN.match(query, end)
        if plain:
            parts.append(plain[0])
            end = plain.end()
            continue
        escape = _ESCAPE.match(query, end)
        if not escape:
            what = "the string goes over the end of the line" if query[end] == "\n" else "unknown escape in the string"
            raise TraceQLError(what, query, end)
        parts.append(_escaped(escape, query))
        end = escape.end()
    raise TraceQLError("the string has no end", query, position)


def _escaped(escape: re.Match[str], query: str) -> str:
    simple, byte, short, long, octal = escape.groups()
    if simple:
        return _SIMPLE[simple]
    number = int(octal, 8) if octal else int(byte or short or long, 16)
    # \x and octal escapes are bytes; only those that are characters of their own are taken.
    if number > _LAST or number in _SURROGATES or ((byte or octal) and number > _LAST_ASCII):
        raise TraceQLError(f"{escape[0]} is not a character", query, escape.start())
    return chr(number)


def bare_string(query: str, position: int) -> tuple[str, int]:
    """Return the value of the literal in backticks at a position, and the offset after it.

    Raises:
        TraceQLError: it has no end.
    """
    end = query.find("`", position + 1)
    if end < 0:
        raise TraceQLError("the string has no end", query, position)
    return query[position + 1 : end], end + 1


def quote(value: str) -> str:
    """Return the literal in double quotes."""
    return '"' + "".join(_NAMES.get(one) or (one if one.isprintable() else f"\\U{ord(one):08x}") for one in value) + '"'
