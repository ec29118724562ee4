"""What passes through a front, and that nothing a caller sends can reach another place."""

from __future__ import annotations

import asyncio
import gzip
from typing import TYPE_CHECKING

import pytest
from starlette.responses import PlainTextResponse, RedirectResponse, Response, StreamingResponse

from tests.gateway.support import BEARER, Seen, make_client

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.gateway.conftest import Stack

pytestmark = pytest.mark.anyio

FORM = {**BEARER, "Content-Type": "application/x-www-form-urlencoded"}


async def test_a_query_reaches_prometheus_as_it_was_written(stack: Stack) -> None:
    query = "query=sum(rate(x%7Ba%3D%22b%22%7D%5B5m%5D))+or+vector(0)&time=1.5&empty="
    response = await stack.gateway.get("prometheus", f"/api/v1/query?{query}")
    assert response.status_code == 200
    assert response.json()["data"] == {"from": "prometheus", "path": "/api/v1/query"}
    assert [(seen.method, seen.path, seen.query) for seen in stack.prometheus.seen] == [("GET", "/api/v1/query", query)]


async def test_each_front_asks_its_own_back_end(stack: Stack) -> None:
    assert (await stack.gateway.get("loki", "/loki/api/v1/labels")).json()["data"]["from"] == "loki"
    assert (await stack.gateway.get("traces", "/api/services")).json()["data"]["from"] == "jaeger"
    assert (await stack.gateway.get("prometheus", "/api/v1/labels")).json()["data"]["from"] == "prometheus"


async def test_a_form_is_passed_on_with_its_body(stack: Stack) -> None:
    body = b"query=up&start=1&end=2"
    response = await stack.gateway.request("POST", "prometheus", "/api/v1/query_range", headers=FORM, content=body)
    assert response.status_code == 200
    (seen,) = stack.prometheus.seen
    assert (seen.method, seen.body, seen.headers["content-type"]) == ("POST", body, FORM["Content-Type"])


@pytest.mark.parametrize("content_type", ["application/json", "application/x-protobuf", "", "multipart/form-data"])
async def test_a_body_of_another_kind_is_refused(stack: Stack, content_type: str) -> None:
    headers = {**BEARER, "Content-Type": content_type}
    response = await stack.gateway.request("POST", "prometheus", "/api/v1/query", headers=headers, content=b"{}")
    assert response.status_code == 415
    assert stack.prometheus.seen == []


async def test_a_get_with_a_body_is_refused(stack: Stack) -> None:
    response = await stack.gateway.request("GET", "prometheus", "/api/v1/query", headers=FORM, content=b"query=up")
    assert response.status_code == 400
    assert stack.prometheus.seen == []


async def test_compressed_answers_pass_untouched(stack: Stack) -> None:
    async with (
        make_client() as client,
        client.stream(
            "GET", stack.gateway.url("prometheus") + "/api/v1/query", headers={**BEARER, "Accept-Encoding": "gzip"}
        ) as response,
    ):
        raw = b"".join([chunk async for chunk in response.aiter_raw()])
    assert response.headers["content-encoding"] == "gzip"
    assert raw == gzip.compress(b'{"status":"success","data":"packed"}', mtime=0)


async def test_nothing_is_compressed_that_the_caller_did_not_ask_for(stack: Stack) -> None:
    await stack.gateway.request("GET", "prometheus", "/api/v1/query", headers={**BEARER, "Accept-Encoding": "identity"})
    assert stack.prometheus.seen[0].headers["accept-encoding"] == "identity"
    status, answer = await stack.gateway.raw_get("prometheus", "/api/v1/query")
    assert status == 200
    assert b"content-encoding" not in answer.lower()
    assert "accept-encoding" not in stack.prometheus.seen[1].headers


async def test_an_answer_is_streamed_while_the_back_end_still_writes_it(stack: Stack) -> None:
    go_on = asyncio.Event()

    async def slowly(_seen: Seen) -> Response:
        async def parts() -> AsyncIterator[bytes]:
            yield b'{"first":1,'
            await go_on.wait()
            yield b'"second":2}'

        return StreamingResponse(parts(), media_type="application/json")

    stack.prometheus.answers["/api/v1/query"] = slowly
    async with (
        make_client() as client,
        client.stream("GET", stack.gateway.url("prometheus") + "/api/v1/query", headers=BEARER) as response,
    ):
        chunks = response.aiter_raw()
        assert await anext(chunks) == b'{"first":1,'
        go_on.set()
        assert b"".join([chunk async for chunk in chunks]) == b'"second":2}'


async def test_a_large_answer_passes_whole(stack: Stack) -> None:
    body = b'"' + b"x" * 5_000_000 + b'"'
    stack.loki.always("/loki/api/v1/query_range", lambda: Response(body, media_type="application/json"))
    response = await stack.gateway.get("loki", "/loki/api/v1/query_range")
    assert response.content == body


async def test_head_is_answered_without_a_body(stack: Stack) -> None:
    response = await stack.gateway.request("HEAD", "prometheus", "/-/ready", headers=BEARER)
    assert (response.status_code, response.content) == (200, b"")
    assert stack.prometheus.seen[0].method == "HEAD"


async def test_the_back_ends_own_errors_pass_with_their_words(stack: Stack) -> None:
    error = b'{"status":"error","errorType":"bad_data","error":"parse error: unexpected end of input"}'
    stack.prometheus.always("/api/v1/query", lambda: Response(error, status_code=400, media_type="application/json"))
    response = await stack.gateway.get("prometheus", "/api/v1/query?query=sum(")
    assert (response.status_code, response.content) == (400, error)


async def test_what_is_not_on_the_list_never_reaches_the_back_end(stack: Stack) -> None:
    for method, front, path in [
        ("POST", "prometheus", "/api/v1/admin/tsdb/delete_series"),
        ("POST", "prometheus", "/-/quit"),
        ("DELETE", "loki", "/loki/api/v1/delete"),
        ("GET", "loki", "/loki/api/v1/tail"),
        ("POST", "loki", "/loki/api/v1/push"),
        ("POST", "traces", "/api/traces"),
    ]:
        response = await stack.gateway.request(method, front, path, headers=BEARER)
        assert response.status_code == 403, (method, path)
        assert response.json()["errorType"] == "forbidden"
    assert stack.prometheus.seen == stack.loki.seen == stack.jaeger.seen == []


@pytest.mark.parametrize(
    "target",
    [
        "/api/v1/../../-/quit",
        "/api/v1/%2e%2e/%2e%2e/-/quit",
        "/api/v1/label/..%2f..%2f..%2f-%2fquit/values",
        "/api/v1/label/%2e%2e/values",
        "/api/v1/label/a%5c..%5cb/values",
        "//evil.example/api/v1/query",
        "/static/../-/quit",
        "/static/%2e%2e/-/quit",
        "/static//evil.example",
        "/api/v1/query%00",
        "/api/v1/query%252e",
        "/static/\xe2\x80\xa6",
    ],
)
async def test_a_path_that_means_two_things_is_refused_before_the_back_end(stack: Stack, target: str) -> None:
    status, answer = await stack.gateway.raw_get("prometheus", target)
    assert status == 400, answer
    assert stack.prometheus.seen == []


@pytest.mark.parametrize(
    "target",
    [
        "http://evil.example/api/v1/query",
        "http://evil.example:80/api/v1/query?query=up",
        "https://evil.example/api/v1/query",
        "http://user:pw@evil.example/api/v1/query",
    ],
)
async def test_an_absolute_request_target_cannot_choose_the_back_end(stack: Stack, target: str) -> None:
    status, _ = await stack.gateway.raw_get("prometheus", target)
    assert status in {200, 400}
    assert all(seen.headers["host"] == stack.prometheus.url.removeprefix("http://") for seen in stack.prometheus.seen)
    assert all(seen.path == "/api/v1/query" for seen in stack.prometheus.seen)
    assert len(stack.prometheus.seen) == (status == 200)


@pytest.mark.parametrize("line", [b"CONNECT evil.example:443 HTTP/1.1", b"OPTIONS * HTTP/1.1", b"GET evil HTTP/1.1"])
async def test_other_request_targets_reach_nothing(stack: Stack, line: bytes) -> None:
    answer = await stack.gateway.raw("prometheus", line + b"\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
    assert answer.startswith((b"HTTP/1.1 4",)), answer
    assert stack.prometheus.seen == []


@pytest.mark.parametrize("query", ["query=\xff", "query=a\x7f"])
async def test_a_query_string_that_is_not_plain_is_refused(stack: Stack, query: str) -> None:
    status, _ = await stack.gateway.raw_get("prometheus", f"/api/v1/query?{query}")
    assert status == 400
    assert stack.prometheus.seen == []


async def test_the_canonical_path_is_sent_not_the_callers(stack: Stack) -> None:
    status, _ = await stack.gateway.raw_get("prometheus", "/api/v1/%6cabel/%5f%5fname%5f%5f/values")
    assert status == 200
    assert stack.prometheus.seen[0].path == "/api/v1/label/__name__/values"


async def test_no_secret_or_identity_of_the_caller_reaches_a_back_end(stack: Stack) -> None:
    await stack.gateway.get(
        "loki",
        "/loki/api/v1/labels",
        **{
            "Cookie": "session=1",
            "X-Scope-OrgID": "tenant",
            "X-Webauth-User": "admin",
            "X-Forwarded-For": "1.2.3.4",
            "Connection": "keep-alive, X-Scope-OrgID",
            "Proxy-Authorization": "Basic eDp5",
        },
    )
    (seen,) = stack.loki.seen
    assert not {
        "authorization",
        "cookie",
        "x-scope-orgid",
        "x-webauth-user",
        "x-forwarded-for",
        "proxy-authorization",
    } & {*seen.headers}


async def test_foreign_pages_cannot_read_answers_and_back_ends_set_no_cookies(stack: Stack) -> None:
    stack.prometheus.always(
        "/api/v1/query",
        lambda: Response(
            b"{}",
            media_type="application/json",
            headers={"Access-Control-Allow-Origin": "*", "Set-Cookie": "a=b", "Server": "prometheus", "Vary": "Origin"},
        ),
    )
    response = await stack.gateway.get("prometheus", "/api/v1/query", Origin="https://evil.example")
    assert response.status_code == 200
    assert not {"access-control-allow-origin", "set-cookie", "server"} & {*response.headers}
    assert response.headers["vary"] == "Origin"
    assert "origin" not in stack.prometheus.seen[0].headers


async def test_a_redirect_is_shown_not_followed_and_stays_with_the_gateway(stack: Stack) -> None:
    stack.prometheus.always("/", lambda: RedirectResponse(stack.prometheus.url + "/query"))
    response = await stack.gateway.get("prometheus", "/")
    assert (response.status_code, response.headers["location"]) == (307, "/query")
    assert len(stack.prometheus.seen) == 1


async def test_a_websocket_is_refused_with_a_sentence(stack: Stack) -> None:
    request = (
        b"GET /loki/api/v1/tail?query=%7B%7D HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        b"Upgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: eDEyMzQ1Njc4OTAxMjM0NQ==\r\nSec-WebSocket-Version: 13\r\n"
        b"Authorization: " + BEARER["Authorization"].encode() + b"\r\nConnection: close\r\n\r\n"
    )
    answer = await stack.gateway.raw("loki", request)
    assert answer.startswith(b"HTTP/1.1 403")
    assert b"WebSocket" in answer
    assert stack.loki.seen == []


async def test_readiness_of_a_back_end_may_be_plain_text(stack: Stack) -> None:
    stack.loki.always("/ready", lambda: PlainTextResponse("ready\n"))
    assert (await stack.gateway.get("loki", "/ready")).text == "ready\n"
