"""What a query may ask for on the fronts that pass queries on."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.agents.bounds import Bounds
from gateway.config import AgentLimits
from gateway.problems import Refused
from gateway.query_limits import QueryLimits
from gateway.rules import Bounded
from tests.gateway.support import BEARER, FakeBackend, make_config, running, serving

if TYPE_CHECKING:
    from tests.gateway.conftest import Stack

NOW = 1_764_000_000
DAY = 86_400
WIDE = "max_over_time(x[1d:5ms])"
LIMITS = QueryLimits(Bounds(AgentLimits()))
FORM = {**BEARER, "Content-Type": "application/x-www-form-urlencoded"}


@pytest.mark.parametrize(
    ("parameters", "part"),
    [
        ({"query": "x" * 9000}, "8192 bytes"),
        ({"match[]": "x" * 9000}, "8192 bytes"),
        ({"q": "x" * 9000}, "8192 bytes"),
        ({"start": NOW - 40 * DAY, "end": NOW}, "31d"),
        ({"start": 0}, "31d"),
        ({"start": "2025-01-01T00:00:00Z", "end": "2025-03-01T00:00:00Z"}, "31d"),
        ({"start": (NOW - 40 * DAY) * 10**9, "end": NOW * 10**9}, "31d"),
        ({"start": f"{NOW - 40 * DAY}.5", "end": f"{NOW}.5"}, "31d"),
        ({"since": "45d"}, "31d"),
        # Ten million points.
        ({"start": NOW - 10_000_000, "end": NOW, "step": 1}, "31d"),
        ({"start": NOW - 1_000_000, "end": NOW, "step": "0.1"}, "11000 points"),
        ({"start": NOW - DAY, "end": NOW, "step": "1s"}, "11000 points"),
        ({"start": NOW - DAY, "end": NOW, "step": "100ms"}, "11000 points"),
        ({"start": (NOW - DAY) * 10**9, "end": NOW * 10**9, "interval": "1s"}, "11000 points"),
        ({"step": "0.1"}, "11000 points"),
        ({"limit": "5001"}, "limit of 5000 lines"),
        ({"limit": "9" * 5000}, "limit of 5000 lines"),
        ({"limit": "+5001"}, "limit of 5000 lines"),
        # A start that a query at one moment has no use for, and a back end does not read, makes room for nothing.
        ({"query": WIDE, "start": 99_999_999_999}, "11000 points"),
        ({"query": WIDE, "start": NOW, "end": -(10**10)}, "11000 points"),
    ],
)
def test_what_is_over_a_limit_is_refused_with_the_limit(parameters: dict[str, object], part: str) -> None:
    encoded = urlencode(parameters).encode()
    for query, body in ((encoded, b""), (b"", encoded)):
        with pytest.raises(Refused) as raised:
            LIMITS.check(Bounded.QUERY, query, body)
        assert raised.value.status in {413, 422}
        assert part in raised.value.sentence


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"query": "up", "time": NOW},
        {"query": "up", "start": NOW - DAY, "end": NOW, "step": 15},
        {"query": "up", "start": "2025-01-01T00:00:00Z", "end": "2025-01-31T00:00:00.000Z", "step": "5m"},
        {"query": "{}", "start": (NOW - DAY) * 10**9, "end": NOW * 10**9, "limit": 5000},
        {"query": "{}", "since": "1h", "step": "15s"},
        # For the back end to refuse, in its own words.
        {"query": "up", "start": "", "end": "", "step": "", "limit": "many"},
        {"query": "up", "start": NOW, "end": NOW - DAY, "step": -1},
        {"step": 0},
    ],
)
def test_what_is_within_passes(parameters: dict[str, object]) -> None:
    LIMITS.check(Bounded.QUERY, urlencode(parameters).encode(), b"")


@pytest.mark.parametrize("name", ["start", "end", "since", "step", "interval"])
@pytest.mark.parametrize("text", ["nan", "inf", "-inf", "1e400", "0x1p0", "0000-01-01T00:00:00Z", "yesterday"])
def test_a_time_that_cannot_be_read_is_refused_for_the_back_end_might_read_it(name: str, text: str) -> None:
    with pytest.raises(Refused, match=f"^{name} ") as raised:
        LIMITS.check(Bounded.QUERY, urlencode({"query": "up", name: text}).encode(), b"")
    assert raised.value.status == 400


def test_times_before_1970_are_refused_like_a_range_that_is_too_long() -> None:
    """Go reads them, and a subquery is evaluated over all of the range."""
    for start in ("1969-12-31T00:00:00Z", "-86400"):
        with pytest.raises(Refused):
            LIMITS.check(Bounded.QUERY, urlencode({"query": "up", "start": start, "step": "2d"}).encode(), b"")


def test_of_a_parameter_that_is_given_twice_both_count() -> None:
    for start in (f"start={NOW}&start=0", f"start=0&start={NOW}"):
        with pytest.raises(Refused):
            LIMITS.check(Bounded.QUERY, f"{start}&end={NOW}".encode(), b"")
    with pytest.raises(Refused):
        LIMITS.check(Bounded.QUERY, b"query=up", b"query=" + b"x" * 9000)
    with pytest.raises(Refused, match="parameters"):
        LIMITS.check(Bounded.QUERY, b"a=1&" * 500, b"")


@given(
    st.dictionaries(
        st.sampled_from(["query", "start", "end", "step", "since", "interval", "limit", "match[]"]),
        st.one_of(
            st.text(max_size=30),
            st.integers().map(str),
            st.floats().map(str),
            st.sampled_from(["now", "now-1h", "inf", "-inf", "nan", "1e400", "5m"]),
        ),
    ),
    st.binary(max_size=100),
)
def test_nothing_does_more_than_be_refused(parameters: dict[str, str], body: bytes) -> None:
    with contextlib.suppress(Refused):
        LIMITS.check(Bounded.QUERY, urlencode(parameters).encode(), body)


@pytest.mark.anyio
async def test_the_fronts_hold_to_it_and_the_back_end_is_not_asked(stack: Stack) -> None:
    long = urlencode({"query": "up", "start": NOW - 10_000_000, "end": NOW, "step": 1})
    for front, path in (("prometheus", "/api/v1/query_range"), ("loki", "/loki/api/v1/query_range")):
        got = await stack.gateway.get(front, f"{path}?{long}")
        assert (got.status_code, "limit of 31d" in got.json()["error"]) == (422, True)
        posted = await stack.gateway.request("POST", front, path, headers=FORM, content=long.encode())
        assert posted.status_code == 422
    assert (stack.prometheus.seen, stack.loki.seen) == ([], [])
    within = urlencode({"query": "up", "start": NOW - 3600, "end": NOW, "step": 15})
    assert (await stack.gateway.get("prometheus", f"/api/v1/query_range?{within}")).status_code == 200


@pytest.mark.anyio
async def test_what_grafana_passes_on_is_held_to_it_too() -> None:
    grafana = FakeBackend("grafana")
    async with serving(grafana) as url:
        config = make_config(distribution="upstream", backends__grafana={"url": url})
        async with running(config) as gateway:
            long = urlencode({"query": "up", "start": NOW - 10_000_000, "end": NOW, "step": 1})
            path = "/api/datasources/proxy/uid/prometheus/api/v1/query_range"
            assert (await gateway.get("main", f"{path}?{long}")).status_code == 422
    assert grafana.seen == []
