"""The generator against a service on a real port: it keeps its times, measures what clients see, and survives."""

from __future__ import annotations

import asyncio
import json
import math
import time
from itertools import accumulate, islice
from typing import TYPE_CHECKING

import pytest
from starlette.responses import JSONResponse, PlainTextResponse, Response

from tests.traffic.conftest import FakeService, Seen, generating, serving, until
from traffic.mix import ROUTES
from traffic.plan import arrivals

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

pytestmark = pytest.mark.anyio


def silent_for_ever(release: asyncio.Event) -> Callable[[Seen], Awaitable[Response | None]]:
    async def answer(_seen: Seen) -> Response | None:
        await release.wait()
        return None

    return answer


@pytest.mark.parametrize(("rate", "seconds"), [(20, 2.0), (200, 1.0)])
async def test_requests_arrive_at_the_times_of_the_plan(service: FakeService, rate: float, seconds: float) -> None:
    async with generating(service, rate=rate, seed=3):
        await until(lambda: len(service.requests) > 0)
        first = service.requests[0].at
        await until(lambda: service.requests[-1].at > first + seconds)
        at = [seen.at - first for seen in service.requests]
    planned = list(accumulate(one.gap for one in islice(arrivals(3, rate, {}), len(at))))
    lateness = sorted(real - (plan - planned[0]) for real, plan in zip(at, planned, strict=True))
    assert abs(lateness[len(at) // 2]) < 0.05, "the median request is where it belongs"
    took = planned[-1] - planned[0]
    # A busy machine may delay the first or the last of them a little; over half a minute that is nothing.
    assert abs(at[-1] - took) < 0.03 * took + 0.1, "the achieved rate is the plan's within 3 %"
    assert abs(len(at) - rate * took) < 5 * math.sqrt(rate * took), "and the plan's is the configured one"


async def test_the_load_does_not_sag_when_the_service_stalls(service: FakeService) -> None:
    release = asyncio.Event()
    service.answer = silent_for_ever(release)
    async with generating(service, rate=200, grace_seconds=0) as traffic:
        await until(lambda: len(service.requests) >= 100)
        took = service.requests[99].at - service.requests[0].at
        assert await traffic.value("client_requests_in_flight") >= 100
        release.set()
    assert 0.25 < took < 1.5, "about half a second for a hundred, though none was answered"


async def test_all_routes_are_used_and_all_are_answered(service: FakeService) -> None:
    async with generating(service, rate=400) as traffic:
        await until(lambda: len(service.requests) >= 400)
        await traffic.end()
    for route in ROUTES.values():
        pattern = route.template.split("{")[0]
        assert any(seen.method == route.method and seen.path.startswith(pattern) for seen in service.requests), route
    payments = [seen for seen in service.requests if (seen.method, seen.path) == ("POST", "/payment")]
    assert all(json.loads(seen.body)["amount"] > 0 for seen in payments)
    assert len({seen.headers["idempotency-key"] for seen in payments}) == len(payments)
    assert not any("traceparent" in seen.headers or "cookie" in seen.headers for seen in service.requests)


async def test_the_metrics_say_what_the_clients_saw(service: FakeService) -> None:
    async def answer(seen: Seen) -> Response | None:
        if seen.method == "POST":
            return JSONResponse({"payment_id": 1, "status": "completed"})
        return PlainTextResponse("no", status_code=503)

    service.answer = answer
    async with generating(service, rate=400, mix={"refund": 0, "settle": 0}) as traffic:
        await until(lambda: len(service.requests) >= 150)
        assert await traffic.value("client_arrival_rate") == 400
        assert await traffic.value("client_requests_total", route="POST /payment", outcome="success", status="200") > 50
        assert await traffic.value("client_requests_total", outcome="error", status="503") > 20
        assert (
            await traffic.value("client_request_duration_seconds_count", route="POST /payment", outcome="success") > 50
        )
        assert await traffic.value("client_request_duration_seconds_bucket", route="POST /payment", le="0.3") > 50
        assert await traffic.value("client_requests_shed_total") == 0
        health = (await traffic.get("/health")).json()
    assert health == {"status": "ok", "state": "running"}


async def test_the_first_scrape_has_every_route_at_zero(service: FakeService) -> None:
    service.ready = False
    async with generating(service) as traffic:
        text = (await traffic.get("/metrics")).text
        for route in ROUTES.values():
            assert f'client_requests_total{{outcome="success",route="{route.label}",status="200"}} 0.0' in text
            for outcome in ("success", "error", "timeout"):
                series = f'client_request_duration_seconds_count{{outcome="{outcome}",route="{route.label}"}} 0.0'
                assert series in text, "else the first error would be lost to a rate"
        assert (await traffic.get("/nothing")).status_code == 404


async def test_a_duration_counts_from_the_scheduled_arrival(service: FakeService) -> None:
    async def blocking(_seen: Seen) -> Response | None:
        # The service runs in this event loop too, so this delays the sending of everything that is due meanwhile.
        time.sleep(0.4)  # noqa: ASYNC251 - the event loop is what should stall
        service.answer = None
        return JSONResponse({})

    service.answer = blocking
    async with generating(service, rate=200) as traffic:
        await until(lambda: len(service.requests) >= 60)
        under = await traffic.value("client_request_duration_seconds_bucket", le="0.1")
        everything = await traffic.value("client_request_duration_seconds_count")
    assert everything - under >= 20, "clients that were due during the stall waited for it, however late they were sent"


async def test_what_takes_too_long_is_a_timeout(service: FakeService) -> None:
    release = asyncio.Event()
    service.answer = silent_for_ever(release)
    async with generating(service, rate=200, timeout_seconds=0.2) as traffic:
        await until(lambda: len(service.requests) >= 80)
        assert await traffic.value("client_requests_total", outcome="timeout", status="none") > 5
        assert await traffic.value("client_requests_total", outcome="success") == 0
        assert await traffic.value("client_request_duration_seconds_bucket", outcome="timeout", le="0.15") == 0
        release.set()


async def test_above_the_cap_arrivals_are_shed_and_counted(service: FakeService) -> None:
    release = asyncio.Event()
    service.answer = silent_for_ever(release)
    async with generating(service, rate=200, max_in_flight=10, grace_seconds=0) as traffic:
        await until(lambda: len(service.requests) == 10)
        await traffic.until(20, "client_requests_shed_total")
        assert await traffic.value("client_requests_in_flight") == 10
        assert len(service.requests) == 10
        release.set()


async def test_it_waits_until_the_service_is_ready(service: FakeService) -> None:
    service.ready = False
    async with generating(service, rate=100) as traffic:
        await until(lambda: len(service.seen) >= 2)
        assert service.requests == []
        assert (await traffic.get("/health")).json()["state"] == "waiting"
        service.ready = True
        await until(lambda: len(service.requests) >= 5)


async def test_it_waits_for_a_service_that_is_not_there_yet_and_survives_its_absence() -> None:
    service = FakeService()
    async with serving(service):
        port = int(service.url.rpartition(":")[2])
    async with generating(service, rate=100) as traffic:
        async with serving(service, port):
            await until(lambda: len(service.requests) >= 10)
        await traffic.until(10, "client_requests_total", outcome="error", status="none")
        before = len(service.requests)
        async with serving(service, port):
            await until(lambda: len(service.requests) >= before + 10)


async def test_it_never_asks_twice(service: FakeService) -> None:
    async def refuse(_seen: Seen) -> Response | None:
        return JSONResponse({}, status_code=503, headers={"Retry-After": "0"})

    service.answer = refuse
    async with generating(service, rate=200) as traffic:
        await until(lambda: len(service.requests) >= 60)
        await traffic.end()
    keys = [seen.headers["idempotency-key"] for seen in service.requests if "idempotency-key" in seen.headers]
    assert len({*keys}) == len(keys)


async def test_rubbish_answers_break_nothing(service: FakeService) -> None:
    bodies = iter([b"", b"[]", b"{", b"null", b'{"payment_id": "x", "customer_id": null}', b"\xff"] * 100)

    async def answer(_seen: Seen) -> Response | None:
        return Response(next(bodies), media_type="application/json")

    service.answer = answer
    async with generating(service, rate=300) as traffic:
        await until(lambda: len(service.requests) >= 100)
        assert not traffic.task.done()
        assert await traffic.value("client_requests_total", outcome="success") > 50


async def test_at_the_end_what_was_sent_is_awaited(service: FakeService) -> None:
    release = asyncio.Event()

    async def later(_seen: Seen) -> Response | None:
        await release.wait()
        return JSONResponse({})

    service.answer = later
    async with generating(service, rate=100, grace_seconds=5) as traffic:
        await until(lambda: len(service.requests) >= 10)
        traffic.stop.set()
        async with asyncio.timeout(5):
            while (await traffic.get("/health")).json()["state"] != "stopping":  # noqa: ASYNC110 - seen from outside
                await asyncio.sleep(0.01)
        sent = len(service.requests)
        assert not traffic.task.done()
        release.set()
        await traffic.task
    assert len(service.requests) == sent, "nothing new after the end was announced"


async def test_the_end_does_not_wait_for_ever(service: FakeService) -> None:
    release = asyncio.Event()
    service.answer = silent_for_ever(release)
    async with generating(service, rate=100, grace_seconds=0.2) as traffic:
        await until(lambda: len(service.requests) >= 5)
        started = time.perf_counter()
        await traffic.end()
        assert time.perf_counter() - started < 2
        release.set()
