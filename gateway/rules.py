"""Allow-lists: what a front lets through, and the sentence for what it does not.

A front passes what a rule names and nothing else. The rules themselves are data, one module per product beside this
one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import TYPE_CHECKING

from gateway.problems import Refused

if TYPE_CHECKING:
    from collections.abc import Iterable

READ = frozenset({"GET", "HEAD"})
READ_OR_FORM = READ | {"POST"}
FORM = "application/x-www-form-urlencoded"
JSON = "application/json"

_PLACEHOLDER = re.compile(r"\{(\w+)(\*?)\}")


class Bounded(Enum):
    """Whose parameters a request has: each product writes its times and counts in its own way."""

    NOT = auto()
    QUERY = auto()
    JAEGER = auto()
    GRAFANA = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A path that may be asked for.

    Attributes:
        template: the path; ``{name}`` stands for one segment, ``{name*}`` for any rest. Also the span's route.
        methods: the methods that read; none at all refuses the path, whatever a later rule says.
        body: the media type a POST must have.
        json: a successful answer that is not JSON (or protobuf, if asked for) is rubbish.
        bounded: whether its parameters are a query's, in whose form; they are held to the limits of queries.
    """

    template: str
    methods: frozenset[str] = READ
    body: str = FORM
    json: bool = False
    bounded: Bounded = Bounded.NOT
    pattern: re.Pattern[str] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        position, parts = 0, list[str]()
        for found in _PLACEHOLDER.finditer(self.template):
            parts.append(re.escape(self.template[position : found.start()]))
            parts.append(f"(?P<{found[1]}>{'.*' if found[2] else '[^/]+'})")
            position = found.end()
        parts.append(re.escape(self.template[position:]))
        object.__setattr__(self, "pattern", re.compile("".join(parts), re.DOTALL))


@dataclass(frozen=True, slots=True, kw_only=True)
class AllowList:
    """The rules of one front.

    Attributes:
        title: what the front shows, for its sentences ("Prometheus").
        rules: tried in order; the first that fits path and method decides.
        hints: sentences for paths that people do try; path prefix to sentence.
    """

    title: str
    rules: tuple[Rule, ...]
    hints: tuple[tuple[str, str], ...] = ()

    def judge(self, method: str, path: str) -> Rule:
        """Return the rule that lets the request through.

        Raises:
            Refused: no rule does; 403 with a sentence.
        """
        allowed: set[str] = set()
        for rule in self.rules:
            if not rule.pattern.fullmatch(path):
                continue
            if not rule.methods:
                allowed.clear()
                break
            if method in rule.methods:
                return rule
            allowed |= rule.methods
        if allowed:
            methods = ", ".join(sorted(allowed))
            raise Refused(
                403, "forbidden", f"{method} is not passed on to this path of {self.title}; it takes {methods}"
            )
        for prefix, sentence in self.hints:
            if path.startswith(prefix):
                raise Refused(403, "forbidden", sentence)
        raise Refused(
            403,
            "forbidden",
            f"this is a read-only front of {self.title}: {method} {path[:200]} is not among what it passes on",
        )


def api(*templates: str, methods: frozenset[str] = READ) -> Iterable[Rule]:
    """Return rules for paths that answer JSON."""
    return (Rule(template=template, methods=methods, json=True) for template in templates)


def queries(*templates: str, methods: frozenset[str] = READ, bounded: Bounded = Bounded.QUERY) -> Iterable[Rule]:
    """Return rules for paths that answer a query with JSON."""
    return (Rule(template=template, methods=methods, json=True, bounded=bounded) for template in templates)


def pages(*templates: str) -> Iterable[Rule]:
    """Return rules for pages, assets and plain-text answers."""
    return (Rule(template=template) for template in templates)


def refused(*templates: str) -> Iterable[Rule]:
    """Return rules that refuse paths which a later, wider rule would let through."""
    return (Rule(template=template, methods=frozenset()) for template in templates)


def below(prefix: str, rules: Iterable[Rule]) -> Iterable[Rule]:
    """Return the rules that answer JSON, for a server that is reached under a prefix of another."""
    return (
        Rule(template=f"{prefix}{rule.template}", methods=rule.methods, body=rule.body, json=True, bounded=rule.bounded)
        for rule in rules
        if rule.json
    )
