"""TraceQL over Jaeger's query API, in the form of Tempo's answers."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest
from starlette.responses import JSONResponse, Response

from gateway.jaeger.plan import plan
from gateway.traceql.parser import parse
from tests.gateway.agents import query
from tests.gateway.jaeger_data import START, Jaeger, payment, span, tag, trace
from tests.gateway.support import BEARER, free_url, make_config, running

if TYPE_CHECKING:
    import httpx2

    from tests.gateway.conftest import Stack
    from tests.gateway.support import RunningGateway

pytestmark = pytest.mark.anyio

WINDOW = {"start": str(START // 1_000_000 - 600), "end": str(START // 1_000_000 + 600)}


async def search(gateway: RunningGateway, q: str, **parameters: str) -> httpx2.Response:
    return await gateway.get("traces", "/api/search?" + urlencode({"q": q, **WINDOW, **parameters}))


def ids(response: httpx2.Response) -> list[int]:
    assert response.status_code == 200, response.text
    return [int(one["traceID"], 16) for one in response.json()["traces"]]


@pytest.mark.parametrize(
    ("text", "service", "parameters"),
    [
        ("{}", None, {}),
        ('{resource.service.name="a"}', "a", {}),
        ('{resource.service.name=~"a.*"}', None, {}),
        ('{resource.service.name="a" && name="b"}', "a", {"operation": "b"}),
        ('{name=~"b"}', None, {}),
        ("{duration > 1s}", None, {"minDuration": "1000000us"}),
        ("{duration >= 1500ns && duration < 2500ns}", None, {"minDuration": "1us", "maxDuration": "3us"}),
        ("{duration = 1ms}", None, {"minDuration": "1000us", "maxDuration": "1000us"}),
        ("{duration > 2s && duration < 1s}", None, {"minDuration": "2000000us"}),
        ("{duration > 0s}", None, {}),
        ("{status = error}", None, {"tags": {"error": "true"}}),
        ("{status = ok && kind = server}", None, {"tags": {"otel.status_code": "OK", "span.kind": "server"}}),
        ("{status = unset && kind = unspecified && status != ok}", None, {}),
        ('{span.a = "x" && resource.b = true && span.c = "" && span.d = 1}', None, {"tags": {"a": "x", "b": "true"}}),
        ('{span.a = "x" && resource.a = "y"}', None, {"tags": {"a": "x"}}),
    ],
)
def test_jaeger_is_asked_for_what_it_can_look_for(text: str, service: str | None, parameters: dict[str, Any]) -> None:
    made = plan(parse(text))
    shown: dict[str, Any] = {
        name: json.loads(value) if name == "tags" else value for name, value in made.parameters.items()
    }
    assert (made.service, shown) == (service, parameters)


async def test_a_trace_looks_as_tempo_shows_it(stack: Stack) -> None:
    Jaeger(stack.jaeger, [payment(7, failed=True)])
    response = await search(
        stack.gateway,
        '{resource.service.name="payment-service" && span.http.status_code >= 500 && status = error && kind=server}',
    )
    (found,) = response.json()["traces"]
    span_set = found.pop("spanSet")
    assert found == {
        "traceID": f"{7:032x}",
        "rootServiceName": "payment-service",
        "rootTraceName": "POST /payment",
        "startTimeUnixNano": str(START * 1000),
        "durationMs": 1500,
        "spanSets": [span_set],
        "serviceStats": {"payment-service": {"spanCount": 2, "errorCount": 1}},
    }
    assert span_set == {
        "matched": 1,
        "spans": [
            {
                "spanID": "01",
                "name": "POST /payment",
                "startTimeUnixNano": str(START * 1000),
                "durationNanos": "1500000000",
                "attributes": [
                    {"key": "service.name", "value": {"stringValue": "payment-service"}},
                    {"key": "http.status_code", "value": {"intValue": "500"}},
                    {"key": "status", "value": {"stringValue": "error"}},
                    {"key": "kind", "value": {"stringValue": "server"}},
                ],
            }
        ],
    }
    asked = query(stack.jaeger.seen[-1])
    assert asked["service"] == "payment-service"
    assert json.loads(asked["tags"]) == {"error": "true", "span.kind": "server"}
    assert (asked["start"], asked["end"]) == (str(START - 600_000_000), str(START + 600_000_000))


async def test_conditions_hold_for_one_and_the_same_span(stack: Stack) -> None:
    Jaeger(stack.jaeger, [payment(1), payment(2, took=4_000_000)])
    assert ids(await search(stack.gateway, '{span.db.system="postgresql" && duration > 1s}')) == [2]
    assert ids(await search(stack.gateway, '{span.db.system="postgresql" && kind = server}')) == []


async def test_every_service_is_asked_where_the_query_names_none_and_a_trace_comes_once(stack: Stack) -> None:
    shared = trace(3, span("01", "a"), span("02", "b", parent="01", process="p2"), at=START + 500)
    Jaeger(
        stack.jaeger,
        [payment(1), shared, trace(2, span("01", "c", process="p2"), at=START + 900)],
        ("payment-service", "database"),
    )
    assert ids(await search(stack.gateway, "{}")) == [2, 3, 1], "the newest first"
    assert [query(seen)["service"] for seen in stack.jaeger.seen[1:]] == ["database", "payment-service"]
    stack.jaeger.seen.clear()
    assert ids(await search(stack.gateway, '{resource.service.name=~"data.*"}')) == [2, 3]
    assert [query(seen)["service"] for seen in stack.jaeger.seen[1:]] == ["database"]
    assert ids(await search(stack.gateway, '{resource.service.name!="database"}', limit="1")) == [3]
    assert ids(await search(stack.gateway, '{resource.service.name="x" && resource.service.name="y"}')) == []


async def test_it_goes_on_asking_for_older_traces_until_there_are_enough(stack: Stack) -> None:
    traces = [
        payment(number, at=START + number * 1000, took=5_000_000 if number % 100 == 0 else 1000)
        for number in range(1, 351)
    ]
    Jaeger(stack.jaeger, traces)
    response = await search(stack.gateway, '{resource.service.name="payment-service" && duration > 4s}', limit="3")
    assert ids(response) == [300, 200, 100]
    assert "notes" not in response.json()["metadata"]
    assert {query(seen)["limit"] for seen in stack.jaeger.seen} == {"100"}
    assert len(stack.jaeger.seen) == 3
    stack.jaeger.seen.clear()
    assert (
        len(ids(await search(stack.gateway, '{resource.service.name="payment-service" && duration > 4s}', limit="10")))
        == 3
    )
    stack.jaeger.seen.clear()
    assert ids(await search(stack.gateway, '{resource.service.name="payment-service"}', limit="2")) == [350, 349]
    assert [query(seen)["limit"] for seen in stack.jaeger.seen] == ["2"]


async def test_it_says_how_far_it_looked_when_it_stops_early(stack: Stack) -> None:
    Jaeger(stack.jaeger, [payment(number, at=START + number * 1000) for number in range(1, 1200)])
    response = await search(stack.gateway, '{resource.service.name="payment-service" && span.never = 1}')
    assert ids(response) == []
    assert "newest candidates of payment-service were looked at" in response.json()["metadata"]["notes"][0]
    assert len(stack.jaeger.seen) == 10


async def test_traces_that_begin_at_the_same_time_do_not_make_it_ask_for_ever(stack: Stack) -> None:
    Jaeger(stack.jaeger, [payment(number) for number in range(1, 300)])
    assert len(ids(await search(stack.gateway, '{resource.service.name="payment-service" && span.never = 1}'))) == 0
    assert len(stack.jaeger.seen) <= 10


async def test_pages_that_are_too_large_are_asked_for_in_parts(stack: Stack) -> None:
    Jaeger(stack.jaeger, [payment(number, at=START + number * 1000, took=2000 * number) for number in range(1, 40)])
    config = make_config(
        backends__traces={"kind": "jaeger", "url": stack.jaeger.url}, limits={"agents": {"answer_bytes": 20_000}}
    )
    async with running(config) as gateway:
        assert (
            len(ids(await search(gateway, '{resource.service.name="payment-service" && duration > 50ms}', limit="100")))
            == 14
        )


async def test_traces_as_large_as_an_answer_are_passed_one_by_one(stack: Stack) -> None:
    """Each is given again while the search ends after it began; stepping through its spans would take for ever."""
    reports = [
        trace(
            number,
            span("01", "GET /report", tag("span.kind", "server"), took=90_000),
            *(span(f"{one:02x}", "SELECT", parent="01", at=one * 800, took=500) for one in range(2, 100)),
            at=START + number * 1_000_000,
        )
        for number in range(1, 6)
    ]
    Jaeger(stack.jaeger, reports)
    config = make_config(
        backends__traces={"kind": "jaeger", "url": stack.jaeger.url}, limits={"agents": {"answer_bytes": 40_000}}
    )
    async with running(config) as gateway:
        response = await search(gateway, '{resource.service.name="payment-service" && name="GET /report"}', limit="5")
        assert len(ids(response)) == 5
        assert "some traces are so large" in response.json()["metadata"]["notes"][0]
        assert len(stack.jaeger.seen) < 20


@pytest.mark.parametrize(
    ("q", "status", "part"),
    [
        ("{", 400, "parse error at line 1, col 2: expected a field"),
        ('{name="a" || name="b"}', 400, "line 1, col 11: the operator || is not supported here"),
        ('{service.name="a" && duration > 1s}', 400, "an attribute needs a scope"),
        ("{" + " && ".join(["span.a = 1"] * 33) + "}", 400, "more than 32 comparisons"),
        ("x" * 9000, 413, "limit of 8192 bytes"),
    ],
)
async def test_a_query_that_is_wrong_is_told_so(stack: Stack, q: str, status: int, part: str) -> None:
    response = await search(stack.gateway, q)
    assert (response.status_code, part in response.json()["error"]) == (status, True), response.text
    assert stack.jaeger.seen == []


@pytest.mark.parametrize(
    ("parameters", "status", "part"),
    [
        ("limit=0", 400, "limit must be at least 1"),
        ("limit=x", 400, "limit is not a number"),
        ("limit=201", 422, "limit of 200"),
        ("spss=101", 422, "limit of 100"),
        ("start=yesterday", 400, "start is neither"),
        ("start=5&end=4", 400, "start is later than end"),
        ("start=0&end=9999999", 422, "limit of 31d"),
        ("tags=a%3Db", 400, "tags is not supported here; write a TraceQL query"),
        ("&".join("a=b" for _ in range(50)), 400, "more than 32 parameters"),
    ],
)
async def test_parameters_of_a_search_are_checked(stack: Stack, parameters: str, status: int, part: str) -> None:
    response = await stack.gateway.get("traces", f"/api/search?{parameters}")
    assert (response.status_code, part in response.json()["error"]) == (status, True), response.text
    assert stack.jaeger.seen == []


async def test_other_methods_bodies_and_callers_without_the_token_are_refused(stack: Stack) -> None:
    assert (await stack.gateway.request("POST", "traces", "/api/search", headers=BEARER)).status_code == 405
    assert (
        await stack.gateway.request("GET", "traces", "/api/search", headers=BEARER, content=b"x")
    ).status_code == 413
    assert (await stack.gateway.request("GET", "traces", "/api/search")).status_code == 401
    assert stack.jaeger.seen == []


async def test_the_repair_is_reported(stack: Stack) -> None:
    Jaeger(stack.jaeger, [payment(1)])
    response = await search(stack.gateway, '{service.name="payment-service"}')
    assert ids(response) == [1]
    assert response.json()["metadata"]["query"] == '{resource.service.name="payment-service"}'
    assert "resource.service.name" in response.json()["metadata"]["repaired"]
    assert "repaired" not in (await search(stack.gateway, "{}")).json()["metadata"]


async def test_a_trace_without_its_root_says_so(stack: Stack) -> None:
    Jaeger(stack.jaeger, [trace(1, span("02", "a", parent="01"))])
    (found,) = (await search(stack.gateway, "{}")).json()["traces"]
    assert (found["rootServiceName"], found["rootTraceName"]) == ("<root span not yet received>", "")


async def test_kinds_of_values_survive(stack: Stack) -> None:
    tags = [tag("f", 1.0), tag("b", value=False), tag("s", "x"), tag("i", 5)]
    document: dict[str, Any] = trace(1, span("01", "a", *tags))
    document["spans"][0]["tags"][0]["value"] = 1
    Jaeger(stack.jaeger, [document])
    response = await search(stack.gateway, '{span.f = 1.0 && span.b = false && span.s = "x" && span.i < 6}')
    (found,) = response.json()["traces"]
    assert [one["value"] for one in found["spanSet"]["spans"][0]["attributes"]] == [
        {"doubleValue": 1.0},
        {"boolValue": False},
        {"stringValue": "x"},
        {"intValue": "5"},
    ]


@pytest.mark.parametrize(
    "answer", [b"", b"[]", b"{}", b'{"data":[{}]}', b'{"data":[{"traceID":"1","spans":[],"processes":{}}]}']
)
async def test_rubbish_is_a_502_that_names_jaeger(stack: Stack, answer: bytes) -> None:
    stack.jaeger.always("/api/traces", lambda: Response(answer, media_type="application/json"))
    response = await search(stack.gateway, '{resource.service.name="a"}')
    assert (response.status_code, response.json()["backend"]) == (502, "jaeger")
    stack.jaeger.always("/api/services", lambda: Response(b'{"data":5}', media_type="application/json"))
    assert (await search(stack.gateway, "{}")).status_code == 502


async def test_jaegers_own_words_come_back(stack: Stack) -> None:
    body = {"data": None, "errors": [{"code": 400, "msg": "unable to parse param"}]}
    stack.jaeger.always("/api/traces", lambda: JSONResponse(body, 400))
    response = await search(stack.gateway, '{resource.service.name="a"}')
    assert (response.status_code, response.json()["error"]) == (400, "unable to parse param")


async def test_jaeger_being_down_is_a_502() -> None:
    async with running(make_config(backends__traces={"kind": "jaeger", "url": free_url()})) as gateway:
        response = await search(gateway, "{}")
    assert (response.status_code, response.json()["error"]) == (502, "jaeger cannot be reached: connection refused")


async def test_an_expression_that_takes_too_much_work_is_refused(stack: Stack) -> None:
    names = [f"{number:05}{number:016b}".replace("1", "a") * 100 for number in range(90)]
    Jaeger(stack.jaeger, [trace(number, span("01", name)) for number, name in enumerate(names, start=1)])
    response = await search(stack.gateway, '{name =~ ".*a.{300}b"}')
    assert (response.status_code, "limit of 2000000 steps" in response.json()["error"]) == (422, True)
