"""A browser gives the token once and is known by a cookie."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import pytest

from gateway import credentials
from gateway.credentials import Token
from tests.gateway.support import TOKEN, make_config, running

if TYPE_CHECKING:
    import httpx2

    from tests.gateway.conftest import Stack
    from tests.gateway.support import RunningGateway

pytestmark = pytest.mark.anyio

FORM = "application/x-www-form-urlencoded"
HTML = "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8"


async def log_in(gateway: RunningGateway, token: str, front: str = "main", **headers: str) -> httpx2.Response:
    sent = {"Content-Type": FORM, "Origin": gateway.url(front), **headers}
    return await gateway.request("POST", front, "/login", headers=sent, content=urlencode({"token": token}).encode())


@pytest.mark.parametrize("front", ["main", "prometheus", "loki", "traces"])
async def test_the_token_is_exchanged_for_a_cookie_that_opens_every_front(stack: Stack, front: str) -> None:
    gateway = stack.gateway
    page = await gateway.request("GET", front, "/login")
    assert (page.status_code, page.headers["cache-control"]) == (200, "no-store")
    assert "<form method=" in page.text
    assert "script" not in page.headers["content-security-policy"]
    given = await log_in(gateway, TOKEN, front)
    assert (given.status_code, given.headers["location"]) == (303, "/")
    cookie, _, attributes = given.headers["set-cookie"].partition(";")
    assert TOKEN not in cookie
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= {part.strip() for part in attributes.split(";")}
    assert "Secure" not in attributes
    for other in ("main", "prometheus"):
        path = "/api/datasources" if other == "main" else "/api/v1/query?query=up"
        answer = await gateway.request("GET", other, path, headers={"Cookie": f"theme=dark; {cookie}"})
        assert answer.status_code == 200
    assert all("cookie" not in seen.headers for seen in stack.prometheus.seen)


async def test_behind_tls_the_cookie_is_for_tls_only(stack: Stack) -> None:
    given = await log_in(stack.gateway, TOKEN, **{"X-Forwarded-Proto": "https"})
    assert given.headers["set-cookie"].endswith("; Secure")


@pytest.mark.parametrize("token", ["", "wrong", TOKEN + "x", "ü"])
async def test_another_token_gives_none(stack: Stack, token: str) -> None:
    answer = await log_in(stack.gateway, token)
    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers
    assert "not the token" in answer.text


async def test_other_pages_bodies_and_methods_are_refused(stack: Stack) -> None:
    gateway = stack.gateway
    assert (await log_in(gateway, TOKEN, Origin="http://evil.example")).status_code == 403
    assert (await log_in(gateway, TOKEN, Host="evil.example")).status_code == 421
    assert (await log_in(gateway, TOKEN, **{"Content-Type": "application/json"})).status_code == 415
    assert (await log_in(gateway, "x" * 20_000)).status_code == 413
    many = {"Content-Type": FORM, "Origin": gateway.url("main")}
    assert (await gateway.request("POST", "main", "/login", headers=many, content=b"a=1&" * 20)).status_code == 400
    assert (await gateway.request("DELETE", "main", "/login")).status_code == 405
    assert (await gateway.request("GET", "internal", "/login")).status_code == 404


async def test_a_cookie_that_is_old_foreign_or_made_up_opens_nothing(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    cookie = (await log_in(stack.gateway, TOKEN)).headers["set-cookie"].partition(";")[0]
    name, _, value = cookie.partition("=")
    until, _, signature = value.partition(".")
    made_up = [
        f"{name}={int(until) + 9999}.{signature}",
        f"{name}={until}.{'0' * 64}",
        f"{name}={until}",
        f"{name}=",
        f"{name}=x.y",
        f"{name}=\xff.{signature}",
        f"other={value}",
        f"{name}={Token('another token', cookie=name).make_cookie()}",
        f"{name}={Token(TOKEN, cookie='other-gateway').make_cookie()}",
    ]
    monkeypatch.setattr(credentials, "COOKIE_SECONDS", -1)
    made_up.append(f"{name}={Token(TOKEN, cookie=name).make_cookie()}")
    for one in made_up:
        raw = await stack.gateway.raw(
            "main",
            b"GET /api/datasources HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nCookie: "
            + one.encode("latin-1")
            + b"\r\n\r\n",
        )
        assert raw.startswith(b"HTTP/1.1 401"), one


async def test_a_cookie_does_not_let_other_pages_post(stack: Stack) -> None:
    cookie = (await log_in(stack.gateway, TOKEN)).headers["set-cookie"].partition(";")[0]
    headers = {"Cookie": cookie, "Content-Type": "application/json", "Origin": "http://evil.example"}
    answer = await stack.gateway.request("POST", "main", "/mcp", headers=headers, content=b"{}")
    assert answer.status_code == 403


async def test_only_where_it_is_configured_a_browser_is_led_to_the_page(stack: Stack) -> None:
    asked = await stack.gateway.request("GET", "main", "/", headers={"Accept": HTML})
    assert (asked.status_code, "www-authenticate" in asked.headers) == (401, True)
    async with running(make_config(browsers={"login_page": True})) as gateway:
        led = await gateway.request("GET", "main", "/", headers={"Accept": HTML})
        assert (led.status_code, led.headers["location"]) == (303, "/login")
        for method, headers in (("GET", {"Accept": "application/json"}), ("POST", {"Accept": HTML})):
            assert (await gateway.request(method, "main", "/", headers=headers)).status_code == 401


async def test_where_nobody_is_asked_nobody_logs_in() -> None:
    async with running(make_config(authentication={"mode": "loopback-open"}), token=None) as gateway:
        assert (await gateway.request("GET", "main", "/login")).status_code == 404


def test_a_cookie_holds_for_half_a_day() -> None:
    until = int(Token(TOKEN, cookie="c").make_cookie().partition(".")[0])
    assert 0 < until - time.time() - 11.9 * 3600 < 3600
