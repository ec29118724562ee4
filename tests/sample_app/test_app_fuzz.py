"""Whatever a client sends: a proper answer, never a 500, and the service goes on."""

from __future__ import annotations

import http.client
import json
import socket
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.sample_app.support import Place, Process, process

if TYPE_CHECKING:
    from collections.abc import Generator

pytestmark = [pytest.mark.postgres]

FUZZ = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])

ROUTES = (
    "/payment", "/payment/{}", "/payment/{}/refund", "/customers/{}/payments", "/settlement-runs",
    "/reports/settlement", "/merchants/{}/totals", "/trigger-incident", "/health", "/metrics",
)  # fmt: skip
NAMES = ("amount", "currency", "customer_id", "merchant_id", "reason", "business_date", "incident_type")
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30)
    | st.sampled_from([1e400, -0.0, 5e-324, 10**30, "\x00", "2026-01-01", "0001-01-01", "EUR", 10**400]),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=5), inner, max_size=5),
    max_leaves=12,
)  # fmt: skip
BODIES = st.one_of(
    st.binary(max_size=200),
    JSON.map(lambda value: json.dumps(value).encode()),
    st.dictionaries(st.sampled_from(NAMES), JSON, max_size=7).map(lambda value: json.dumps(value).encode()),
    st.dictionaries(st.sampled_from(NAMES), JSON, max_size=7).map(
        lambda value: json.dumps(value, ensure_ascii=False).encode("utf-16", "surrogatepass")
    ),
    st.integers(1, 9000).map(lambda depth: b"[" * depth),
    st.integers(1, 3000).map(lambda depth: b'{"amount":' * depth + b"1" + b"}" * depth),
    st.integers(16_000, 70_000).map(lambda size: b'{"amount": 1, "x": "' + b"y" * size + b'"}'),
    st.integers(1, 5000).map(lambda digits: b'{"amount": ' + b"9" * digits + b"}"),
)
IDS = st.one_of(
    st.integers().map(str),
    st.sampled_from(
        [
            "0",
            "1",
            "-1",
            "2147483648",
            "9223372036854775807",
            "9223372036854775808",
            "1e3",
            "\u0661",
            "1\x00",
            "../1",
            "1/2",
        ]
    ),
    st.text(max_size=20),
)
HEADERS = st.dictionaries(
    st.sampled_from(
        ["Idempotency-Key", "X-Request-ID", "traceparent", "tracestate", "Accept", "Content-Type", "Content-Encoding"]
    ),
    st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_characters="\x7f"), max_size=150),
    max_size=4,
)
QUERIES = st.dictionaries(
    st.sampled_from(["limit", "cursor", "date", "days", "incident_type"]), st.text(max_size=40), max_size=3
)


@pytest.fixture(scope="module")
def app(place: Place, tmp_path_factory: pytest.TempPathFactory) -> Generator[Process]:
    with process(place, tmp_path_factory.mktemp("app")) as started:
        yield started
        crashes = [line for line in started.lines() if line.get("status") == 500 or "exception" in line]
        assert crashes == []


def ask(app: Process, method: str, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, str, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", app.port, timeout=30)
    try:
        connection.putrequest(method, path, skip_accept_encoding=True)
        for name, value in headers.items():
            connection.putheader(name, value.strip().encode("latin-1"))
        connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        answer = connection.getresponse()
        return answer.status, answer.headers.get_content_type(), answer.read()
    finally:
        connection.close()


def check(answer: tuple[int, str, bytes]) -> None:
    status, content_type, body = answer
    assert status in {200, 400, 404, 405, 408, 409, 413, 415, 422, 503}, answer
    # 503 only from the incident route, which has nobody to hand its wish to.
    assert status != 503 or b"No incident runner" in body
    if content_type != "text/plain":
        parsed = json.loads(body)
        assert content_type == ("application/json" if status == 200 else "application/problem+json")
        assert status == 200 or (parsed["status"] == status and parsed["detail"])


@FUZZ
@given(body=BODIES, headers=HEADERS)
def test_any_body_of_a_payment_gets_a_proper_answer(app: Process, body: bytes, headers: dict[str, str]) -> None:
    check(ask(app, "POST", "/payment", body, headers))


@FUZZ
@given(
    method=st.sampled_from(["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "TRACE", "ODD"]),
    route=st.sampled_from(ROUTES),
    identifier=IDS,
    query=QUERIES,
    body=BODIES,
    headers=HEADERS,
)
def test_any_request_to_any_route_gets_a_proper_answer(
    app: Process, method: str, route: str, identifier: str, query: dict[str, str], body: bytes, headers: dict[str, str]
) -> None:
    path = route.format(quote(identifier.encode("utf-8", "surrogatepass"), safe="/"))
    if query:
        path += "?" + "&".join(
            f"{name}={quote(value.encode('utf-8', 'surrogatepass'))}" for name, value in query.items()
        )
    answer = ask(app, method, path, body, headers)
    if method == "HEAD":
        assert answer[0] < 500 or route == "/trigger-incident"
    else:
        check(answer)


@FUZZ
@given(path=st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=60))
def test_any_path_gets_a_proper_answer(app: Process, path: str) -> None:
    check(ask(app, "GET", "/" + path.replace("#", ""), b"", {}))


@pytest.mark.parametrize(
    "data",
    [
        b"\x00\x01\x02\x03\r\n\r\n",
        b"POST /payment HTTP/1.1\r\nHost: app\r\nContent-Length: -5\r\n\r\n",
        b"POST /payment HTTP/1.1\r\nHost: app\r\nContent-Length: 99999999999999999999\r\n\r\n",
        b"POST /payment HTTP/1.1\r\nHost: app\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",
        b"POST /payment HTTP/1.1\r\nHost: app\r\nIdempotency-Key: a\x00b\r\nContent-Length: 0\r\n\r\n",
        b"GET /payment/\xff\xfe HTTP/1.1\r\nHost: app\r\n\r\n",
    ],
)
def test_what_is_no_http_is_refused(app: Process, data: bytes) -> None:
    with socket.create_connection(("127.0.0.1", app.port), timeout=10) as connection:
        connection.sendall(data)
        answer = connection.recv(4096)
    assert answer.startswith((b"HTTP/1.1 4", b"HTTP/1.0 4")), answer


def test_a_body_without_end_is_cut_off(app: Process) -> None:
    with socket.create_connection(("127.0.0.1", app.port), timeout=10) as connection:
        connection.sendall(b"POST /payment HTTP/1.1\r\nHost: app\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(20):
            connection.sendall(b"400\r\n" + b"x" * 1024 + b"\r\n")
        assert connection.recv(4096).startswith(b"HTTP/1.1 413")


def test_a_client_that_goes_away_harms_nobody(app: Process) -> None:
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", app.port), timeout=10) as connection:
            connection.sendall(b'POST /payment HTTP/1.1\r\nHost: app\r\nContent-Length: 50\r\n\r\n{"amount"')
    assert ask(app, "POST", "/payment", b'{"amount": 1}', {})[0] == 200
