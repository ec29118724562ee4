"""Which spans a query finds, and regular expressions that cannot be made to run for ever."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.traceql.match import Matcher
from gateway.traceql.model import Kind, Status
from gateway.traceql.parser import parse
from gateway.traceql.regex import Pattern, PatternError, TooCostlyError
from gateway.traceql.spans import Span

SPAN = Span(
    span_id="b7ad6b7169203331",
    parent_id=None,
    name="SELECT payments",
    kind=Kind.CLIENT,
    status=Status.ERROR,
    start=1_763_733_600_000_000_000,
    duration=1_500_000_000,
    attributes={
        "http.status_code": 500,
        "ratio": 0.5,
        "cached": False,
        "db.system": "postgresql",
        "code": "500",
        "zero": 0,
    },
    resource={"service.name": "payment-service", "host.name": "a"},
)


@pytest.mark.parametrize(
    "text",
    [
        "",
        'resource.service.name = "payment-service"',
        'resource.service.name =~ "payment.*"',
        'resource.service.name != "database"',
        'name = "SELECT payments"',
        'name =~ "SELECT .*|INSERT .*"',
        'name !~ "UPDATE.*"',
        "status = error && kind = client",
        "status != ok",
        "duration > 1s",
        "duration = 1500ms",
        "duration >= 1500ms && duration <= 1.5s && duration < 2s",
        "span.http.status_code = 500",
        "span.http.status_code >= 500 && span.http.status_code != 501",
        "span.ratio > 0.25 && span.ratio < 1.0",
        "span.cached = false",
        'span.code = "500"',
        'span.db.system =~ "postgres(ql)?"',
    ],
)
def test_a_span_is_found(text: str) -> None:
    assert Matcher(parse("{" + text + "}")).matches(SPAN)


@pytest.mark.parametrize(
    "text",
    [
        'resource.service.name = "payment"',
        'resource.service.name =~ "payment"',
        'span.service.name = "payment-service"',
        'resource.db.system = "postgresql"',
        'name =~ "select .*"',
        "status = ok",
        "kind != client",
        "duration > 1500ms",
        "duration != 1500ms",
        'span.missing != "x"',
        'span.missing !~ "x"',
        "span.missing < 1",
        'span.http.status_code = "500"',
        'span.http.status_code != "200"',
        "span.http.status_code = 500.0",
        "span.http.status_code > 499.5",
        "span.ratio < 1",
        "span.code = 500",
        "span.code > 1",
        "span.cached = true",
        "span.cached = 0",
        "span.zero = false",
        'name = "SELECT payments" && status = unset',
    ],
)
def test_a_span_is_not_found(text: str) -> None:
    assert not Matcher(parse("{" + text + "}")).matches(SPAN)


@pytest.mark.parametrize(
    ("expression", "yes", "no"),
    [
        ("", [""], ["a"]),
        ("a|b|", ["a", "b", ""], ["ab"]),
        ("a.c", ["abc", "a\nc"], ["ac"]),
        ("(ab)*", ["", "ab", "abab"], ["aba"]),
        ("(a*)*b", ["b", "aaab"], ["a"]),
        ("a{2,3}", ["aa", "aaa"], ["a", "aaaa"]),
        ("a{2}", ["aa"], ["a", "aaa"]),
        ("a{2,}?", ["aa", "aaaaaa"], ["a"]),
        ("{a}", ["{a}"], ["a"]),
        ("[a-c]+[^a-c]", ["abx"], ["abc"]),
        (r"[\d.\-]+", ["1.2-3"], ["a"]),
        ("[]a]", ["]", "a"], ["b"]),
        ("[a-]", ["a", "-"], ["b"]),
        (r"\d+\s\w+\S\D\W", ["12 ab!x!"], ["12 ab"]),
        ("^a$", ["a"], ["aa"]),
        ("a^b|a$b", [], ["ab"]),
        ("(^|x)a", ["a", "xa"], ["ya"]),
        (r"\Aa\z", ["a"], ["b"]),
        ("(?i)Select .*", ["SELECT 1", "select x"], ["insert"]),
        ("(?i)[A-C]ä", ["bÄ", "CÄ"], ["dÄ"]),
        ("(?i)[^a]", ["b"], ["a", "A"]),
        ("(?:a)(?P<n>b)(?<m>c)", ["abc"], ["ab"]),
        (r"\x41\x{1F600}\.\n", ["A😀.\n"], ["A"]),
    ],
)
def test_a_regular_expression_matches_whole_texts(expression: str, yes: list[str], no: list[str]) -> None:
    pattern = Pattern(expression)
    assert [pattern.matches(text) for text in yes] == [True] * len(yes)
    assert [pattern.matches(text) for text in no] == [False] * len(no)


@pytest.mark.parametrize(
    "expression",
    [
        "(",
        ")",
        "a)",
        "[",
        "[a",
        "[b-a]",
        "[a-\\d]",
        "[[:alpha:]]",
        "*",
        "a**",
        "a{3,2}",
        "a{1001}",
        "\\",
        "\\b",
        "\\1",
        "(?=a)",
        "(?<!a)",
        "(?",
        "(a{500}){500}",
        "(((){900}){900}){900}",
        "(" * 100,
        "\\x{110000}",
        "[\\",
    ],
)
def test_what_is_no_regular_expression_or_too_much_is_refused(expression: str) -> None:
    with pytest.raises(PatternError):
        Pattern(expression)


ATOMS = st.sampled_from(["a", "b", ".", "[ab]", "[^a]", "a|b", "", "^", "$"])
EXPRESSIONS = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["*", "+", "?", "{0,2}", "{2}"])).map(lambda pair: f"(?:{pair[0]}){pair[1]}"),
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: "".join(f"(?:{part})" for part in parts)),
        st.lists(inner, min_size=2, max_size=3).map("|".join),
    ),
    max_leaves=6,
)


@given(EXPRESSIONS, st.lists(st.text("abc\n", max_size=6), max_size=5))
def test_it_agrees_with_pythons(expression: str, texts: list[str]) -> None:
    pattern = Pattern(expression)
    # Python's $ also matches before a line end at the end, RE2's does not.
    oracle = re.compile(expression.replace("$", r"\Z"), re.DOTALL)
    for text in texts:
        assert pattern.matches(text) == (oracle.fullmatch(text) is not None)


def test_no_expression_takes_for_ever() -> None:
    started = time.perf_counter()
    assert not Pattern("(a+)+b").matches("a" * 10_000)
    assert not Pattern("(.*)*(.*)*(.*)*x").matches("a" * 10_000)
    pattern = Pattern(".*a.{300}b")

    def match_many() -> None:
        for number in range(10_000):
            pattern.matches(f"{number:05}{number:016b}".replace("1", "a") * 20)

    with pytest.raises(TooCostlyError):
        match_many()
    assert time.perf_counter() - started < 30
