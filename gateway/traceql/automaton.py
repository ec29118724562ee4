"""A regular expression's syntax tree to the instructions of an automaton."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.traceql.regex_tree import MOST, Anchor, Chars, Choice, Node, PatternError, Repeat, Sequence


@dataclass(frozen=True, slots=True)
class One:
    """Take one character of a class."""

    chars: Chars


@dataclass(frozen=True, slots=True)
class Jump:
    """Go on elsewhere."""

    target: int


@dataclass(frozen=True, slots=True)
class Split:
    """Go on in several places."""

    targets: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Assert:
    """Go on only at the begin, or only at the end, of the text."""

    begin: bool


@dataclass(frozen=True, slots=True)
class Match:
    """The expression is complete."""


Instruction = One | Jump | Split | Assert | Match


# Visits of the tree: repetitions of nothing make no instructions, and would take for ever when they are nested.
_VISITS = 10 * MOST


def compile_node(node: Node) -> tuple[Instruction, ...]:
    """Return the instructions, the last of which is the match.

    Raises:
        PatternError: there would be too many.
    """
    compiler = _Compiler()
    compiler.emit(node)
    return (*compiler.program, Match())


class _Compiler:
    def __init__(self) -> None:
        self.program: list[Instruction] = []
        self._visits = 0

    def emit(self, node: Node) -> None:
        self._visits += 1
        if len(self.program) > MOST or self._visits > _VISITS:
            raise PatternError(f"it is larger than the limit of {MOST} parts, repetitions multiplied out")
        match node:
            case Chars():
                self.program.append(One(node))
            case Anchor(begin=begin):
                self.program.append(Assert(begin))
            case Sequence(parts=parts):
                for part in parts:
                    self.emit(part)
            case Choice(parts=parts):
                self._choice(parts)
            case Repeat():
                self._repeat(node)

    def _choice(self, parts: tuple[Node, ...]) -> None:
        at = self._hole()
        begins: list[int] = []
        ends: list[int] = []
        for part in parts:
            begins.append(len(self.program))
            self.emit(part)
            ends.append(self._hole())
        self.program[at] = Split(tuple(begins))
        for end in ends:
            self.program[end] = Jump(len(self.program))

    def _repeat(self, repeat: Repeat) -> None:
        for _ in range(repeat.least):
            self.emit(repeat.part)
        if repeat.most is None:
            at = self._hole()
            self.emit(repeat.part)
            self.program.append(Jump(at))
            self.program[at] = Split((at + 1, len(self.program)))
            return
        for _ in range(repeat.most - repeat.least):
            at = self._hole()
            self.emit(repeat.part)
            self.program[at] = Split((at + 1, len(self.program)))

    def _hole(self) -> int:
        """Leave room for an instruction that is known later."""
        self.program.append(Split(()))
        return len(self.program) - 1
