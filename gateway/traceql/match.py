"""Whether a span is what a query looks for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.traceql.model import Attribute, Comparison, Duration, Intrinsic, Operator, Scope
from gateway.traceql.regex import Pattern

if TYPE_CHECKING:
    from gateway.traceql.model import Query, Value
    from gateway.traceql.spans import Scalar, Span


class Matcher:
    """A query made ready to be asked of many spans.

    A comparison holds only for a span that has the attribute, with a value of the kind that it is compared with; so
    ``!=`` and ``!~`` do not find spans without it.

    Args:
        query: what is looked for.
    """

    def __init__(self, query: Query) -> None:
        self._tests = [Test(one) for one in query.comparisons]

    def matches(self, span: Span) -> bool:
        """Return whether all comparisons hold.

        Raises:
            TooCostlyError: the regular expressions take too much work.
        """
        return all(test.holds(_value(test.comparison, span)) for test in self._tests)


class Test:
    """A comparison made ready to be asked of many values.

    Args:
        comparison: what has to hold.
    """

    def __init__(self, comparison: Comparison) -> None:
        self.comparison = comparison
        value = comparison.value
        regex = comparison.operator in {Operator.MATCH, Operator.NO_MATCH}
        self._pattern = Pattern(value) if regex and isinstance(value, str) else None
        self._wanted: Scalar = value.nanoseconds if isinstance(value, Duration) else value

    def holds(self, found: Scalar | None) -> bool:
        """Return whether the comparison holds for a value; None for none.

        Raises:
            TooCostlyError: the regular expression takes too much work.
        """
        wanted, operator = self._wanted, self.comparison.operator
        if found is None or not _alike(found, wanted):
            return False
        if self._pattern is not None:
            return self._pattern.matches(str(found)) == (operator is Operator.MATCH)
        if operator is Operator.EQUAL:
            return found == wanted
        if operator is Operator.NOT_EQUAL:
            return found != wanted
        if isinstance(found, str) or isinstance(wanted, str):
            return False
        return {
            Operator.LESS: found < wanted,
            Operator.LESS_EQUAL: found <= wanted,
            Operator.GREATER: found > wanted,
        }.get(operator, found >= wanted)


def _value(comparison: Comparison, span: Span) -> Scalar | None:
    match comparison.field:
        case Attribute(scope=Scope.SPAN, name=name):
            return span.attributes.get(name)
        case Attribute(name=name):
            return span.resource.get(name)
        case Intrinsic.NAME:
            return span.name
        case Intrinsic.STATUS:
            return span.status
        case Intrinsic.KIND:
            return span.kind
        case Intrinsic.DURATION:
            return span.duration


def _alike(found: Scalar, wanted: Value | Scalar) -> bool:
    """Return whether both are of one kind; as in Tempo, whole numbers and numbers with a point are two."""
    return any(isinstance(found, kind) and isinstance(wanted, kind) for kind in (str, bool, float)) or (
        type(found) is int and type(wanted) is int
    )
