from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.credentials import Token
from tests.gateway.support import BEARER, TOKEN, FakeBackend, make_config, running, serving

if TYPE_CHECKING:
    from tests.gateway.conftest import Stack

FRONTS = {
    "main": "/api/datasources",
    "prometheus": "/api/v1/query",
    "loki": "/loki/api/v1/labels",
    "traces": "/api/services",
}


def basic(user: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


@pytest.mark.anyio
@pytest.mark.parametrize("front", FRONTS)
@pytest.mark.parametrize(
    "headers",
    [BEARER, {"Authorization": f"bearer {TOKEN}"}, basic("compass", TOKEN), basic("", TOKEN), basic("anybody", TOKEN)],
)
async def test_the_token_opens_every_front(stack: Stack, front: str, headers: dict[str, str]) -> None:
    response = await stack.gateway.request("GET", front, FRONTS[front], headers=headers)
    assert response.status_code == 200


@pytest.mark.anyio
@pytest.mark.parametrize("front", FRONTS)
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": ""},
        {"Authorization": "Bearer"},
        {"Authorization": f"Bearer {TOKEN}x"},
        {"Authorization": f"Bearer {TOKEN[:-1]}"},
        {"Authorization": TOKEN},
        {"Authorization": f"Digest {TOKEN}"},
        {"Authorization": "Basic !!!"},
        {"Authorization": "Basic " + base64.b64encode(TOKEN.encode()).decode()},
        basic(TOKEN, ""),
        basic("user", "wrong"),
        {"Authorization": "Basic w7w="},
        {"Cookie": f"token={TOKEN}"},
        {"X-Api-Key": TOKEN},
    ],
)
async def test_nothing_else_opens_one(stack: Stack, front: str, headers: dict[str, str]) -> None:
    response = await stack.gateway.request("GET", front, FRONTS[front], headers=headers)
    assert response.status_code == 401
    assert response.headers["www-authenticate"] == 'Basic realm="test gateway", charset="UTF-8"', "so that browsers ask"
    assert TOKEN not in response.text
    assert stack.prometheus.seen == stack.loki.seen == stack.jaeger.seen == []


@pytest.mark.anyio
async def test_two_authorization_headers_are_none(stack: Stack) -> None:
    bearer = BEARER["Authorization"].encode()
    request = b"GET /api/datasources HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"
    request += b"Authorization: " + bearer + b"\r\nAuthorization: Basic eDp5\r\n\r\n"
    assert (await stack.gateway.raw("main", request)).startswith(b"HTTP/1.1 401")


@pytest.mark.anyio
async def test_a_token_in_the_url_counts_for_nothing(stack: Stack) -> None:
    for path in (f"/api/datasources?token={TOKEN}", f"/api/datasources?access_token={TOKEN}"):
        assert (await stack.gateway.request("GET", "main", path)).status_code == 401


@pytest.mark.anyio
@pytest.mark.parametrize("path", ["/ready", "/ready/stack", "/api/health"])
async def test_readiness_and_health_ask_for_no_token(stack: Stack, path: str) -> None:
    assert (await stack.gateway.request("GET", "main", path)).status_code == 200
    assert (await stack.gateway.request("HEAD", "main", path)).status_code == 200


@pytest.mark.anyio
@pytest.mark.parametrize(
    "path", ["/", "/status", "/api/alerts/received", "/api/datasources", "/ready/", "/ready/x", "/nothing"]
)
async def test_everything_else_of_the_main_front_does(stack: Stack, path: str) -> None:
    assert (await stack.gateway.request("GET", "main", path)).status_code == 401


@pytest.mark.anyio
async def test_readiness_of_a_back_end_behind_its_front_asks_for_the_token(stack: Stack) -> None:
    assert (await stack.gateway.request("GET", "loki", "/ready")).status_code == 401
    assert (await stack.gateway.request("GET", "prometheus", "/-/ready")).status_code == 401


@pytest.mark.anyio
async def test_an_open_gateway_asks_nobody() -> None:
    backend = FakeBackend("prometheus")
    async with (
        serving(backend) as url,
        running(
            make_config(authentication={"mode": "loopback-open"}, backends__prometheus={"url": url}), None
        ) as gateway,
    ):
        assert (await gateway.request("GET", "prometheus", "/api/v1/query")).status_code == 200
        assert (await gateway.request("GET", "main", "/api/datasources")).status_code == 200
        foreign = {"Host": "evil.example"}
        assert (await gateway.request("GET", "prometheus", "/api/v1/query", headers=foreign)).status_code == 421


@pytest.mark.anyio
@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "localhost.", "", "127.0.0.2", "[::2]", "a b", "[x"]
)
async def test_a_host_that_is_not_ours_is_refused_even_with_the_token(stack: Stack, host: str) -> None:
    status, answer = await stack.gateway.raw_get("prometheus", "/api/v1/query", host=host)
    assert status in {400, 421}, answer
    assert stack.prometheus.seen == []


@pytest.mark.anyio
@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.0.0.1:9090", "localhost:9090", "LOCALHOST", "gateway:9090", "[::1]:9090"]
)
async def test_our_own_names_are_served(stack: Stack, host: str) -> None:
    status, _ = await stack.gateway.raw_get("prometheus", "/api/v1/query", host=host)
    assert status == 200


@pytest.mark.anyio
async def test_orchestrators_may_ask_for_readiness_by_any_address(stack: Stack) -> None:
    response = await stack.gateway.request("GET", "internal", "/ready", headers={"Host": "10.42.0.17:8090"})
    assert response.status_code == 200


@pytest.mark.anyio
async def test_hosts_may_be_given_as_a_domain() -> None:
    async with running(make_config(browsers={"allowed_hosts": ["*.demo.example"]})) as gateway:
        assert (await gateway.raw_get("main", "/api/datasources", host="a.demo.example"))[0] == 200
        assert (await gateway.raw_get("main", "/api/datasources", host="demo.example"))[0] == 421
        assert (await gateway.raw_get("main", "/api/datasources", host="ademo.example"))[0] == 421


@pytest.mark.anyio
@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://127.0.0.1:1", "http://127.0.0.1.evil.example"]
)
async def test_a_foreign_page_may_not_post(stack: Stack, origin: str) -> None:
    headers = {**BEARER, "Origin": origin, "Content-Type": "application/x-www-form-urlencoded"}
    response = await stack.gateway.request("POST", "prometheus", "/api/v1/query", headers=headers, content=b"query=up")
    assert response.status_code == 403
    assert stack.prometheus.seen == []


@pytest.mark.anyio
async def test_the_fronts_own_page_may_post(stack: Stack) -> None:
    origin = stack.gateway.url("prometheus")
    headers = {**BEARER, "Origin": origin, "Content-Type": "application/x-www-form-urlencoded"}
    response = await stack.gateway.request("POST", "prometheus", "/api/v1/query", headers=headers, content=b"query=up")
    assert response.status_code == 200


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1), st.binary())
def test_only_the_very_token_is_admitted(token: str, given_credential: bytes) -> None:
    def header(value: bytes) -> list[tuple[bytes, bytes]]:
        return [(b"authorization", value)]

    guard = Token(token, cookie="c")
    assert guard.admits(header(b"Bearer " + token.encode()))
    assert guard.admits(header(b"Basic " + base64.b64encode(b"any:" + token.encode())))
    assert guard.admits(header(b"Bearer " + given_credential)) == (given_credential.strip() == token.encode())
    assert not guard.admits(header(given_credential))
