"""The interface that clients rely on."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING

import pytest

from tests.sample_app.support import Place, Running, running

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator
    from pathlib import Path

pytestmark = [pytest.mark.anyio, pytest.mark.postgres]


@pytest.fixture
async def app(place: Place) -> AsyncGenerator[Running]:
    async with running(place.settings()) as started:
        yield started


async def test_a_payment_needs_nothing_but_an_amount(app: Running) -> None:
    answer = await app.public.post("/payment", json={"amount": 100.0})
    assert answer.status_code == 200
    body = answer.json()
    assert body["status"] == "completed"
    assert body["amount"] == 100.0
    assert isinstance(body["payment_id"], int)


async def test_health_names_its_components_with_their_latency(app: Running) -> None:
    answer = await app.public.get("/health")
    assert answer.status_code == 200
    body = answer.json()
    assert body["status"] == "healthy"
    assert set(body["components"]) == {"database", "connection_pool"}
    for component in body["components"].values():
        assert component["status"] == "healthy"
        assert component["latency_ms"] >= 0


async def test_live_and_ready_are_cheap_and_say_yes(app: Running) -> None:
    assert (await app.public.get("/health/live")).status_code == 200
    assert (await app.public.get("/health/ready")).json() == {"status": "ready"}


@pytest.mark.parametrize("how", ["body", "query"])
async def test_without_a_runner_a_valid_incident_type_is_answered_with_503(app: Running, how: str) -> None:
    wish = {"incident_type": "missing_index"}
    in_body, in_query = (wish, None) if how == "body" else (None, wish)
    answer = await app.public.post("/trigger-incident", json=in_body, params=in_query)
    assert answer.status_code == 503
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["detail"] == "No incident runner is configured."


@pytest.mark.parametrize(
    "body", [{"incident_type": "earthquake"}, {"incident_type": 7}, {}, [], {"incident_type": None}]
)
async def test_an_unknown_incident_type_is_answered_with_the_valid_ones(app: Running, body: object) -> None:
    answer = await app.public.post("/trigger-incident", json=body)
    assert answer.status_code == 400
    assert answer.json()["valid_types"] == ["normal", "missing_index", "lock_contention", "pool_exhaustion"]
    assert "lock_contention" in answer.json()["detail"]


async def test_the_incident_route_leaves_nothing_in_the_metrics(app: Running) -> None:
    await app.public.post("/trigger-incident", json={"incident_type": "normal"})
    assert "incident" not in (await app.public.get("/metrics")).text


async def test_a_payment_can_be_looked_up(app: Running) -> None:
    paid = await app.pay(amount=12.34, customer_id=7, merchant_id=3)
    body = (await app.public.get(f"/payment/{paid['payment_id']}")).json()
    assert body | paid == body
    assert (body["customer_id"], body["merchant_id"], body["amount"]) == (7, 3, 12.34)
    assert "stale" not in body


async def test_history_is_paged_newest_first_without_a_gap_or_a_repetition(app: Running) -> None:
    for amount in (1.0, 2.0, 3.0):
        await app.pay(amount=amount, customer_id=11)
    whole = (await app.public.get("/customers/11/payments", params={"limit": 100})).json()
    assert whole["next_cursor"] is None
    assert [payment["amount"] for payment in whole["payments"][:3]] == [3.0, 2.0, 1.0]
    pages: list[object] = []
    cursor: dict[str, str] = {}
    while True:
        page = (await app.public.get("/customers/11/payments", params={"limit": 2, **cursor})).json()
        pages += page["payments"]
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert pages == whole["payments"]


async def test_a_refund_is_made_once(app: Running) -> None:
    paid = await app.pay(amount=40.0)
    path = f"/payment/{paid['payment_id']}/refund"
    answer = await app.public.post(path, json={"reason": "damaged"})
    assert answer.status_code == 200
    assert answer.json() == {
        "payment_id": paid["payment_id"],
        "status": "refunded",
        "amount": 40.0,
        "reason": "damaged",
    }
    again = await app.public.post(path)
    assert again.status_code == 409
    assert (await app.public.get(f"/payment/{paid['payment_id']}")).json()["status"] == "refunded"


async def test_a_settlement_run_books_each_payment_once(app: Running) -> None:
    for _ in range(3):
        await app.pay(amount=10.0, merchant_id=41)
    first = (await app.public.post("/settlement-runs", json={"merchant_id": 41})).json()
    assert first["settled_now"] >= 3
    again = (await app.public.post("/settlement-runs", json={"merchant_id": 41})).json()
    assert again == first | {"settled_now": 0}
    await app.pay(amount=5.0, merchant_id=41)
    third = (await app.public.post("/settlement-runs", json={"merchant_id": 41})).json()
    assert third["settlement_run_id"] == first["settlement_run_id"]
    assert (third["settled_now"], third["payments"]) == (1, first["payments"] + 1)
    assert third["gross"] == pytest.approx(first["gross"] + 5.0)


async def test_the_report_of_yesterday_sums_up_its_merchants(app: Running) -> None:
    report = (await app.public.get("/reports/settlement")).json()
    assert len(report["merchants"]) > 10
    assert report["payments"] == sum(row["payments"] for row in report["merchants"])
    assert report["gross"] == pytest.approx(sum(row["gross"] for row in report["merchants"]))


async def test_the_totals_of_a_merchant_count_its_payments_and_refunds(app: Running) -> None:
    before = (await app.public.get("/merchants/17/totals", params={"days": 1})).json()
    paid = await app.pay(amount=30.0, merchant_id=17)
    await app.public.post(f"/payment/{paid['payment_id']}/refund")
    after = (await app.public.get("/merchants/17/totals", params={"days": 1})).json()
    assert after["payments"] == before["payments"] + 1
    assert after["amount"] == pytest.approx(before["amount"] + 30.0)
    assert (after["refunds"], after["refunded"]) == (before["refunds"] + 1, pytest.approx(before["refunded"] + 30.0))


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/payment/9999999999", 404),
        ("POST", "/payment/9999999999/refund", 404),
        ("GET", "/customers/2000000000/payments", 404),
        ("GET", "/merchants/2000000000/totals", 404),
        ("GET", "/payment/99999999999999999999", 422),
        ("GET", "/payment/abc", 422),
        ("GET", "/payment/0", 422),
        ("GET", "/payment/%00", 422),
        ("GET", "/customers/7/payments?limit=0", 422),
        ("GET", "/customers/7/payments?limit=101", 422),
        ("GET", "/customers/7/payments?cursor=yesterday", 422),
        ("GET", "/reports/settlement?date=2026-02-30", 422),
        ("GET", "/reports/settlement?date=9999-01-01", 422),
        ("GET", "/nowhere", 404),
        ("DELETE", "/payment", 405),
    ],
)
async def test_a_wrong_path_is_a_problem(app: Running, method: str, path: str, status: int) -> None:
    answer = await app.public.request(method, path)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["status"] == status


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"\xff\xfe{", 400),
        (b"[" * 10_000, 400),
        (b"{" * 17_000, 413),
        (b"null", 422),
        (b"[]", 422),
        (b"{}", 422),
        (b'{"amount": "100"}', 422),
        (b'{"amount": true}', 422),
        (b'{"amount": NaN}', 422),
        (b'{"amount": Infinity}', 422),
        (b'{"amount": 1e400}', 422),
        (b'{"amount": -1}', 422),
        (b'{"amount": 0.001}', 422),
        (b'{"amount": 1000000.01}', 422),
        (b'{"amount": 1, "currency": "XXX"}', 422),
        (b'{"amount": 1, "customer_id": 0}', 422),
        (b'{"amount": 1, "customer_id": 99999999999999999999}', 422),
        (b'{"amount": 1, "customer_id": 2000000000}', 422),
        (b'{"amount": 1, "merchant_id": 2000000000}', 422),
    ],
)
async def test_a_wrong_body_is_a_problem(app: Running, body: bytes, status: int) -> None:
    answer = await app.public.post("/payment", content=body)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"


async def test_a_compressed_body_is_refused(app: Running) -> None:
    answer = await app.public.post("/payment", content=b"x", headers={"content-encoding": "gzip"})
    assert answer.status_code == 415


@pytest.mark.parametrize("key", ["", " ", "a b", "x" * 129, "\u00e9".encode("latin-1")])
async def test_a_wrong_idempotency_key_is_a_problem(app: Running, key: str | bytes) -> None:
    answer = await app.public.post("/payment", json={"amount": 1.0}, headers=[(b"Idempotency-Key", key)])  # pyright: ignore[reportArgumentType] - bytes are fine
    assert answer.status_code == 400


async def test_a_member_that_nobody_asked_for_is_ignored(app: Running) -> None:
    await app.pay(card_number="4111111111111111", note="x")


async def test_a_declined_payment_says_so_and_moves_no_money(place: Place) -> None:
    async with running(place.settings(velocity_max_hourly=1)) as app:
        assert (await app.pay(customer_id=23))["status"] == "completed"
        declined = await app.pay(customer_id=23)
        assert declined["status"] == "declined"
        assert (await app.public.post(f"/payment/{declined['payment_id']}/refund")).status_code == 409
        assert await app.metric('payment_requests_total{outcome="declined",service="payment-service"}') == 1
    async with place.connect() as connection:
        entries = await connection.fetchval(
            "SELECT count(*) FROM ledger_entries WHERE payment_id = $1", declined["payment_id"]
        )
    assert entries == 0


async def test_a_payment_that_is_too_old_is_not_refunded(app: Running) -> None:
    assert (await app.public.post("/payment/1/refund")).status_code == 409


@contextmanager
def runner(status: int, body: bytes) -> Generator[tuple[str, list[tuple[str | None, object]]]]:
    """Something that incidents can be asked of; what it was asked."""
    asked: list[tuple[str | None, object]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            wish = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            asked.append((self.headers["Authorization"], wish))
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's own name
            del format, args

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/compatibility", asked
        finally:
            server.shutdown()
            thread.join()


async def test_a_wish_is_handed_on_to_the_runner_with_its_token(place: Place, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("runner-token\n", encoding="utf-8")
    answer = {"incident_mode": "missing_index", "previous_mode": "normal", "message": "done"}
    with runner(200, json.dumps(answer).encode()) as (url, asked):
        settings = place.settings(incident_runner_url=url, incident_runner_token_file=token)
        async with running(settings) as app:
            got = await app.public.post("/trigger-incident", params={"incident_type": "missing_index"})
    assert (got.status_code, got.json()) == (200, answer)
    assert asked == [("Bearer runner-token", {"incident_type": "missing_index"})]


@pytest.mark.parametrize(("status", "body"), [(500, b"{}"), (401, b"{}"), (200, b"no json")])
async def test_a_runner_that_fails_is_a_bad_gateway(place: Place, status: int, body: bytes) -> None:
    with runner(status, body) as (url, _):
        async with running(place.settings(incident_runner_url=url)) as app:
            answer = await app.public.post("/trigger-incident", json={"incident_type": "normal"})
    assert answer.status_code == 502
    assert answer.headers["content-type"] == "application/problem+json"


async def test_a_runner_that_refuses_is_a_conflict_and_says_nothing_of_what_is_under_way(place: Place) -> None:
    with runner(409, b'{"error": "index-lost is active; stop it first."}') as (url, _):
        async with running(place.settings(incident_runner_url=url)) as app:
            answer = await app.public.post("/trigger-incident", json={"incident_type": "missing_index"})
    assert answer.status_code == 409
    assert "index" not in answer.text


async def test_a_runner_that_is_gone_is_a_bad_gateway(place: Place) -> None:
    async with running(place.settings(incident_runner_url="http://127.0.0.1:9")) as app:
        assert (await app.public.post("/trigger-incident", json={"incident_type": "normal"})).status_code == 502
