"""Subqueries are bounded on every way to Prometheus: it allocates their points before it counts them."""

from __future__ import annotations

import contextlib
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from gateway.problems import Refused
from gateway.subqueries import DEFAULT_RESOLUTION_SECONDS, check_subqueries
from tests.gateway.agents import call, post
from tests.gateway.support import BEARER

if TYPE_CHECKING:
    from tests.gateway.conftest import Stack

WIDE = "max_over_time(x[1d:5ms])"
LIMIT = "limit of 11000 points per series"
FORM = {**BEARER, "Content-Type": "application/x-www-form-urlencoded"}


def check(query: str, range_seconds: float = 0) -> None:
    check_subqueries(query, range_seconds=range_seconds, points=11_000)


@pytest.mark.parametrize(
    "query",
    [
        WIDE,
        "max_over_time(x [ 1d : 5ms ])",
        "max_over_time(x[1d:\n5ms])",
        "max_over_time(x[86400:0.005])",
        "max_over_time(x[1d1h:7s])",
        # Without a resolution it is Prometheus's evaluation interval.
        "max_over_time(x[1d:])",
        "max_over_time(x[1d: ])",
        # The inner one is evaluated over both ranges.
        "max_over_time(max_over_time(x[10h:5s])[10h:1m])",
        "max_over_time((sum(max_over_time(x[10h:5s])) by (job))[10h:1m])",
        "max_over_time(sum(max_over_time(x[10h:5s])) by (job)[10h:1m])",
        # Strings and comments hide nothing that follows.
        'max_over_time(x{a="\\"["}[1d:5ms])',
        "max_over_time(x{a='#'}[1d:5ms])",
        "max_over_time(x{a=`\\`}[1d:5ms])",
        "up # [\r+ max_over_time(x[1d:5ms])",
        'up # "\n+ max_over_time(x[1d:5ms])',
        "rate(x[5m]) + max_over_time(x[1d:5ms] offset 5m)",
    ],
)
def test_too_many_points_are_refused_with_the_limit(query: str) -> None:
    with pytest.raises(Refused, match=LIMIT) as raised:
        check(query)
    assert raised.value.status == 422


@pytest.mark.parametrize(
    "query",
    [
        "",
        "up",
        "rate(x[31d])",
        "max_over_time(x[1d:30s])",
        "max_over_time(x[1h:])",
        # Neighbours do not surround each other.
        "max_over_time(x[10h:5s]) + max_over_time(x[10h:5s])",
        "max_over_time(x[10h:5s]) + max_over_time(max_over_time(y[1h:1m])[10h:5m])",
        "max_over_time(max_over_time(x[1h:5s])[1h:1m])",
        '{app="postgres"} |~ "[1d:5ms]"',
        "{app=`[1d:5ms]`} | json | line_format `{{.a}}[`",
        'count_over_time({app="x"}[1h])',
        "up # max_over_time(x[1d:5ms])",
        "{ span.a = `[` && duration > 1s }",
    ],
)
def test_few_points_and_what_is_no_subquery_pass(query: str) -> None:
    check(query)


def test_a_bracket_that_is_not_closed_is_refused() -> None:
    for query in ("rate(x[5m)", "max_over_time(x[1d:[5ms]])"):
        with pytest.raises(Refused, match="square bracket"):
            check(query)


@pytest.mark.parametrize(
    "inside", ["1d:0x1", "1d:step()", "1d:1e-3", "1d:$__interval", "x:5s", ":", "1d:1s:1s", "1d:0s"]
)
def test_what_cannot_be_read_is_refused(inside: str) -> None:
    with pytest.raises(Refused, match="of a subquery is not a duration"):
        check(f"max_over_time(x[{inside}])")


def test_the_range_of_the_query_counts_too() -> None:
    check("max_over_time(x[1h:5s])", range_seconds=3600)
    with pytest.raises(Refused, match=LIMIT):
        check("max_over_time(x[1h:5s])", range_seconds=86_400)


def test_the_default_resolution_is_prometheus_s_evaluation_interval() -> None:
    root = Path(__file__).parents[2]
    configured = yaml.safe_load((root / "observability/prometheus/prometheus.yml").read_text())
    assert configured["global"]["evaluation_interval"] == f"{DEFAULT_RESOLUTION_SECONDS:g}s"


@given(st.text(alphabet="x([{:}])'\"`#\\ \n5msd", max_size=200))
def test_whatever_is_written_is_accepted_or_refused(query: str) -> None:
    with contextlib.suppress(Refused):
        check(query)


def test_a_query_of_nothing_but_subqueries_takes_no_time() -> None:
    # Judged by what it does and not by a clock: the work grows with the text, so a megabyte is done at once.
    with pytest.raises(Refused, match=LIMIT):
        check("max_over_time(" * 20_000 + "x" + "[1h:1h])" * 20_000)


@pytest.mark.anyio
async def test_every_way_to_prometheus_is_held_to_it(stack: Stack) -> None:
    asked = await call(stack.gateway, "execute_promql_query", query=WIDE, datasource_uid="prometheus")
    assert (asked.status_code, LIMIT in asked.json()["error"]) == (422, True)
    ranged = {"query": "max_over_time(x[1h:5s])", "start": "2025-01-01T00:00:00Z", "end": "2025-01-02T00:00:00Z"}
    over = await call(stack.gateway, "execute_promql_query", datasource_uid="prometheus", step="1m", **ranged)
    assert (over.status_code, LIMIT in over.json()["error"]) == (422, True)
    arguments = {"name": "query_prometheus", "arguments": {"datasourceUid": "prometheus", "expr": WIDE}}
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": arguments}
    assert LIMIT in json.dumps((await post(stack.gateway, "/mcp", message)).json())
    now = int(time.time())
    for path, parameters in (
        ("/api/v1/query", {"query": WIDE}),
        ("/api/v1/query_range", {"query": WIDE, "start": now - 60, "end": now, "step": 15}),
        ("/api/v1/query_exemplars", {"query": WIDE}),
    ):
        encoded = urlencode(parameters)
        got = await stack.gateway.get("prometheus", f"{path}?{encoded}")
        posted = await stack.gateway.request("POST", "prometheus", path, headers=FORM, content=encoded.encode())
        for answer in (got, posted):
            assert (answer.status_code, LIMIT in answer.json()["error"]) == (422, True)
    assert stack.prometheus.seen == []
