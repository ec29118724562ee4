from __future__ import annotations

import math
import random
from collections import Counter
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from traffic.generator import known_ids
from traffic.mix import ROUTES, Kind
from traffic.plan import Arrival, arrivals
from traffic.requests import Known, RequestMaker
from traffic.settings import Settings
from traffic.summary import Summary, percentile

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def plan(
    seed: int = 1, rate: float = 20, mix: Mapping[Kind, float] | None = None, count: int = 500
) -> Sequence[Arrival]:
    return list(islice(arrivals(seed, rate, mix or {}), count))


def arrival(kind: Kind, pick: float = 0.0) -> Arrival:
    return Arrival(gap=0.05, kind=kind, amount=12.5, pick=pick, page=20, days_ago=2)


def test_the_same_seed_is_the_same_sequence_of_gaps_routes_and_payloads() -> None:
    assert plan(seed=7) == plan(seed=7)
    assert plan(seed=7) != plan(seed=8)


def test_the_sequence_is_the_same_on_every_machine() -> None:
    first = plan(seed=1, count=3)
    assert [one.kind for one in first] == [Kind.STATUS, Kind.PAY, Kind.STATUS]
    assert [round(one.gap, 9) for one in first] == [0.061873478, 0.032688387, 0.092763604]
    assert [one.amount for one in first] == [44.45, 36.14, 174.26]


def test_another_mix_leaves_gaps_and_amounts_as_they_were() -> None:
    one, two = plan(), plan(mix={Kind.REFUND: 50})
    assert [(a.gap, a.amount) for a in one] == [(a.gap, a.amount) for a in two]
    assert [a.kind for a in one] != [a.kind for a in two]


@pytest.mark.parametrize("rate", [20, 200])
def test_gaps_are_exponential_with_the_configured_rate(rate: float) -> None:
    gaps = [one.gap * rate for one in plan(rate=rate, count=20_000)]
    mean = sum(gaps) / len(gaps)
    variance = sum((gap - mean) ** 2 for gap in gaps) / len(gaps)
    # Five standard errors: 1/sqrt(n) of the mean, sqrt(8/n) of the variance.
    assert abs(mean - 1) < 5 / math.sqrt(len(gaps))
    assert abs(variance - 1) < 5 * math.sqrt(8 / len(gaps))
    assert abs(sum(gap > 1 for gap in gaps) / len(gaps) - math.exp(-1)) < 0.02


def test_the_mix_covers_all_routes_and_half_are_payments() -> None:
    counted = Counter(one.kind for one in plan(count=20_000))
    assert counted.keys() == {*Kind}
    total = sum(route.weight for route in ROUTES.values())
    for kind, route in ROUTES.items():
        share = route.weight / total
        assert abs(counted[kind] / 20_000 - share) < 5 * math.sqrt(share / 20_000)
    assert ROUTES[Kind.PAY].weight / total == 0.5


def test_a_weight_of_zero_leaves_a_kind_out_and_no_weight_at_all_is_refused() -> None:
    assert Kind.REFUND not in {one.kind for one in plan(mix={Kind.REFUND: 0}, count=2000)}
    assert {one.kind for one in plan(mix={kind: 0.0 for kind in Kind if kind is not Kind.REPORT})} == {Kind.REPORT}
    with pytest.raises(ValueError, match="at least one weight"):
        next(arrivals(1, 20, dict.fromkeys(Kind, 0.0)))


def test_amounts_are_those_of_everyday_payments() -> None:
    amounts = sorted(one.amount for one in plan(count=5000))
    assert amounts[0] >= 1
    assert 25 < amounts[2500] < 36
    assert amounts[-1] <= 5000
    assert all(round(amount, 2) == amount for amount in amounts)


def test_what_needs_an_id_pays_until_one_is_known() -> None:
    maker = RequestMaker(Known())
    for kind in Kind:
        request = maker.make(arrival(kind))
        wanted = ROUTES[Kind.REPORT] if kind is Kind.REPORT else ROUTES[Kind.PAY]
        assert (request.route, request.method) == (wanted.label, wanted.method)


def test_ids_come_from_the_answers_to_payments() -> None:
    known = Known()
    known.learn({"payment_id": 11, "status": "completed", "customer_id": 5, "merchant_id": 3})
    known.learn({"payment_id": 12, "status": "declined", "customer_id": 6, "merchant_id": 4})
    maker = RequestMaker(known, today=lambda: datetime(2026, 11, 21, 0, 30, tzinfo=UTC))
    made = {kind: maker.make(arrival(kind)) for kind in Kind}
    assert made[Kind.STATUS].path == "/payment/12"
    assert made[Kind.HISTORY].path == "/customers/6/payments?limit=20"
    assert made[Kind.TOTALS].path == "/merchants/4/totals"
    assert made[Kind.REPORT].path == "/reports/settlement?date=2026-11-19"
    assert (made[Kind.SETTLE].path, made[Kind.SETTLE].body) == ("/settlement-runs", {"merchant_id": 4})
    assert made[Kind.REFUND].path == "/payment/11/refund", "a declined payment cannot be refunded"
    assert made[Kind.PAY].body == {"amount": 12.5}, "the service chooses the merchant by its weights"
    assert maker.make(arrival(Kind.STATUS, pick=0.99)).path == "/payment/11"
    assert {request.route for request in made.values()} == {route.label for route in ROUTES.values()}


def test_no_payment_is_refunded_twice() -> None:
    known = Known()
    for number in range(50):
        known.learn({"payment_id": number, "status": "completed"})
    maker = RequestMaker(known)
    picks = random.Random(1)  # noqa: S311 - a test
    paths = [maker.make(arrival(Kind.REFUND, picks.random())).path for _ in range(50)]
    assert len({*paths}) == 50
    assert maker.make(arrival(Kind.REFUND)).path == "/payment", "nothing is left to refund"


def test_every_payment_and_refund_has_a_key_of_its_own_in_every_run() -> None:
    def keys(maker: RequestMaker) -> list[str]:
        return [maker.make(arrival(Kind.PAY)).headers["Idempotency-Key"] for _ in range(100)]

    one, two = keys(RequestMaker(Known())), keys(RequestMaker(Known()))
    assert len({*one, *two}) == 200, "a second run must not be answered with the payments of the first"


@given(
    st.dictionaries(
        st.sampled_from(["payment_id", "status", "customer_id", "merchant_id"]), st.none() | st.text() | st.integers()
    )
)
def test_odd_answers_teach_nothing_and_break_nothing(answer: dict[str, object]) -> None:
    known = Known()
    known.learn(answer)
    for ids in (known.payments, known.refundable, known.customers, known.merchants):
        assert all(isinstance(one, int) for one in ids)
    for kind in Kind:
        RequestMaker(known).make(arrival(kind, 0.999999))


def test_ids_may_be_given_as_ranges() -> None:
    known = known_ids(Settings(customers=50, merchants=4))
    known.learn({"payment_id": 1, "customer_id": 999, "merchant_id": 999})
    maker = RequestMaker(known)
    assert maker.make(arrival(Kind.HISTORY)).path == "/customers/50/payments?limit=20"
    assert maker.make(arrival(Kind.HISTORY, 0.9999)).path == "/customers/1/payments?limit=20"
    assert maker.make(arrival(Kind.TOTALS, 0.5)).path == "/merchants/2/totals"


def test_memory_is_bounded() -> None:
    known = Known()
    for number in range(5000):
        known.learn({"payment_id": number, "status": "completed", "customer_id": number, "merchant_id": number})
    assert len(known.payments) == len(known.refundable) == len(known.customers) == len(known.merchants) == 1000


def test_a_summary_begins_anew_each_time() -> None:
    summary = Summary()
    for milliseconds in range(1, 101):
        summary.record("POST /payment", "success", milliseconds / 1000)
    summary.record("GET /payment/{payment_id}", "error", 9)
    summary.shed()
    assert summary.take() == {
        "success": 100,
        "error": 1,
        "timeout": 0,
        "shed": 1,
        "payment_p50_ms": 50.0,
        "payment_p95_ms": 95.0,
    }
    assert summary.take()["payment_p95_ms"] is None


def test_percentiles_are_of_the_nearest_rank() -> None:
    assert percentile([], 0.95) is None
    assert percentile([1.0], 0.95) == 1000
    assert percentile([1.0, 2.0, 3.0, 4.0], 0.5) == 2000
