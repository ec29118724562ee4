"""The syntax of regular expressions: text to a tree."""

from __future__ import annotations

import re

from gateway.traceql.regex_tree import LAST, MOST, Anchor, Chars, Choice, Node, PatternError, Repeat, Sequence

# How deep groups nest.
_DEPTH = 40
_A, _Z, _TO_LOWER = ord("A"), ord("Z"), ord("a") - ord("A")
_COUNT = re.compile(r"\{(\d{1,4})(?:(,)(\d{1,4})?)?\}", re.ASCII)
_HEX = re.compile(r"x(?:([0-9A-Fa-f]{2})|\{([0-9A-Fa-f]{1,8})\})")
_GROUP = re.compile(r"\((?:\?(?::|P?<[A-Za-z_]\w*>))?", re.ASCII)
_FLAGS = re.compile(r"\(\?([is]+)\)")
_NAMED = {"n": "\n", "r": "\r", "t": "\t", "f": "\f", "v": "\v", "a": "\a"}


_ANY = Chars(((0, LAST),))
_DIGIT = Chars(((48, 57),))
_WORD = Chars(((48, 57), (65, 90), (95, 95), (97, 122)))
_SPACE = Chars(((9, 10), (12, 13), (32, 32)))
_CLASSES = {
    "d": _DIGIT,
    "D": _DIGIT.inverted(),
    "w": _WORD,
    "W": _WORD.inverted(),
    "s": _SPACE,
    "S": _SPACE.inverted(),
}


def parse(expression: str) -> tuple[Node, bool]:
    """Return the tree, and whether upper and lower case are the same.

    Raises:
        PatternError: the text is no regular expression, or uses what is not supported here.
    """
    flags = _FLAGS.match(expression)
    fold = flags is not None and "i" in flags[1]
    reader = _Reader(expression, flags.end() if flags else 0, fold=fold)
    return reader.whole(), fold


class _Reader:
    def __init__(self, text: str, at: int, *, fold: bool) -> None:
        self._text = text
        self._at = at
        self._fold = fold
        self._depth = 0

    def whole(self) -> Node:
        node = self._choice()
        if self._at < len(self._text):
            raise PatternError("a ) without its (")
        return node

    def _choice(self) -> Node:
        parts = [self._sequence()]
        while self._next("|"):
            parts.append(self._sequence())
        return parts[0] if len(parts) == 1 else Choice(tuple(parts))

    def _sequence(self) -> Node:
        parts: list[Node] = []
        while self._at < len(self._text) and self._text[self._at] not in "|)":
            parts.append(self._repeated())
        return parts[0] if len(parts) == 1 else Sequence(tuple(parts))

    def _repeated(self) -> Node:
        node = self._atom()
        repeated = False
        while self._at < len(self._text):
            times = self._times()
            if times is None:
                return node
            if repeated:
                raise PatternError("a repetition of a repetition; put parentheses around it")
            self._next("?")
            node, repeated = Repeat(node, *times), True
        return node

    def _times(self) -> tuple[int, int | None] | None:
        for sign, times in (("*", (0, None)), ("+", (1, None)), ("?", (0, 1))):
            if self._next(sign):
                return times
        counted = _COUNT.match(self._text, self._at)
        if not counted:
            return None
        self._at = counted.end()
        least = int(counted[1])
        most = (int(counted[3]) if counted[3] else None) if counted[2] else least
        if max(least, most or 0) > MOST or (most is not None and most < least):
            raise PatternError(f"the repetition {counted[0]} is not between 0 and {MOST}, or upside down")
        return least, most

    def _atom(self) -> Node:
        one = self._text[self._at]
        if one == "(":
            return self._group()
        self._at += 1
        match one:
            case "[":
                return self._brackets()
            case ".":
                return _ANY
            case "^" | "$":
                return Anchor(one == "^")
            case "\\":
                return self._escape()
            case "*" | "+" | "?":
                raise PatternError(f"nothing before the {one}")
            case _:
                return self._literal(one)

    def _group(self) -> Node:
        opened = _GROUP.match(self._text, self._at)
        if not opened or self._text.startswith("?", opened.end()):
            raise PatternError(
                f"{self._text[self._at : self._at + 4]!r} is not supported here, but (?i) at the begin is"
            )
        self._at = opened.end()
        self._depth += 1
        if self._depth > _DEPTH:
            raise PatternError(f"groups nest deeper than the limit of {_DEPTH}")
        node = self._choice()
        self._depth -= 1
        if not self._next(")"):
            raise PatternError("a ( without its )")
        return node

    def _escape(self) -> Node:
        if self._at >= len(self._text):
            raise PatternError("a backslash at the end")
        one = self._text[self._at]
        if one in "Az":
            self._at += 1
            return Anchor(one == "A")
        if one in _CLASSES:
            self._at += 1
            return _CLASSES[one]
        return self._literal(self._character())

    def _character(self) -> str:
        """Read what follows a backslash and stands for one character."""
        hexadecimal = _HEX.match(self._text, self._at)
        if hexadecimal:
            number = int(hexadecimal[1] or hexadecimal[2], 16)
            if number > LAST:
                raise PatternError(f"\\{hexadecimal[0]} is not a character")
            self._at = hexadecimal.end()
            return chr(number)
        one = self._text[self._at]
        self._at += 1
        if one in _NAMED:
            return _NAMED[one]
        if one.isascii() and not one.isalnum():
            return one
        raise PatternError(f"the escape \\{one} is not supported here")

    def _brackets(self) -> Node:
        inverted = self._next("^")
        ranges: list[tuple[int, int]] = []
        first = True
        while first or not self._next("]"):
            first = False
            low = self._member()
            if isinstance(low, Chars):
                ranges.extend(low.ranges)
                continue
            high = low
            if self._text.startswith("-", self._at) and not self._text.startswith("-]", self._at):
                self._at += 1
                upper = self._member()
                if isinstance(upper, Chars) or upper < low:
                    raise PatternError("a range in [ ] that is upside down or ends with a class")
                high = upper
            ranges.append((ord(low), ord(high)))
        chars = self._folded(Chars(tuple(ranges)))
        return chars.inverted() if inverted else chars

    def _member(self) -> str | Chars:
        if self._at >= len(self._text):
            raise PatternError("a [ without its ]")
        if self._text.startswith("[:", self._at):
            raise PatternError("classes such as [:alpha:] are not supported here")
        one = self._text[self._at]
        self._at += 1
        if one != "\\":
            return one
        if self._at >= len(self._text):
            raise PatternError("a backslash at the end")
        if self._text[self._at] in _CLASSES:
            self._at += 1
            return _CLASSES[self._text[self._at - 1]]
        return self._character()

    def _literal(self, one: str) -> Node:
        return self._folded(Chars(((ord(one), ord(one)),)))

    def _folded(self, chars: Chars) -> Chars:
        """Let a class hold the lower case of its ASCII letters too: the text is in lower case."""
        if not self._fold:
            return chars
        capitals = [
            (max(low, _A) + _TO_LOWER, min(high, _Z) + _TO_LOWER)
            for low, high in chars.ranges
            if low <= _Z and high >= _A
        ]
        single = [ord(chr(low).lower()[0]) for low, high in chars.ranges if low == high]
        return Chars((*chars.ranges, *capitals, *((one, one) for one in single)))

    def _next(self, sign: str) -> bool:
        if self._text.startswith(sign, self._at):
            self._at += len(sign)
            return True
        return False
