"""Query to text, in one canonical form."""

from __future__ import annotations

import re

from gateway.traceql.model import Attribute, Comparison, Duration, Field, Kind, Query, Status, Value
from gateway.traceql.strings import quote

# What needs no quotes whatever stands next to it.
_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_UNITS = (
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1000),
    ("ns", 1),
)


def show(query: Query) -> str:
    """Return the query as TraceQL."""
    if not query.comparisons:
        return "{ }"
    return "{ " + " && ".join(_comparison(one) for one in query.comparisons) + " }"


def _comparison(comparison: Comparison) -> str:
    return f"{show_field(comparison.field)} {comparison.operator.value} {show_value(comparison.value)}"


def show_field(field: Field) -> str:
    """Return a field as TraceQL."""
    if isinstance(field, Attribute):
        name = field.name if _PLAIN_NAME.fullmatch(field.name) else quote(field.name)
        return f"{field.scope.value}.{name}"
    return field.value


def show_value(value: Value) -> str:
    """Return a literal as TraceQL."""
    match value:
        case Status() | Kind():
            return value.value
        case bool():
            return "true" if value else "false"
        case str():
            return quote(value)
        case Duration():
            return _duration(value.nanoseconds)
        case int() | float():
            return repr(value)


def _duration(nanoseconds: int) -> str:
    unit, size = next((one for one in _UNITS if nanoseconds % one[1] == 0), _UNITS[-1])
    return f"{nanoseconds // size}{unit}" if nanoseconds else "0s"
