"""A Markdown report as statements with the code in them.

A statement is a sentence, a list item's sentence, a row of a table, or a line such as ``**Severity:** high``. Code in
it stands as a mark, so that dots and numbers inside code are nobody's sentence end or value. A fenced block belongs to
the statement before it and the one after it.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

__all__ = ["MARK", "Block", "Statement", "read"]

MARK: Final = re.compile("\x02(\\d+)\x03")
"""Where code stood; the number is its index in ``Statement.code``."""

_FENCE = re.compile(r" {0,3}(```+|~~~+)\s*([\w+-]*)[^`]*")
_INLINE = re.compile(r"(?<!`)(`{1,3})(?!`)(.+?)(?<!`)\1(?!`)", re.DOTALL)
_ITEM = re.compile(r"\s*(?:[-*+]|\d{1,9}[.)])\s+")
_LONE = re.compile(r"\s*(?:#{1,6}\s|\*\*[^*]+:\*\*|\||>|---|\*\*\*)")
_END = re.compile(r"(?<=[.!?;])\s+(?=[\"'(\[*\x02A-Z0-9])")


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """One statement.

    Attributes:
        line: where it begins, from 1.
        text: with marks in place of code, without emphasis.
        code: what stood in the marks.
    """

    line: int
    text: str
    code: tuple[str, ...] = ()

    def shown(self) -> str:
        """The text with its code."""
        return MARK.sub(lambda found: f"`{self.code[int(found[1])]}`", self.text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A fenced block.

    Attributes:
        line: of its first line of content, from 1.
        language: after the fence, in lower case; empty without one.
        content: without the fences.
    """

    line: int
    language: str
    content: str


def read(markdown: str) -> list[Statement | Block]:
    """Return a report's statements and blocks in order."""
    found: list[Statement | Block] = []
    paragraph: list[str] = []
    begun = 0
    lines = markdown.splitlines()
    number = 0

    def finish() -> None:
        if paragraph:
            found.extend(_statements("\n".join(paragraph), begun))
            paragraph.clear()

    while number < len(lines):
        line = lines[number]
        fence = _FENCE.fullmatch(line)
        if fence:
            finish()
            end = _closing(lines, number + 1, fence[1])
            content = "\n".join(lines[number + 1 : end])
            found.append(Block(line=number + 2, language=fence[2].lower(), content=content))
            number = end + 1
            continue
        if not line.strip() or _ITEM.match(line) or _LONE.match(line):
            finish()
        if line.strip():
            if not paragraph:
                begun = number + 1
            paragraph.append(line)
            if _LONE.match(line):
                finish()
        number += 1
    finish()
    return found


def _closing(lines: list[str], start: int, fence: str) -> int:
    for number in range(start, len(lines)):
        text = lines[number].strip()
        if text.startswith(fence) and not text.strip(fence[0]):
            return number
    return len(lines)


def _statements(paragraph: str, line: int) -> Iterator[Statement]:
    code: list[str] = []

    def mark(found: re.Match[str]) -> str:
        code.append(" ".join(found[2].split()))
        # The line breaks stay, so that lines can be counted.
        return f"\x02{len(code) - 1}\x03" + "\n" * found[0].count("\n")

    marked = _INLINE.sub(mark, paragraph.replace("\x02", " ").replace("\x03", " "))
    position = 0
    for end in [*(match.start() for match in _END.finditer(marked)), len(marked)]:
        piece = marked[position:end]
        at = line + marked.count("\n", 0, position + len(piece) - len(piece.lstrip()))
        position = end
        text = _plain(piece)
        if not text:
            continue
        used = [int(found[1]) for found in MARK.finditer(text)]
        renumbered = {old: new for new, old in enumerate(used)}
        yield Statement(
            line=at,
            text=MARK.sub(lambda found, known=renumbered: f"\x02{known[int(found[1])]}\x03", text),
            code=tuple(code[index] for index in used),
        )


def _plain(piece: str) -> str:
    text = _ITEM.sub("", piece, count=1) if _ITEM.match(piece) else piece
    text = re.sub(r"^\s*(?:#{1,6}|>)\s+", "", text)
    text = re.sub(r"\*\*|__|(?<!\w)[*_](?=\S)|(?<=\S)[*_](?!\w)", "", text)
    return " ".join(text.replace("|", " ").split()).strip("- ")
