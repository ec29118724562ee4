"""What a post-mortem claims, and what becomes of it."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.errors import DemoError
from postmortem.check import check
from postmortem.claims import Claim, Kind, Remark, claims_of, kind_of
from postmortem.report import check_report
from postmortem.stack import QueryRefused, Window
from postmortem.text import Block, Statement, read
from postmortem.values import Relation, times_of, values_of

DAY = date(2026, 11, 21)
NOON = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
WINDOW = Window(NOON, NOON + timedelta(hours=1))
TRACE = "0af7651916cd43dd8448eb211c80319c"


@dataclass
class Signals:
    """Answers from tables, and remembers what it was asked for."""

    series: dict[str, list[list[float]]] = field(default_factory=dict[str, list[list[float]]])
    lines: dict[str, int] = field(default_factory=dict[str, int])
    found: dict[str, list[float]] = field(default_factory=dict[str, list[float]])
    known: dict[str, float] = field(default_factory=dict[str, float])
    asked: list[tuple[str, Window]] = field(default_factory=list[tuple[str, Window]])

    def metrics(self, query: str, window: Window) -> list[list[float]]:
        self.asked.append((query, window))
        if query.startswith("bad"):
            raise QueryRefused("parse error at char 4")
        return self.series.get(query, [])

    def log_metrics(self, query: str, window: Window) -> list[list[float]]:
        return self.metrics(query, window)

    def log_lines(self, query: str, window: Window) -> int:
        self.asked.append((query, window))
        return self.lines.get(query, 0)

    def traces(self, query: str, window: Window) -> list[float]:
        self.asked.append((query, window))
        return self.found.get(query, [])

    def trace(self, trace_id: str) -> float | None:
        return self.known.get(trace_id)


def found_in(markdown: str) -> tuple[list[Claim], list[Remark]]:
    return claims_of(read(markdown), DAY)


def one(markdown: str) -> Claim:
    (claim,), _ = found_in(markdown)
    return claim


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("db_connections", Kind.SERIES),
        ("payment:client_success:ratio_30s", Kind.SERIES),
        ("up", Kind.SERIES),
        ('payment_requests_total{outcome="failed"}', Kind.PROMQL),
        ("sum by (state) (pg_stat_activity_count)", Kind.PROMQL),
        ("rate(payment_requests_total[5m])", Kind.PROMQL),
        ("histogram_quantile(0.95, sum by (le) (rate(x_bucket[1m])))", Kind.PROMQL),
        ('{__name__="up"}', Kind.PROMQL),
        ('{app="postgres"}', Kind.LOGQL),
        ('{service="payment-service"} |= "error"', Kind.LOGQL),
        ('{service="payment-service"} |~ "connection.*(refused|timeout)"', Kind.LOGQL),
        ('sum(count_over_time({app="postgres"} |= "deadlock" [5m]))', Kind.LOGQL),
        ("{}", Kind.TRACEQL),
        ('{resource.service.name="payment-service" && duration > 1s}', Kind.TRACEQL),
        ("{ status = error }", Kind.TRACEQL),
        (TRACE, Kind.TRACE),
        ("ERROR: deadlock detected", Kind.LOG_LINE),
        ("CREATE INDEX CONCURRENTLY i ON payments (customer_id)", None),
        ("ALTER TABLE", None),
        ("payments_customer_id_created_at_idx", None),
        ("lock_timeout", None),
        ("./demo up", None),
        ("sample-app", None),
        ("42", None),
    ],
)
def test_what_a_piece_of_code_asks(code: str, kind: Kind | None) -> None:
    assert kind_of(code) is kind


def test_several_words_are_a_log_line_where_the_sentence_says_so() -> None:
    assert kind_of("statement took too long", of_logs=True) is Kind.LOG_LINE
    assert kind_of("statement took too long") is None


@pytest.mark.parametrize(
    ("text", "numbers", "relation"),
    [
        ("reached 40", (40,), Relation.ABOUT),
        ("was 1,234,567 rows", (1234567,), Relation.ABOUT),
        ("was 12.5 %", (12.5, 0.125), Relation.ABOUT),
        ("p95 of 850 ms", (850, 0.85), Relation.ABOUT),
        ("was over 300 ms", (300, 0.3), Relation.ABOVE),
        ("was at least 3", (3,), Relation.ABOVE),
        ("fell below 0.5", (0.5,), Relation.BELOW),
        ("< 5", (5,), Relation.BELOW),
        ("took 512 MiB", (512, 512 * 2**20), Relation.ABOUT),
        ("served 1.5k", (1500,), Relation.ABOUT),
        ("was 2e6", (2e6,), Relation.ABOUT),
    ],
)
def test_a_value_is_read_with_its_unit_and_relation(text: str, numbers: tuple[float, ...], relation: Relation) -> None:
    (value,) = values_of(text)
    assert value.numbers == pytest.approx(numbers)
    assert value.relation is relation


@pytest.mark.parametrize(
    "text",
    ["p95", "at 14:32", "on 2026-11-21T14:32:00Z", "for 5 minutes", "in the last 30 s", "within 2 s", "v1.2.3-x"],
)
def test_what_is_no_value(text: str) -> None:
    assert values_of(text) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("at 2026-11-21 14:32:05 UTC", datetime(2026, 11, 21, 14, 32, 5, tzinfo=UTC)),
        ("2026-11-21T14:32:05.5Z", datetime(2026, 11, 21, 14, 32, 5, 500_000, tzinfo=UTC)),
        ("2026-11-21T14:32:05+02:00", datetime(2026, 11, 21, 12, 32, 5, tzinfo=UTC)),
        ("2026-11-21T14:32-01:30", datetime(2026, 11, 21, 16, 2, tzinfo=UTC)),
        ("at 14:32", datetime(2026, 11, 21, 14, 32, tzinfo=UTC)),
        ("at 9:05:07 UTC", datetime(2026, 11, 21, 9, 5, 7, tzinfo=UTC)),
    ],
)
def test_a_time_is_read_in_utc(text: str, expected: datetime) -> None:
    assert times_of(text, DAY) == [expected]


def test_a_time_of_day_needs_a_day() -> None:
    assert times_of("at 14:32", None) == []
    assert times_of("a ratio of 1:30:99 and 2026-13-45 10:00", DAY) == []


def test_the_value_after_the_code_is_its_value_else_the_one_before() -> None:
    assert [value.text for value in one("At 3 sites `db_connections` rose to 38.").values] == ["38"]
    assert [value.text for value in one("We saw 38 in `db_connections`.").values] == ["38"]
    claims, _ = found_in("`db_connections` was 12 and `pg_up` was 1.")
    assert [(claim.code, claim.values[0].text) for claim in claims] == [("db_connections", "12"), ("pg_up", "1")]


def test_from_one_value_to_another_are_two() -> None:
    assert [value.text for value in one("`db_connections` went from 12 to 40 in 5 minutes.").values] == ["12", "40"]


def test_a_time_alone_makes_a_claim_and_code_alone_makes_none() -> None:
    claim = one("`pg_up` was missing at 14:32.")
    assert (claim.values, claim.at) == ((), datetime(2026, 11, 21, 14, 32, tzinfo=UTC))
    assert found_in("We looked at `pg_up`.") == ([], [])


def test_sentences_end_where_they_end_and_not_inside_code() -> None:
    query = '{a="b. C"} |= "x. Y"'
    markdown = f"The query `{query}` found 3 lines. It took 5 people.\n\n- `pg_up` was 1.\n- Nothing\n  here."
    statements = [part for part in read(markdown) if isinstance(part, Statement)]
    assert [(part.line, part.shown()) for part in statements] == [
        (1, f"The query `{query}` found 3 lines."),
        (1, "It took 5 people."),
        (3, "`pg_up` was 1."),
        (4, "Nothing here."),
    ]


def test_every_other_statement_with_a_number_is_listed() -> None:
    markdown = (
        "# Post-Mortem: payment-db\n\n**Severity:** high\n**Duration:** 12.0 seconds\n**Cost:** $0.0400\n\n"
        "`db_connections` was 12. About 95 % of the pool was in use. `idx_payments` has 3 columns.\n"
    )
    claims, remarks = found_in(markdown)
    assert [claim.code for claim in claims] == ["db_connections"]
    assert [(remark.line, remark.text) for remark in remarks] == [
        (4, "Duration: 12.0 seconds"),
        (5, "Cost: $0.0400"),
        (7, "About 95 % of the pool was in use."),
        (7, "`idx_payments` has 3 columns."),
    ]


def test_a_fenced_query_takes_its_value_from_what_stands_around_it() -> None:
    after = "Connections:\n\n```promql\nsum(\n  db_connections\n)\n```\n\nIt reached 38 at 14:32.\n"
    claim = one(after)
    assert (claim.line, claim.code, claim.kind) == (4, "sum( db_connections )", Kind.PROMQL)
    assert (claim.values[0].text, claim.at) == ("38", datetime(2026, 11, 21, 14, 32, tzinfo=UTC))
    assert one("It was 7 or so:\n\n```promql\npg_up\n```\n").values[0].text == "7"
    assert one("```\npg_up  # was 0 at 14:32\n```").values[0].text == "0"
    claims, _ = found_in('Found 3:\n```\n{app="postgres"}\n{app="x"}\n```\n')
    assert [claim.code for claim in claims] == ['{app="postgres"}', '{app="x"}']


def test_fenced_log_lines_are_claims_with_their_own_times() -> None:
    markdown = (
        "The log at 14:30 had:\n\n```log\n2026-11-21 14:31:00 UTC ERROR deadlock detected\nprocess 12 waits\n```\n"
    )
    first, second = found_in(markdown)[0]
    assert (first.kind, first.at) == (Kind.LOG_LINE, datetime(2026, 11, 21, 14, 31, tzinfo=UTC))
    assert (second.code, second.at) == ("process 12 waits", datetime(2026, 11, 21, 14, 30, tzinfo=UTC))


@pytest.mark.parametrize("language", ["sql", "bash", "python", "yaml", "json"])
def test_other_languages_are_no_claims(language: str) -> None:
    claims, _ = found_in(f"It took 3 s:\n\n```{language}\nSELECT count(*) FROM payments; -- db_connections\n```\n")
    assert claims == []


def test_rows_of_a_table_are_statements() -> None:
    claims, _ = found_in("| what | value |\n|---|---|\n| `pg_up` | 0 |\n| `db_connections` | 40 |\n")
    assert [(claim.code, claim.values[0].text) for claim in claims] == [("pg_up", "0"), ("db_connections", "40")]


def verdict(markdown: str, signals: Signals, tolerance: float = 0.1) -> tuple[bool, str]:
    found = check(one(markdown), signals, WINDOW, tolerance)
    return found.holds, found.observed


SERIES = Signals(series={"db_connections": [[3, 12, 38.5, 41], [1]], "p95_seconds": [[0.2, 0.84]], "pg_up": [[1, 1]]})


@pytest.mark.parametrize(
    ("markdown", "holds"),
    [
        ("`db_connections` was 12", True),
        ("`db_connections` reached 40", True),
        ("`db_connections` reached 60", False),
        ("`db_connections` went from 12 to 40", True),
        ("`db_connections` went from 12 to 80", False),
        ("`db_connections` was above 40", True),
        ("`db_connections` was above 50", False),
        ("`db_connections` fell below 5", True),
        ("`db_connections` fell below 0.5", False),
        ("`p95_seconds` was 850 ms", True),
        ("`p95_seconds` was 8.5 s", False),
        ("`pg_up` was 0", False),
        ("`pg_up` was 1", True),
        ("`db_locks_waiting` was 3", False),
    ],
)
def test_a_value_of_a_series(markdown: str, holds: bool) -> None:
    assert verdict(markdown, SERIES)[0] is holds


def test_the_tolerance_is_a_share_of_the_claim() -> None:
    assert verdict("`db_connections` reached 45", SERIES, 0.05)[0] is False
    assert verdict("`db_connections` reached 45", SERIES, 0.1)[0] is True


def test_at_a_time_a_minute_to_each_side_is_looked_at() -> None:
    signals = Signals(series={"pg_up": [[1]]})
    verdict("`pg_up` was 1 at 14:32", signals)
    moment = datetime(2026, 11, 21, 14, 32, tzinfo=UTC)
    assert signals.asked == [("pg_up", Window(moment - timedelta(minutes=1), moment + timedelta(minutes=1)))]


def test_logs_traces_and_their_numbers() -> None:
    logs, spans = '{app="postgres"} |= "deadlock"', "{ duration > 1s }"
    signals = Signals(
        lines={logs: 4, '{service_name=~".+"} |= "ERROR: \\"x\\" is gone"': 1},
        found={spans: [1200.0, 2500.0]},
        known={TRACE: 1250.0},
    )
    for markdown, holds in (
        (f"`{logs}` found 4 lines", True),
        (f"`{logs}` found 9 lines", False),
        (f"`{logs}` had some at 14:00", True),
        ('`{app="other"}` had some at 14:00', False),
        ('`ERROR: "x" is gone` at 14:00', True),
        ("`ERROR: y is gone` at 14:00", False),
        (f"`{spans}` found 2", True),
        (f"`{spans}` shows one of 2.5 s", True),
        (f"`{spans}` shows one of 4 s", False),
        ("`{ status = error }` shows one of 4 s", False),
        (f"`{TRACE}` took 1.25 s", True),
        (f"`{TRACE}` took 5 s", False),
        (f"`{TRACE}` at 14:00", True),
        ("`1af7651916cd43dd8448eb211c80319c` took 5 s", False),
    ):
        assert verdict(markdown, signals)[0] is holds, markdown


def test_a_query_that_is_refused_fails_with_the_words_of_who_refused_it() -> None:
    assert verdict("`bad_total{` and `bad_total{a=}` was 3", SERIES) == (False, "parse error at char 4")


REPORT = """# Post-Mortem: payments are slow

**Generated:** 2026-11-21 13:00:00 UTC

At 12:30 `pg_up` was 1. `db_connections` reached 41.
"""


def checked(markdown: str = REPORT, start: datetime | None = None, end: datetime | None = None) -> Sequence[object]:
    result = check_report(markdown, SERIES, start=start, end=end, tolerance=0.1)
    return [result.holds, result.window.start, result.window.end, len(result.verdicts), len(result.remarks)]


def test_the_window_is_the_reports_own_unless_given() -> None:
    pad = timedelta(seconds=60)
    assert checked() == [True, NOON + timedelta(minutes=30) - pad, NOON + timedelta(hours=1) + pad, 2, 1]
    start, end = NOON - timedelta(hours=5), NOON
    assert checked(start=start, end=end)[1:3] == [start, end]
    alone = "**Generated:** 2026-11-21 13:00:00 UTC\n\n`pg_up` was 1."
    assert checked(alone)[1:3] == [NOON, NOON + timedelta(hours=1) + pad]


def test_a_day_in_the_head_is_that_of_the_times_below_it() -> None:
    pad = timedelta(seconds=60)
    report = "# Post-mortem\n\nDate: 2026-11-21\n\nFrom 12:30 to 12:50 it was slow: `pg_up` was 1."
    assert checked(report)[1:3] == [NOON + timedelta(minutes=30) - pad, NOON + timedelta(minutes=50) + pad]
    start, end = NOON - timedelta(hours=5), NOON
    assert checked(report, start=start, end=end)[1:3] == [start, end]
    for untimed in ("Date: 2026-11-21\n\n`pg_up` was 1.", "Date: 2026-13-41\n\nAt 12:30 `pg_up` was 1."):
        with pytest.raises(DemoError, match="--from and --to"):
            checked(untimed)


def test_without_any_time_the_window_is_asked_for() -> None:
    with pytest.raises(DemoError, match="--from and --to"):
        checked("`pg_up` was 1.")
    with pytest.raises(DemoError, match="ends before"):
        checked(start=NOON, end=NOON - timedelta(hours=1))
    assert checked("`pg_up` was 1.", start=NOON)[0] is True


def test_one_false_claim_fails_a_report_and_so_does_none_at_all() -> None:
    assert checked(REPORT + "`db_connections` was 900.")[0] is False
    assert checked("**Generated:** 2026-11-21 13:00:00 UTC\n\nThe pool was at 95 %.")[0] is False


def test_the_json_says_everything() -> None:
    document = check_report(REPORT + "95 % were slow.", SERIES, start=None, end=None, tolerance=0.1).as_json()
    assert document["holds"] is True
    assert document["claims"][1] == {
        "line": 5,
        "kind": "series",
        "code": "db_connections",
        "claimed": ["about 41"],
        "at": None,
        "holds": True,
        "observed": "1 to 41 in 2 series",
    }
    assert [remark["text"] for remark in document["not_checkable"]][-1] == "95 % were slow."


@given(st.text(alphabet=st.sampled_from('`~#|*-_ \n.:{}="a1%\x02\x03[]()<>T2026-11-21 10:00Z'), max_size=300))
def test_any_text_can_be_read(markdown: str) -> None:
    parts = read(markdown)
    claims_of(parts, DAY)
    assert all(1 <= part.line <= len(markdown.splitlines()) + 1 for part in parts)
    assert all(isinstance(part, Statement | Block) for part in parts)


@pytest.mark.parametrize(
    "piece", ["`", '{a="', "*", "1,", "2026-11-21 ", "`a b` 1 ", "`up` 1 ", "rate(", "```\n", "| ", "(((", "error "]
)
def test_no_text_takes_for_ever(piece: str) -> None:
    started = time.perf_counter()
    claims_of(read(piece * 5000), DAY)
    assert time.perf_counter() - started < 5
