"""Regular expressions whose matching takes time in proportion to the text, whatever the expression.

TraceQL's are RE2's, which promise this; Python's do not, and a caller chooses both expression and, by way of its spans,
text. So they are parsed here (the part of RE2's syntax that people use for names, paths and statements) and run as an
automaton that is made deterministic as far as the text needs it. As in Tempo, the whole text must match, and a dot
matches every character.
"""

from __future__ import annotations

from gateway.traceql.automaton import Assert, Instruction, Jump, Match, One, Split, compile_node
from gateway.traceql.regex_syntax import parse
from gateway.traceql.regex_tree import PatternError

__all__ = ["WORK", "Pattern", "PatternError", "TooCostlyError"]

WORK = 2_000_000
"""States that are looked at for one query: a second or two of work."""
_REMEMBERED = 10_000

_States = frozenset[int]


class TooCostlyError(Exception):
    """Matching would take longer than a query may take."""


class Pattern:
    """A regular expression, matched against whole texts.

    Args:
        expression: as written.

    Raises:
        PatternError: it is none, or uses what is not supported here.
    """

    def __init__(self, expression: str) -> None:
        node, self._fold = parse(expression)
        self._program: tuple[Instruction, ...] = compile_node(node)
        self._begin = self._closure([0], at_begin=True, at_end=False)
        self._moves: dict[tuple[_States, str], _States] = {}
        self._answers: dict[str, bool] = {}
        self._left = WORK

    def matches(self, text: str) -> bool:
        """Return whether the whole text matches.

        Raises:
            TooCostlyError: the texts so far took too much work.
        """
        known = self._answers.get(text)
        if known is None:
            known = self._run(text.lower() if self._fold else text)
            if len(self._answers) < _REMEMBERED:
                self._answers[text] = known
        return known

    def _run(self, text: str) -> bool:
        states = self._begin
        if not text:
            return self._accepts(self._closure([0], at_begin=True, at_end=True))
        for one in text:
            if not states:
                return False
            self._spend(1)
            key = (states, one)
            following = self._moves.get(key)
            if following is None:
                following = self._move(states, one)
                if len(self._moves) < _REMEMBERED:
                    self._moves[key] = following
            states = following
        return self._accepts(self._closure(states, at_begin=False, at_end=True))

    def _move(self, states: _States, one: str) -> _States:
        self._spend(len(states))
        following: list[int] = []
        for at in states:
            instruction = self._program[at]
            if isinstance(instruction, One) and instruction.chars.holds(one):
                following.append(at + 1)
        found = self._closure(following, at_begin=False, at_end=False)
        self._spend(len(found))
        return found

    def _closure(self, states: list[int] | _States, *, at_begin: bool, at_end: bool) -> _States:
        found: set[int] = set()
        todo = list(states)
        while todo:
            at = todo.pop()
            if at in found:
                continue
            found.add(at)
            match self._program[at]:
                case Jump(target=target):
                    todo.append(target)
                case Split(targets=targets):
                    todo.extend(targets)
                case Assert(begin=begin) if at_begin if begin else at_end:
                    todo.append(at + 1)
                case Assert() | One() | Match():
                    pass
        return frozenset(found)

    def _accepts(self, states: _States) -> bool:
        return any(isinstance(self._program[at], Match) for at in states)

    def _spend(self, work: int) -> None:
        self._left -= work
        if self._left < 0:
            raise TooCostlyError
