"""What of a query Jaeger can look for itself.

Jaeger finds traces of which each condition holds for some span of a service, TraceQL wants one span for which all hold.
So what Jaeger is asked for may be too much, never too little, and every trace that it returns is looked at again.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.jaeger.answers import ERROR_TAG, KIND_TAG, STATUS_TAG
from gateway.traceql.match import Test
from gateway.traceql.model import SERVICE_NAME, Attribute, Duration, Intrinsic, Kind, Operator, Status

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.traceql.model import Comparison, Query, Value

_MICRO = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How a query is asked for.

    Attributes:
        service: the one service that can have the span; None where all have to be asked.
        parameters: of ``/api/traces`` beside service, times and limit.
        exact: Jaeger returns nothing that the query does not find.
    """

    service: str | None
    parameters: dict[str, str]
    exact: bool
    _services: tuple[Test, ...]

    def wants(self, service: str) -> bool:
        """Return whether spans of this service can be what the query looks for."""
        return all(test.holds(service) for test in self._services)


def plan(query: Query) -> Plan:
    """Return how a query is asked for."""
    service: str | None = None
    operation: str | None = None
    tags: dict[str, str] = {}
    for one in query.comparisons:
        if one.operator is not Operator.EQUAL:
            continue
        if one.field == SERVICE_NAME and isinstance(one.value, str):
            service = service or one.value
        elif one.field is Intrinsic.NAME and isinstance(one.value, str):
            operation = operation or one.value
        else:
            key, value = _tag(one)
            if value:
                tags.setdefault(key, value)
    parameters = _durations(query.comparisons)
    if operation:
        parameters["operation"] = operation
    if tags:
        parameters["tags"] = json.dumps(tags)
    return Plan(
        service=service or None,
        parameters=parameters,
        exact=all(one.field == SERVICE_NAME for one in query.comparisons),
        _services=tuple(Test(one) for one in query.comparisons if one.field == SERVICE_NAME),
    )


def _tag(comparison: Comparison) -> tuple[str, str]:
    """Return the tag that a span has for which the comparison holds; an empty value if there is none to ask for."""
    value = comparison.value
    match comparison.field:
        case Intrinsic.STATUS if value is Status.ERROR:
            return ERROR_TAG, "true"
        case Intrinsic.STATUS if value is Status.OK:
            return STATUS_TAG, "OK"
        case Intrinsic.KIND if value is not Kind.UNSPECIFIED:
            return KIND_TAG, str(value)
        case Attribute(name=name):
            return name, _text(value)
        case _:
            return "", ""


def _text(value: Value) -> str:
    """Return how Jaeger's index writes a value; nothing for numbers, which have several ways to be written."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else ""


def _durations(comparisons: Sequence[Comparison]) -> dict[str, str]:
    least: list[int] = []
    most: list[int] = []
    for one in comparisons:
        if one.field is not Intrinsic.DURATION or not isinstance(one.value, Duration):
            continue
        if one.operator in {Operator.GREATER, Operator.GREATER_EQUAL, Operator.EQUAL}:
            least.append(one.value.nanoseconds // _MICRO)
        if one.operator in {Operator.LESS, Operator.LESS_EQUAL, Operator.EQUAL}:
            most.append(-(-one.value.nanoseconds // _MICRO))
    found: dict[str, str] = {}
    if least and max(least) > 0:
        found["minDuration"] = f"{max(least)}us"
    # Jaeger refuses a most that is less than the least, and takes none for 0.
    if most and min(most) >= max([*least, 1]):
        found["maxDuration"] = f"{min(most)}us"
    return found
