"""Which parts of a report can be checked: code that names telemetry, with a value or a time near it."""

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from enum import StrEnum

from postmortem.text import MARK, Block, Statement
from postmortem.values import Value, has_number, times_of, values_of

__all__ = ["Claim", "Kind", "Remark", "claims_of", "kind_of"]


class Kind(StrEnum):
    """What a piece of code asks."""

    PROMQL = "PromQL"
    SERIES = "series"
    LOGQL = "LogQL"
    TRACEQL = "TraceQL"
    TRACE = "trace"
    LOG_LINE = "log line"


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What a report says of the telemetry.

    Attributes:
        line: of the report.
        kind: of the code.
        code: the query, series, trace id or log line.
        values: what it is said to be; several for ``from 3 to 9``.
        at: when; None for some time in the window.
    """

    line: int
    kind: Kind
    code: str
    values: tuple[Value, ...] = ()
    at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Remark:
    """A statement with a number that cannot be checked.

    Attributes:
        line: of the report.
        text: the statement.
        why: it cannot be checked.
    """

    line: int
    text: str
    why: str


_LANGUAGES = {
    "promql": Kind.PROMQL,
    "prometheus": Kind.PROMQL,
    "logql": Kind.LOGQL,
    "traceql": Kind.TRACEQL,
    "log": Kind.LOG_LINE,
    "logs": Kind.LOG_LINE,
}
_UNKNOWN_LANGUAGES = frozenset({"", "text", "txt", "plain", "plaintext", "console", "query"})

_TRACE_ID = re.compile(r"[0-9a-f]{32}|[0-9a-f]{16}")
_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
# Metric names say what they count; names of tables, indexes and settings do not look like this.
_METRIC = re.compile(
    r".*:.*|.*_(?:total|seconds|bytes|count|sum|bucket|ratio|connections|numbackends)"
    r"|(?:pg|db|http|payment|client|gateway|node|loki|otelcol|process|circuit|retention|route|pool)_\w+|up"
)
_MATCHERS = r"\{\s*[a-zA-Z_]\w*\s*(?:=~|!~|!=|=)\s*[\"`].*?\}"
_STREAMS = re.compile(_MATCHERS + r"\s*(?:\|.*)?", re.DOTALL)
_LOG_FUNCTION = re.compile(r"(?:count_over_time|bytes_over_time|bytes_rate|sum_over_time|rate)\s*\(\s*\{")
_SPANS = re.compile(r"\{.*\}(?:\s*\|.*)?", re.DOTALL)
_SERIES = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*\s*\{[^{}]*\}")
_FUNCTION = re.compile(
    r"\b(?:sum|avg|min|max|count|rate|irate|increase|delta|deriv|histogram_quantile|quantile|topk|bottomk|abs|"
    r"(?:avg|min|max|sum|count|last|quantile|stddev)_over_time|absent|changes|resets|predict_linear|scalar|vector|"
    r"label_replace|clamp_max|clamp_min|time)\b\s*(?:by\s*\([^)]*\)\s*|without\s*\([^)]*\)\s*)?\("
)
_RANGE = re.compile(r"\[\d+[smhdwy][\w:]*\]")
_COMPARED = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*\s*(?:==|!=|>=|<=|>|<)\s*[\d.]+")
_LOG_WORDS = re.compile(r"\b(?:logs?|logged|log line|message|says|said|printed|reported)\b", re.IGNORECASE)
_LOG_START = re.compile(
    r"(?:ERROR|FATAL|PANIC|WARNING|WARN|LOG|INFO|DETAIL|STATEMENT|HINT)\b|.*\b(?:error|failed|deadlock)\b"
)


def kind_of(code: str, *, of_logs: bool = False) -> Kind | None:
    """Return what a piece of code asks; None if it asks nothing of the telemetry.

    Args:
        code: as written.
        of_logs: whether it stands in words about logs, where any words can be a log line.
    """
    text = code.strip()
    if _TRACE_ID.fullmatch(text):
        return Kind.TRACE
    if _NAME.fullmatch(text):
        return Kind.SERIES if _METRIC.fullmatch(text) else None
    found = _query_kind(text)
    if found is None and " " in text and (of_logs or _LOG_START.match(text)):
        return Kind.LOG_LINE
    return found


def _query_kind(text: str) -> Kind | None:
    if text.startswith("{") and _SPANS.fullmatch(text):
        if "__name__" in text:
            return Kind.PROMQL
        return Kind.LOGQL if _STREAMS.fullmatch(text) and "&&" not in text else Kind.TRACEQL
    if _LOG_FUNCTION.search(text):
        return Kind.LOGQL
    if _SERIES.fullmatch(text) or _FUNCTION.search(text) or _RANGE.search(text) or _COMPARED.fullmatch(text):
        return Kind.PROMQL
    return None


def claims_of(report: Sequence[Statement | Block], day: date | None) -> tuple[list[Claim], list[Remark]]:
    """Return what can be checked, and the statements with a number that cannot.

    Args:
        report: its parts in order.
        day: of times without one.
    """
    claims: list[Claim] = []
    remarks: list[Remark] = []
    used: set[int] = set()
    for number, part in enumerate(report):
        if isinstance(part, Block):
            found, near = _of_block(report, number, day)
            claims += found
            used.update(near)
    for number, part in enumerate(report):
        if not isinstance(part, Statement):
            continue
        found = list(_of_statement(part, day))
        claims += found
        if not found and number not in used and has_number(part.text):
            remarks.append(Remark(line=part.line, text=part.shown(), why=_why(part)))
    return sorted(claims, key=lambda claim: claim.line), remarks


def _why(statement: Statement) -> str:
    if not statement.code:
        return "names no query, series, log line or trace"
    return "its code is no query, series, log line or trace"


def _of_statement(statement: Statement, day: date | None) -> Iterator[Claim]:
    marks = list(MARK.finditer(statement.text))
    values = values_of(statement.text)
    times = times_of(statement.text, day)
    of_logs = _LOG_WORDS.search(statement.text) is not None
    for number, mark in enumerate(marks):
        kind = kind_of(statement.code[int(mark[1])], of_logs=of_logs)
        if kind is None:
            continue
        code = statement.code[int(mark[1])]
        following = marks[number + 1].start() if number + 1 < len(marks) else len(statement.text)
        before = marks[number - 1].end() if number else 0
        near = _near(values, statement.text, mark, before, following)
        own = times_of(code, day) if kind is Kind.LOG_LINE else []
        moments = own or times
        # With several times it is said of the time between them; the window has both.
        if near or moments:
            at = moments[0] if len(moments) == 1 else None
            yield Claim(line=statement.line, kind=kind, code=code, values=near, at=at)


def _near(values: Sequence[Value], text: str, mark: re.Match[str], before: int, following: int) -> tuple[Value, ...]:
    """The value that follows the code most closely, with its partner in ``from 3 to 9``; else the one before it."""
    starts = [before, mark.start(), mark.end(), following]
    begun, until, after, end = (bisect_left(values, at, key=lambda value: value.start) for at in starts)
    if after < end:
        first = values[after]
        led = re.search(r"\b(?:from|between)\s*$", text[max(0, first.start - 20) : first.start], re.IGNORECASE)
        if led and after + 1 < end:
            partner = values[after + 1]
            if re.fullmatch(r"\s*(?:to|and|→|->)\s*", text[first.end : partner.start]):
                return (first, partner)
        return (first,)
    return (values[until - 1],) if begun < until else ()


def _of_block(report: Sequence[Statement | Block], number: int, day: date | None) -> tuple[list[Claim], set[int]]:
    """The claims of a block, and the statements whose values or times they took."""
    block = report[number]
    if not isinstance(block, Block):
        return [], set()
    neighbours = [index for index in (number + 1, number - 1) if 0 <= index < len(report)]
    around = {index: part.text for index in neighbours if isinstance(part := report[index], Statement)}
    used: set[int] = set()
    claims: list[Claim] = []
    for line, code, note, kind in _queries(block, of_logs=any(_LOG_WORDS.search(text) for text in around.values())):
        texts = [(-1, note), *around.items()]
        chosen: tuple[Value, ...] = ()
        at: datetime | None = None
        for index, text in texts:
            values, times = values_of(text), times_of(text, day)
            if not chosen and values:
                # After the block the first value is the nearest, before it the last.
                chosen = (values[-1],) if index == number - 1 else (values[0],)
                used.add(index)
            if at is None and times:
                at = times[0]
                used.add(index)
        claim = Claim(line=line, kind=kind, code=code, values=chosen, at=at)
        if kind is Kind.LOG_LINE:
            # The line's own time counts; numbers near a line are not its value.
            own = times_of(code, day)
            claim = replace(claim, values=(), at=own[0] if own else at)
        if claim.values or claim.at is not None:
            claims.append(claim)
    return claims, used - {-1}


def _queries(block: Block, *, of_logs: bool) -> Iterator[tuple[int, str, str, Kind]]:
    """Line, code, comment and kind of each query of a block: the whole of it, or of each of its lines."""
    lines = block.content.splitlines()
    language = _LANGUAGES.get(block.language)
    if language is None and block.language not in _UNKNOWN_LANGUAGES:
        return
    bare = [(number, *_comment(text)) for number, text in enumerate(lines, start=block.line) if text.strip()]
    written = [(number, code, note) for number, code, note in bare if code]
    kinds = [language or kind_of(code, of_logs=of_logs) for _, code, _ in written]
    whole = " ".join(code for _, code, _ in written)
    note = " ".join(comment for _, _, comment in bare)
    if language not in (None, Kind.LOG_LINE) or (None in kinds and kind_of(whole) not in (None, Kind.LOG_LINE)):
        kind = language or kind_of(whole)
        if kind is not None and whole:
            yield written[0][0], whole, note, kind
        return
    for (number, code, comment), kind in zip(written, kinds, strict=True):
        if kind is not None:
            yield number, code, comment, kind


def _comment(line: str) -> tuple[str, str]:
    code, found, comment = line.partition("#") if re.search(r"(?:^|\s)#\s", line) else (line, "", "")
    return code.strip(), comment.strip() if found else ""
