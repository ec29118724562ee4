"""Tokens to a query, with an error that names the part which is not supported here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.traceql.errors import TraceQLError, UnsupportedError
from gateway.traceql.fields import field_of
from gateway.traceql.lexer import Token, TokenKind, tokens
from gateway.traceql.model import (
    EQUALITY,
    ORDER,
    REGEX,
    Attribute,
    Comparison,
    Duration,
    Field,
    Intrinsic,
    Kind,
    Operator,
    Query,
    Status,
    Value,
)
from gateway.traceql.printer import show_field
from gateway.traceql.regex import Pattern, PatternError

if TYPE_CHECKING:
    from collections.abc import Callable

_OPERATORS = {one.value: one for one in Operator}
_MOST = 32
_SUBSET = "a query is one { } with comparisons joined by &&"
_STRUCTURAL = {">>", "<<", "~", "!>>", "!<<", "&>>", "&<<", "&>", "&<", "&~"}
_INSIDE = {
    "||": "the operator ||",
    "!": "negation (!)",
    "(": "parentheses",
    "+": "arithmetic",
    "-": "arithmetic",
    "*": "arithmetic",
    "/": "arithmetic",
    "%": "arithmetic",
    "^": "arithmetic",
}
_WORDS: dict[str, Value] = {
    **{one.value: one for one in Status},
    **{one.value: one for one in Kind},
    "true": True,
    "false": False,
}


def parse(query: str) -> Query:
    """Return the query as data.

    Raises:
        TraceQLError: it is not TraceQL, or beyond the part that is supported; the text says what and where.
    """
    return _Parser(query).query()


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = tokens(text)
        self._at = 0

    def query(self) -> Query:
        first = self._peek()
        if first.text != "{" or first.kind is not TokenKind.SYMBOL:
            if first.text == "(":
                raise self._unsupported("parentheses around spansets", first, _SUBSET)
            raise self._wrong("a query begins with {", first)
        self._take()
        comparisons: list[Comparison] = []
        if not self._symbol("}"):
            comparisons.append(self._comparison())
            while self._symbol("&&"):
                joined = self._take()
                if len(comparisons) == _MOST:
                    raise self._unsupported(f"a query of more than {_MOST} comparisons", joined, "write fewer")
                comparisons.append(self._comparison())
            self._close()
        self._take()
        self._end()
        return Query(tuple(comparisons))

    def _close(self) -> None:
        token = self._peek()
        if self._symbol("}"):
            return
        if token.kind is TokenKind.SYMBOL and token.text in _INSIDE:
            raise self._unsupported(_INSIDE[token.text], token, _SUBSET)
        if token.kind is TokenKind.SYMBOL and token.text in _OPERATORS:
            raise self._unsupported("a comparison of a comparison", token, _SUBSET)
        raise self._wrong("expected && or }", token)

    def _end(self) -> None:
        token = self._peek()
        if token.kind is TokenKind.END:
            return
        if token.text == "|":
            raise self._unsupported("a pipeline (|)", token, _SUBSET)
        if token.text in {"&&", "||"}:
            raise self._unsupported(f"{token.text} between spansets", token, _SUBSET)
        if token.text in _STRUCTURAL or token.text in {">", "<"}:
            raise self._unsupported(f"the structural operator {token.text}", token, _SUBSET)
        if token.text == "with":
            raise self._unsupported("a query hint (with)", token, _SUBSET)
        raise self._wrong("expected the end of the query", token)

    def _comparison(self) -> Comparison:
        start = self._take()
        if start.kind is TokenKind.SYMBOL and start.text in _INSIDE:
            raise self._unsupported(_INSIDE[start.text], start, _SUBSET)
        if start.kind in {TokenKind.STRING, TokenKind.NUMBER, TokenKind.DURATION}:
            raise self._unsupported("a literal on the left", start, "write the field first, the value after it")
        if start.kind is not TokenKind.WORD:
            raise self._wrong("expected a field", start)
        if start.text in _WORDS:
            raise self._unsupported(f"the literal {start.text} in place of a field", start, _SUBSET)
        field = field_of(start, self._text)
        written = self._peek()
        operator = _OPERATORS.get(written.text) if written.kind is TokenKind.SYMBOL else None
        if operator is None:
            if written.text in {"&&", "||", "}"}:
                raise self._unsupported("a field without a comparison", start, "write for example = true")
            if written.kind is TokenKind.SYMBOL and written.text in _INSIDE:
                raise self._unsupported(_INSIDE[written.text], written, _SUBSET)
            raise self._wrong("expected an operator (= != =~ !~ < <= > >=)", written)
        self._take()
        given = self._peek()
        value = self._value()
        self._check(Comparison(field, operator, value), written, given)
        return Comparison(field, operator, value)

    def _value(self) -> Value:
        token = self._take()
        if token.kind in {TokenKind.STRING, TokenKind.NUMBER, TokenKind.DURATION} and token.value is not None:
            return token.value
        if token.kind is TokenKind.SYMBOL and token.text == "-":
            number = self._peek()
            if number.kind is TokenKind.NUMBER and isinstance(number.value, int | float):
                self._take()
                return -number.value
        if token.kind is TokenKind.WORD:
            if token.text in _WORDS:
                return _WORDS[token.text]
            if token.text == "nil":
                raise self._unsupported(
                    "nil", token, "a comparison with a value holds only where there is an attribute"
                )
            field_of(token, self._text)
            raise self._unsupported("a comparison of two fields", token, "write a value on the right")
        if token.kind is TokenKind.SYMBOL and token.text in _INSIDE:
            raise self._unsupported(_INSIDE[token.text], token, _SUBSET)
        raise self._wrong("expected a value", token)

    def _check(self, comparison: Comparison, operator: Token, value: Token) -> None:
        fits, operators, wanted = _expected(comparison.field, comparison.value)
        shown = show_field(comparison.field)
        if not fits:
            raise TraceQLError(f"{shown} is compared with {wanted}", self._text, value.position)
        if comparison.operator not in operators:
            allowed = " ".join(one.value for one in Operator if one in operators)
            raise UnsupportedError(
                f"the operator {operator.text} for {wanted}",
                self._text,
                operator.position,
                instead=f"it takes {allowed}",
            )
        if comparison.operator in REGEX and isinstance(comparison.value, str):
            try:
                Pattern(comparison.value)
            except PatternError as error:
                raise TraceQLError(f"in the regular expression: {error}", self._text, value.position) from None

    def _peek(self) -> Token:
        return self._tokens[self._at]

    def _symbol(self, text: str) -> bool:
        token = self._peek()
        return token.kind is TokenKind.SYMBOL and token.text == text

    def _take(self) -> Token:
        token = self._peek()
        if token.kind is not TokenKind.END:
            self._at += 1
        return token

    def _wrong(self, wanted: str, token: Token) -> TraceQLError:
        found = "the end of the query" if token.kind is TokenKind.END else repr(token.text[:80])
        return TraceQLError(f"{wanted}, found {found}", self._text, token.position)

    def _unsupported(self, part: str, token: Token, instead: str) -> UnsupportedError:
        return UnsupportedError(part, self._text, token.position, instead=instead)


def _expected(field: Field, value: Value) -> tuple[bool, frozenset[Operator], str]:
    """Return whether the value is of a kind that the field has, the operators of that kind, and the kind in words."""
    kinds: dict[Intrinsic, tuple[Callable[[Value], bool], frozenset[Operator], str]] = {
        Intrinsic.NAME: (_is_text, EQUALITY | REGEX, "a string"),
        Intrinsic.STATUS: (lambda one: isinstance(one, Status), EQUALITY, "a status (ok, error, unset)"),
        Intrinsic.KIND: (
            lambda one: isinstance(one, Kind),
            EQUALITY,
            "a kind (server, client, producer, consumer, internal, unspecified)",
        ),
        Intrinsic.DURATION: (lambda one: isinstance(one, Duration), EQUALITY | ORDER, "a duration such as 1.5s"),
    }
    if not isinstance(field, Attribute):
        fits, operators, wanted = kinds[field]
        return fits(value), operators, wanted
    if _is_text(value):
        return True, EQUALITY | REGEX, "a string"
    if isinstance(value, bool):
        return True, EQUALITY, "true or false"
    if isinstance(value, int | float):
        return True, EQUALITY | ORDER, "a number"
    return False, frozenset(), "a string, a number, true or false"


def _is_text(value: Value) -> bool:
    return isinstance(value, str) and not isinstance(value, Status | Kind)
