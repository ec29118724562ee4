"""A query as data: a conjunction of comparisons on one span."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Operator(StrEnum):
    """How a field is compared with a value."""

    EQUAL = "="
    NOT_EQUAL = "!="
    MATCH = "=~"
    NO_MATCH = "!~"
    LESS = "<"
    LESS_EQUAL = "<="
    GREATER = ">"
    GREATER_EQUAL = ">="


EQUALITY = frozenset({Operator.EQUAL, Operator.NOT_EQUAL})
REGEX = frozenset({Operator.MATCH, Operator.NO_MATCH})
ORDER = frozenset({Operator.LESS, Operator.LESS_EQUAL, Operator.GREATER, Operator.GREATER_EQUAL})


class Intrinsic(StrEnum):
    """What every span has."""

    NAME = "name"
    STATUS = "status"
    KIND = "kind"
    DURATION = "duration"


class Status(StrEnum):
    """How a span ended."""

    OK = "ok"
    ERROR = "error"
    UNSET = "unset"


class Kind(StrEnum):
    """Which side of a call a span is."""

    SERVER = "server"
    CLIENT = "client"
    PRODUCER = "producer"
    CONSUMER = "consumer"
    INTERNAL = "internal"
    UNSPECIFIED = "unspecified"


class Scope(StrEnum):
    """Whose attribute it is."""

    RESOURCE = "resource"
    SPAN = "span"


@dataclass(frozen=True, slots=True)
class Attribute:
    """What some spans, or the services that made them, have."""

    scope: Scope
    name: str


@dataclass(frozen=True, slots=True)
class Duration:
    """A length of time."""

    nanoseconds: int


Field = Intrinsic | Attribute
Value = str | bool | int | float | Duration | Status | Kind


@dataclass(frozen=True, slots=True)
class Comparison:
    """One condition."""

    field: Field
    operator: Operator
    value: Value


@dataclass(frozen=True, slots=True)
class Query:
    """All conditions hold for one and the same span; no condition holds for every span."""

    comparisons: tuple[Comparison, ...] = ()


SERVICE_NAME = Attribute(Scope.RESOURCE, "service.name")
