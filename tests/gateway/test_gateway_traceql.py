"""The part of TraceQL that is supported, and what is said about the rest."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.traceql.errors import TraceQLError, UnsupportedError
from gateway.traceql.model import (
    EQUALITY,
    ORDER,
    REGEX,
    Attribute,
    Comparison,
    Duration,
    Intrinsic,
    Kind,
    Operator,
    Query,
    Scope,
    Status,
    Value,
)
from gateway.traceql.parser import parse
from gateway.traceql.printer import show
from gateway.traceql.repair import repair

SERVICE = Attribute(Scope.RESOURCE, "service.name")


def one(text: str) -> Comparison:
    (comparison,) = parse("{" + text + "}").comparisons
    return comparison


@pytest.mark.parametrize("text", ["{}", "{ }", " {\n} "])
def test_braces_with_nothing_find_every_span(text: str) -> None:
    assert parse(text) == Query()


@pytest.mark.parametrize(
    ("text", "comparison"),
    [
        ('resource.service.name="x"', Comparison(SERVICE, Operator.EQUAL, "x")),
        ("resource.service.name=`x\\d`", Comparison(SERVICE, Operator.EQUAL, "x\\d")),
        ('name != "GET /a"', Comparison(Intrinsic.NAME, Operator.NOT_EQUAL, "GET /a")),
        ('name =~ "GET .*"', Comparison(Intrinsic.NAME, Operator.MATCH, "GET .*")),
        (
            'span.db.statement !~ "(?i)select.*"',
            Comparison(Attribute(Scope.SPAN, "db.statement"), Operator.NO_MATCH, "(?i)select.*"),
        ),
        ("status = error", Comparison(Intrinsic.STATUS, Operator.EQUAL, Status.ERROR)),
        ("kind != client", Comparison(Intrinsic.KIND, Operator.NOT_EQUAL, Kind.CLIENT)),
        ("duration>1s", Comparison(Intrinsic.DURATION, Operator.GREATER, Duration(1_000_000_000))),
        ("duration <= 1h1.5ms", Comparison(Intrinsic.DURATION, Operator.LESS_EQUAL, Duration(3_600_001_500_000))),
        ("duration < 0.5µs", Comparison(Intrinsic.DURATION, Operator.LESS, Duration(500))),
        (
            "span.http.status_code >= 500",
            Comparison(Attribute(Scope.SPAN, "http.status_code"), Operator.GREATER_EQUAL, 500),
        ),
        ("span.x = -1.5e-3", Comparison(Attribute(Scope.SPAN, "x"), Operator.EQUAL, -0.0015)),
        ("span.http-x/y = true", Comparison(Attribute(Scope.SPAN, "http-x/y"), Operator.EQUAL, True)),
        ('span."a b" = "c\\n\\u00e4\\\\"', Comparison(Attribute(Scope.SPAN, "a b"), Operator.EQUAL, "c\nä\\")),
    ],
)
def test_a_comparison_is_read(text: str, comparison: Comparison) -> None:
    assert one(text) == comparison


def test_comparisons_are_joined_by_and() -> None:
    query = parse('{resource.service.name="payment-service" && duration > 1s && status=error}')
    assert [comparison.operator.value for comparison in query.comparisons] == ["=", ">", "="]


@pytest.mark.parametrize(
    ("text", "part", "column"),
    [
        ('{name="a" || name="b"}', "the operator ||", 11),
        ('{!(name="a")}', "negation", 2),
        ('{(name="a")}', "parentheses", 2),
        ('({name="a"})', "parentheses around spansets", 1),
        ("{duration + 1s > 2s}", "arithmetic", 11),
        ("{duration > 1s + 1s}", "arithmetic", 16),
        ("{} | count() > 3", "a pipeline (|)", 4),
        ("{} >> {}", "the structural operator >>", 4),
        ("{} > {}", "the structural operator >", 4),
        ("{} && {}", "&& between spansets", 4),
        ("{} with (most_recent=true)", "a query hint", 4),
        ('{.service.name="a"}', "the attribute without a scope .service.name", 2),
        ('{parent.service.name="a"}', "the scope of parent.service.name", 2),
        ('{event.name="a"}', "the scope of event.name", 2),
        ('{span:name="a"}', "the field span:name", 2),
        ('{trace:id="a"}', "the field trace:id", 2),
        ('{rootName="a"}', "the field rootName", 2),
        ("{span.x = nil}", "nil", 11),
        ("{span.x = span.y}", "a comparison of two fields", 11),
        ('{"a" = name}', "a literal on the left", 2),
        ("{true}", "the literal true", 2),
        ("{span.x}", "a field without a comparison", 2),
        ("{span.a = 1 = 2}", "a comparison of a comparison", 13),
        ("{status =~ error}", "the operator =~", 9),
        ("{span.x =~ 5}", "the operator =~", 9),
        ('{name > "a"}', "the operator >", 7),
    ],
)
def test_what_is_beyond_is_named_with_its_position(text: str, part: str, column: int) -> None:
    with pytest.raises(UnsupportedError) as caught:
        parse(text)
    assert part in str(caught.value)
    assert "is not supported here" in str(caught.value)
    assert caught.value.position == column - 1
    assert f"line 1, col {column}:" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "part", "position"),
    [
        ("", "a query begins with {, found the end of the query", 0),
        ("up", "a query begins with {, found 'up'", 0),
        ("{", "expected a field, found the end", 1),
        ("{name", "expected an operator", 5),
        ("{name=", "expected a value, found the end", 6),
        ('{name="a"', "expected && or }", 9),
        ('{name="a" &&}', "expected a field, found '}'", 12),
        ('{name="a" name="b"}', "expected && or }, found 'name'", 10),
        ("{} {}", "expected the end of the query", 3),
        ('{name="a}', "the string has no end", 6),
        ("{name=`a}", "the string has no end", 6),
        ('{name="\\q"}', "unknown escape", 7),
        ('{name="\\ud800"}', "is not a character", 7),
        ('{name="\\xff"}', "is not a character", 7),
        ('{name="a\nb"}', "over the end of the line", 8),
        ("{duration > 1x}", "'1x' is neither a number nor a duration", 12),
        ("{duration > 9999999y}", "too long", 12),
        ("{span.x = 99999999999999999999}", "too large", 10),
        ("{span.x = 1e999}", "too large", 10),
        ("{duration > 5}", "duration is compared with a duration", 12),
        ('{status = "error"}', "status is compared with a status", 10),
        ("{kind = ok}", "kind is compared with a kind", 8),
        ("{name = 5}", "name is compared with a string", 8),
        ("{span.x = 5s}", "span.x is compared with a string, a number", 10),
        ('{service.name="a" && duration > 1s}', "an attribute needs a scope: span.service.name", 1),
        ("{span. = 1}", "names no attribute", 1),
        ("{span.x = 1 ; }", "expected && or }, found ';'", 12),
        ("{span.x = -a}", "arithmetic is not supported here", 10),
        ('{name =~ "a("}', "in the regular expression: a ( without its )", 9),
        ('{name =~ "(?=a)"}', "is not supported here", 9),
    ],
)
def test_what_is_wrong_is_said_with_its_position(text: str, part: str, position: int) -> None:
    with pytest.raises(TraceQLError) as caught:
        parse(text)
    assert part in str(caught.value)
    assert caught.value.position == position


def test_a_position_names_line_and_column() -> None:
    with pytest.raises(TraceQLError, match=r"parse error at line 3, col 5: "):
        parse('{\n  name = "a" &&\n    ||}')


@pytest.mark.parametrize(
    "text", ['{service.name="database"}', ' { service.name = "data\\"base" } ', '{service.name=""}']
)
def test_a_service_name_without_a_scope_gets_one(text: str) -> None:
    repaired, note = repair(text)
    assert repaired == text.replace("service.name", "resource.service.name")
    assert note is not None
    assert "resource.service.name" in note
    assert one(repaired.strip()[1:-1]).field == SERVICE


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        '{resource.service.name="a"}',
        '{.service.name="a"}',
        '{span.service.name="a"}',
        '{service.name!="a"}',
        '{service.name=~"a"}',
        '{service.name="a" && duration > 1s}',
        '{service.name="a"} | count() > 1',
        '{service.name="a"} || {service.name="b"}',
        '{service.name="a}" || name="b"}',
        "{service.name=`a`}",
        '{serviceXname="a"}',
    ],
)
def test_nothing_else_is_repaired(text: str) -> None:
    assert repair(text) == (text, None)


STRINGS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
NAMES = st.one_of(STRINGS.filter(bool), st.from_regex(r"[a-z][a-z0-9._-]{0,15}", fullmatch=True))
LITERAL_PATTERNS = st.from_regex(r"[a-z]{1,4}(\.\*|[a-z]+)?", fullmatch=True)
INTEGERS = st.integers(-(2**63) + 1, 2**63 - 1)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)


def comparisons(
    field: st.SearchStrategy[Intrinsic | Attribute], operators: frozenset[Operator], value: st.SearchStrategy[Value]
) -> st.SearchStrategy[Comparison]:
    return st.builds(Comparison, field, st.sampled_from(sorted(operators)), value)


ATTRIBUTES = st.builds(Attribute, st.sampled_from(Scope), NAMES)
COMPARISONS = st.one_of(
    comparisons(st.just(Intrinsic.NAME) | ATTRIBUTES, EQUALITY, STRINGS),
    comparisons(st.just(Intrinsic.NAME) | ATTRIBUTES, REGEX, LITERAL_PATTERNS),
    comparisons(st.just(Intrinsic.STATUS), EQUALITY, st.sampled_from(Status)),
    comparisons(st.just(Intrinsic.KIND), EQUALITY, st.sampled_from(Kind)),
    comparisons(st.just(Intrinsic.DURATION), EQUALITY | ORDER, st.builds(Duration, st.integers(0, 2**63 - 1))),
    comparisons(ATTRIBUTES, EQUALITY, st.booleans()),
    comparisons(ATTRIBUTES, EQUALITY | ORDER, INTEGERS | FLOATS),
)


@given(st.builds(Query, st.lists(COMPARISONS, max_size=5).map(tuple)))
def test_what_is_printed_is_read_as_the_same(query: Query) -> None:
    text = show(query)
    again = parse(text)
    assert again == query
    assert [type(c.value) for c in again.comparisons] == [type(c.value) for c in query.comparisons]
    assert show(again) == text


SOUP = st.lists(
    st.sampled_from(
        [
            "{",
            "}",
            "(",
            ")",
            "&&",
            "||",
            "=",
            "!=",
            "=~",
            "<",
            "name",
            "duration",
            "span.a",
            ".b",
            "kind",
            "server",
            '"x"',
            "`y`",
            "1s",
            "5",
            "-",
            " ",
            "|",
            "!",
            "nil",
            "\\",
            '"',
            "\n",
        ]
    ),
    max_size=12,
).map("".join)


@given(SOUP | st.text(max_size=40))
def test_any_text_is_read_or_refused_with_a_position(text: str) -> None:
    position: int | None = None
    try:
        query = parse(text)
    except TraceQLError as error:
        position = error.position
    else:
        assert parse(show(query)) == query
    assert position is None or 0 <= position <= len(text)
