"""Words to fields, and what is said about those that are not supported here."""

from __future__ import annotations

from gateway.traceql.errors import TraceQLError, UnsupportedError
from gateway.traceql.lexer import Token
from gateway.traceql.model import Attribute, Field, Intrinsic, Scope

_INTRINSICS = {one.value: one for one in Intrinsic}
_OTHER_INTRINSICS = frozenset(
    {
        "childCount",
        "nestedSetLeft",
        "nestedSetParent",
        "nestedSetRight",
        "parent",
        "rootName",
        "rootServiceName",
        "statusMessage",
        "traceDuration",
    }
)
_OTHER_SCOPES = ("parent.", "event.", "link.", "instrumentation.")
_COLON_SCOPES = ("span:", "trace:", "event:", "link:", "instrumentation:")
_FIELDS = "fields are name, status, kind, duration, span.* and resource.*"


def field_of(token: Token, query: str) -> Field:
    """Return the field that a word names.

    Raises:
        TraceQLError: it names none, or one that is not supported.
    """
    text = token.text
    name = token.value if isinstance(token.value, str) else text
    if text in _INTRINSICS:
        return _INTRINSICS[text]
    for scope in Scope:
        if text.startswith(f"{scope.value}."):
            attribute = name.removeprefix(f"{scope.value}.")
            if not attribute:
                raise TraceQLError(f"{text} names no attribute", query, token.position)
            return Attribute(scope, attribute)
    if text.startswith("."):
        rest = text.removeprefix(".")
        raise UnsupportedError(
            f"the attribute without a scope {text[:80]}",
            query,
            token.position,
            instead=f"write span.{rest[:80]} or resource.{rest[:80]}",
        )
    if text.startswith(_COLON_SCOPES):
        inner = text.partition(":")[2]
        instead = f"write {inner}" if text.startswith("span:") and inner in _INTRINSICS else _FIELDS
        raise UnsupportedError(f"the field {text[:80]}", query, token.position, instead=instead)
    if text.startswith(_OTHER_SCOPES):
        raise UnsupportedError(f"the scope of {text[:80]}", query, token.position, instead=_FIELDS)
    if text in _OTHER_INTRINSICS:
        raise UnsupportedError(f"the field {text}", query, token.position, instead=_FIELDS)
    raise TraceQLError(
        f"unknown field {text[:80]!r}; an attribute needs a scope: span.{text[:80]} or resource.{text[:80]}",
        query,
        token.position,
    )
