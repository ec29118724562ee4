"""The operators' token: every front answers it like the other one, and an agent finds nothing of its calls."""

from __future__ import annotations

import base64
import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from starlette.responses import JSONResponse, Response
from structlog.testing import capture_logs

from gateway.config import Authentication, ConfigError, read_operators_token
from gateway.credentials import OperatorsToken
from tests.gateway.agents import MATRIX, STREAMS, VECTOR
from tests.gateway.support import (
    BEARER,
    OPERATORS_TOKEN,
    TOKEN,
    FakeBackend,
    make_client,
    make_config,
    running,
    serving,
)
from tests.gateway.test_gateway_live import Grafana, behind, shake
from tests.gateway.test_gateway_telemetry import TRACE_ID, spans_of

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    import httpx2

    from tests.gateway.conftest import Stack
    from tests.gateway.support import RunningGateway, Seen

pytestmark = pytest.mark.anyio

OPERATOR = {"Authorization": f"Bearer {OPERATORS_TOKEN}"}
BASIC = {"Authorization": "Basic " + base64.b64encode(f"anybody:{OPERATORS_TOKEN}".encode()).decode()}
COMPASS = {"tool": "execute_promql_query", "params": {"query": "up", "datasource_uid": "prometheus"}}


def rpc(tool: str, **arguments: object) -> dict[str, Any]:
    params = {"name": tool, "arguments": arguments}
    return {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}


# Front, path, and the document of a POST; what succeeds, what a back end fails, and what is refused.
CALLS: list[tuple[str, str, object]] = [
    ("main", "/api/datasources", None),
    ("main", "/api/alerts/received", None),
    ("main", "/nothing", None),
    ("main", "/mcp", COMPASS),
    ("main", "/mcp", {"tool": "unknown", "params": {}}),
    ("main", "/mcp", rpc("query_prometheus", datasourceUid="prometheus", expr="up", queryType="instant")),
    ("main", "/ready/stack", None),
    ("prometheus", "/api/v1/query?query=up", None),
    ("prometheus", "/federate", None),
    ("prometheus", "/api//v1/query", None),
    ("loki", "/loki/api/v1/labels", None),
    ("loki", "/loki/api/v1/query_range", None),
    ("traces", "/api/services", None),
    ("traces", "/api/search?q={}", None),
    ("traces", "/api/mcp", rpc("traceql-search", query="{}")),
]


async def ask(
    gateway: RunningGateway, front: str, path: str, document: object, headers: dict[str, str]
) -> httpx2.Response:
    if document is None:
        return await gateway.request("GET", front, path, headers=headers)
    content = json.dumps(document).encode()
    return await gateway.request(
        "POST", front, path, headers={**headers, "Content-Type": "application/json"}, content=content
    )


def fill(stack: Stack) -> None:
    """Back ends that answer as they do, but for one path."""
    stack.prometheus.always("/api/v1/query", lambda: JSONResponse(VECTOR))
    stack.prometheus.always("/api/v1/query_range", lambda: JSONResponse(MATRIX))
    stack.loki.always("/loki/api/v1/query_range", lambda: Response("not JSON", media_type="text/plain"))
    stack.loki.always("/loki/api/v1/query", lambda: JSONResponse(STREAMS))
    stack.jaeger.always("/api/services", lambda: JSONResponse({"data": ["payment-service"]}))
    stack.jaeger.always("/api/traces", lambda: JSONResponse({"data": []}))


async def counted(gateway: RunningGateway) -> list[str]:
    text = (await gateway.request("GET", "internal", "/metrics")).text
    # The question itself is counted, on the internal listener.
    return [
        line
        for line in text.splitlines()
        if line.startswith("gateway_") and 'front="internal"' not in line and "probe_up" not in line
    ]


def timeless(content: bytes) -> bytes:
    """An answer without its numbers: some say when they were made, or how long it took."""
    return re.sub(rb"\d[\d.]*", b"0", content)


@pytest.mark.parametrize(("front", "path", "document"), CALLS)
async def test_the_answer_is_the_one_that_everybody_gets(stack: Stack, front: str, path: str, document: object) -> None:
    fill(stack)
    usual = await ask(stack.gateway, front, path, document, BEARER)
    for headers in (OPERATOR, BASIC):
        answer = await ask(stack.gateway, front, path, document, headers)
        assert answer.status_code == usual.status_code
        assert set(answer.headers) == set(usual.headers)
        assert timeless(answer.content) == timeless(usual.content)


async def test_no_metric_changes(stack: Stack) -> None:
    fill(stack)
    before = await counted(stack.gateway)
    for front, path, document in CALLS:
        await ask(stack.gateway, front, path, document, OPERATOR)
    assert (await ask(stack.gateway, "main", "/status", None, OPERATOR)).status_code == 200
    foreign = {**OPERATOR, "Host": "evil.example"}
    assert (await ask(stack.gateway, "prometheus", "/api/v1/query", None, foreign)).status_code == 421
    assert await counted(stack.gateway) == before
    for front, path, document in CALLS:
        await ask(stack.gateway, front, path, document, BEARER)
    after = "\n".join(await counted(stack.gateway))
    assert after != "\n".join(before), "the same calls with the other token do count"
    assert 'gateway_tool_calls_total{dialect="tempo",outcome="200",tool="search"}' in after
    assert 'kind="content"' in after


async def test_a_back_end_that_is_down_is_not_counted_either() -> None:
    async with running(make_config()) as gateway:
        before = await counted(gateway)
        assert (await ask(gateway, "prometheus", "/api/v1/query", None, OPERATOR)).status_code == 502
        assert await counted(gateway) == before
        assert (await ask(gateway, "prometheus", "/api/v1/query", None, BEARER)).status_code == 502
        assert await counted(gateway) != before


async def test_no_line_is_written(stack: Stack) -> None:
    fill(stack)
    with capture_logs() as lines:
        for front, path, document in CALLS:
            await ask(stack.gateway, front, path, document, OPERATOR)
    assert lines == []


@pytest.fixture
async def traced(stack: Stack) -> AsyncGenerator[tuple[RunningGateway, FakeBackend]]:
    sink = FakeBackend("collector")
    sink.always("/v1/traces", lambda: Response(b"", media_type="application/x-protobuf"))
    async with serving(sink) as url:
        config = make_config(
            telemetry__otlp_endpoint=f"{url}/v1/traces",
            backends__prometheus={"url": stack.prometheus.url},
            backends__loki={"url": stack.loki.url},
            backends__traces={"kind": "jaeger", "url": stack.jaeger.url},
        )
        async with running(config) as gateway:
            yield gateway, sink


def sampling(seen: Seen) -> bool:
    """Whether the back end was told that the trace is sampled."""
    return bool(int(seen.headers["traceparent"].rpartition("-")[2], 16) & 1)


async def test_no_span_is_made_and_no_back_end_is_told_to_sample(
    stack: Stack, traced: tuple[RunningGateway, FakeBackend]
) -> None:
    gateway, sink = traced
    fill(stack)
    for front, path, document in CALLS:
        await ask(gateway, front, path, document, OPERATOR)
    sampled = {**OPERATOR, "traceparent": f"00-{TRACE_ID}-b7ad6b7169203331-01"}
    await ask(gateway, "prometheus", "/api/v1/query", None, sampled)
    asked = [*stack.prometheus.seen, *stack.loki.seen, *stack.jaeger.seen]
    assert asked
    assert not any(sampling(seen) for seen in asked)
    # The next call's spans are the first that the Collector sees.
    await ask(gateway, "prometheus", "/api/v1/query", None, BEARER)
    spans = await spans_of(sink, 2)
    assert len(spans) == 2
    assert len({span.trace_id for span in spans}) == 1
    assert sampling(stack.prometheus.seen[-1])


async def test_calls_on_one_connection_are_told_apart(stack: Stack) -> None:
    gateway = stack.gateway
    url = gateway.url("prometheus") + "/api/v1/query"
    series = 'gateway_requests_total{code="200",front="prometheus"}'

    async def number() -> float:
        lines = await counted(gateway)
        return next((float(line.rpartition(" ")[2]) for line in lines if line.startswith(series)), 0.0)

    before = await number()
    async with make_client() as client:
        for headers in (OPERATOR, BEARER, OPERATOR, OPERATOR, BEARER):
            assert (await client.get(url, headers=headers)).status_code == 200
    assert await number() == before + 2
    # Sent at once, so that the second is taken up while the first is being served.
    lines = [
        f"GET /api/v1/query HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\nConnection: {end}\r\n\r\n"
        for token, end in ((OPERATORS_TOKEN, "keep-alive"), (TOKEN, "close"))
    ]
    answer = await gateway.raw("prometheus", "".join(lines).encode())
    assert answer.count(b"HTTP/1.1 200") == 2
    assert await number() == before + 3


async def test_an_open_gateway_knows_its_operators_too() -> None:
    backend = FakeBackend("prometheus")
    async with (
        serving(backend) as url,
        running(
            make_config(authentication={"mode": "loopback-open"}, backends__prometheus={"url": url}), None
        ) as gateway,
    ):
        before = await counted(gateway)
        with capture_logs() as lines:
            assert (await ask(gateway, "prometheus", "/api/v1/query", None, OPERATOR)).status_code == 200
        assert await counted(gateway) == before
        assert lines == []
        assert (await ask(gateway, "prometheus", "/api/v1/query", None, {})).status_code == 200
        assert await counted(gateway) != before


async def test_a_gateway_without_operators_does_not_know_the_token() -> None:
    async with running(make_config(), operators_token=None) as gateway:
        assert (await ask(gateway, "main", "/api/datasources", None, OPERATOR)).status_code == 401


async def test_it_gives_no_cookie() -> None:
    async with running(make_config()) as gateway:
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Origin": gateway.url("main")}
        body = f"token={OPERATORS_TOKEN}".encode()
        answer = await gateway.request("POST", "main", "/login", headers=headers, content=body)
        assert answer.status_code == 403
        assert "set-cookie" not in answer.headers


async def test_a_websocket_leaves_nothing_either() -> None:
    async with behind(Grafana()) as gateway:
        before = await counted(gateway)
        with capture_logs() as lines:
            answer, reader, writer = await shake(gateway, token=OPERATORS_TOKEN)
            assert answer.startswith(b"HTTP/1.1 101 ")
            writer.close()
            await reader.read()
        assert await counted(gateway) == before
        assert lines == []


def test_only_the_very_token_is_an_operators() -> None:
    operators = OperatorsToken("secret")
    assert operators.is_in([(b"authorization", b"Bearer secret")])
    for headers in ([], [(b"authorization", b"secret")], [(b"authorization", b"Bearer secret2")]):
        assert not operators.is_in(headers)
        assert not OperatorsToken(None).is_in(headers)
    assert not OperatorsToken(None).is_in([(b"authorization", b"Bearer ")])


def test_the_token_is_read_in_either_mode_and_is_not_the_other_one(tmp_path: Path) -> None:
    file = tmp_path / "operators"
    file.write_text("abc\n")
    for mode in ("required", "loopback-open"):
        config = Authentication.model_validate({"mode": mode, "token_file": file, "operators_token_file": file})
        assert read_operators_token(config, "other") == "abc"
        with pytest.raises(ConfigError, match="must hold another token"):
            read_operators_token(config, "abc")
    assert read_operators_token(Authentication(token_file=file), "abc") is None
    file.write_text("two words")
    with pytest.raises(ConfigError, match="holds no token") as caught:
        read_operators_token(config, None)
    assert "words" not in str(caught.value)
