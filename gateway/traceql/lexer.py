"""Text to tokens."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum, auto

from gateway.traceql.errors import TraceQLError
from gateway.traceql.model import Duration
from gateway.traceql.strings import bare_string, quoted_string

LARGEST = 2**63 - 1
_UNITS = {
    "ns": 1,
    "us": 1000,
    "µs": 1000,
    "μs": 1000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
    "d": 86_400_000_000_000,
    "w": 604_800_000_000_000,
    "y": 31_536_000_000_000_000,
}

_SPACE = re.compile(r"[ \t\r\n]+")
_SYMBOL = re.compile(r"&>>|&<<|&>|&<|&~|!>>|!<<|&&|\|\||=~|!=|!~|<=|>=|>>|<<|[{}()=<>|!~,+\-*/%^]")
# A word goes on to the next operator, so that http-status and a/b are names, as in Tempo.
_WORD = re.compile(r"[^\s{}()=~!<>&|^,\"`%]+")
# A number goes on in the same way, with the sign of an exponent, but a minus begins something else.
_NUMBER = re.compile(r"(?:[0-9.]+[eE][+-])?[^\s{}()=~!<>&|^,\"`%+\-*/]+")
_PART = re.compile(r"(\d+(?:\.\d*)?)(ns|us|µs|μs|ms|s|m|h|d|w|y)", re.ASCII)
_DURATION = re.compile(rf"(?:{_PART.pattern})+", re.ASCII)
_FLOAT = re.compile(r"\d+(?:\.\d+)?(?:[eE][+-]?\d+)?", re.ASCII)
_INTEGER = re.compile(r"\d+", re.ASCII)


class TokenKind(Enum):
    """What a token is."""

    SYMBOL = auto()
    WORD = auto()
    STRING = auto()
    NUMBER = auto()
    DURATION = auto()
    END = auto()


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of the query.

    Attributes:
        kind: what it is.
        text: as written.
        position: offset into the query.
        value: of a literal. A word with quoted parts (``span."a b"``) has its name here.
    """

    kind: TokenKind
    text: str
    position: int
    value: str | int | float | Duration | None = None


def tokens(query: str) -> list[Token]:
    """Return the tokens, the last of which is the end.

    Raises:
        TraceQLError: there is something that is no token.
    """
    found: list[Token] = []
    position = 0
    while position < len(query):
        space = _SPACE.match(query, position)
        if space:
            position = space.end()
            continue
        token = _next(query, position)
        found.append(token)
        position += len(token.text)
    found.append(Token(TokenKind.END, "", len(query)))
    return found


def _next(query: str, position: int) -> Token:
    first = query[position]
    if first == '"':
        value, end = quoted_string(query, position)
        return Token(TokenKind.STRING, query[position:end], position, value)
    if first == "`":
        value, end = bare_string(query, position)
        return Token(TokenKind.STRING, query[position:end], position, value)
    if first.isascii() and first.isdigit():
        return _number(query, position)
    symbol = _SYMBOL.match(query, position)
    if symbol:
        return Token(TokenKind.SYMBOL, symbol[0], position)
    if _WORD.match(query, position):
        return _word(query, position)
    raise TraceQLError(f"unexpected character {first!r}", query, position)


def _number(query: str, position: int) -> Token:
    written = _NUMBER.match(query, position)
    text = written[0] if written else query[position]
    if _DURATION.fullmatch(text):
        nanoseconds = int(sum(Decimal(count) * _UNITS[unit] for count, unit in _PART.findall(text)))
        if nanoseconds > LARGEST:
            raise TraceQLError(f"the duration {text} is too long", query, position)
        return Token(TokenKind.DURATION, text, position, Duration(nanoseconds))
    if _INTEGER.fullmatch(text):
        if len(text) > len(str(LARGEST)) or int(text) > LARGEST:
            raise TraceQLError(f"the number {text} is too large", query, position)
        return Token(TokenKind.NUMBER, text, position, int(text))
    if _FLOAT.fullmatch(text):
        value = float(text)
        if value == float("inf"):
            raise TraceQLError(f"the number {text} is too large", query, position)
        return Token(TokenKind.NUMBER, text, position, value)
    raise TraceQLError(f"{text!r} is neither a number nor a duration", query, position)


def _word(query: str, position: int) -> Token:
    parts: list[str] = []
    end = position
    while end < len(query):
        plain = _WORD.match(query, end)
        if plain:
            parts.append(plain[0])
            end = plain.end()
        elif query[end] == '"' and parts and parts[-1].endswith("."):
            value, end = quoted_string(query, end)
            parts.append(value)
            # What follows the closing quote begins something else.
            break
        else:
            break
    return Token(TokenKind.WORD, query[position:end], position, "".join(parts))
