"""The generator against a service on a real port: it keeps its times, measures what clients see, and survives."""

from __future__ import annotations

import asyncio
import json
import math
import time
from itertools import accumulate, cycle, islice
from typing import TYPE_CHECKING

import pytest
from starlette.responses import JSONResponse, PlainTextResponse, Response

from tests.traffic.conftest import FakeService, Seen, generating, serving, until
from traffic.generator import Generator
from traffic.metrics import Metrics
from traffic.mix import ROUTES
from traffic.plan import arrivals
from traffic.requests import Known
from traffic.settings import Settings
from traffic.summary import Summary

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from traffic.requests import Request

pytestmark = pytest.mark.anyio


def silent_for_ever(release: asyncio.Event) -> Callable[[Seen], Awaitable[Response | None]]:
    async def answer(_seen: Seen) -> Response | None:
        await release.wait()
        return None

    return answer


class Recorder:
    """A client that takes a second for each request and notes when it was told to send it."""

    def __init__(self) -> None:
        self.sent: list[tuple[float, float]] = []

    async def is_ready(self) -> bool:
        return True

    async def send(self, request: Request, scheduled: float) -> None:
        assert request.path.startswith("/")
        self.sent.append((asyncio.get_running_loop().time(), scheduled))
        await asyncio.sleep(1)


@pytest.mark.parametrize(("rate", "seconds"), [(20, 0.8), (200, 0.5)])
async def test_requests_are_sent_at_the_times_of_the_plan(rate: float, seconds: float) -> None:
    recorder, stop = Recorder(), asyncio.Event()
    settings = Settings(rate=rate, seed=3, grace_seconds=0)
    generator = Generator(settings, recorder, Known(), Metrics(rate), Summary())
    task = asyncio.create_task(generator.run(stop))
    await until(lambda: len(recorder.sent) > 1 and recorder.sent[-1][1] - recorder.sent[0][1] >= seconds)
    stop.set()
    await task
    at, scheduled = zip(*recorder.sent, strict=True)
    planned = list(accumulate(one.gap for one in islice(arrivals(3, rate, {}), len(at))))
    assert all(
        abs((one - scheduled[0]) - (plan - planned[0])) < 1e-6 for one, plan in zip(scheduled, planned, strict=True)
    ), "the schedule is the plan, to the microsecond, whatever was late"
    took = planned[-1] - planned[0]
    # A busy machine may delay the first or the last of them a little; over half a minute that is nothing.
    assert abs((at[-1] - at[0]) - took) < 0.03 * took + 0.1, "the achieved rate is the plan's within 3 %"
    assert abs(len(at) - rate * took) < 5 * math.sqrt(rate * took), "and the plan's is the configured one"


async def test_requests_arrive_at_the_service_at_the_configured_rate(service: FakeService) -> None:
    async with generating(service, rate=20):
        await until(lambda: len(service.requests) >= 12)
    at = [seen.at for seen in service.requests[:12]]
    planned = sum(one.gap for one in islice(arrivals(1, 20, {}), 1, 12))
    assert abs((at[-1] - at[0]) - planned) < 0.03 * planned + 0.2


async def test_the_load_does_not_sag_when_the_service_stalls(service: FakeService) -> None:
    release = asyncio.Event()
    service.answer = silent_for_ever(release)
    async with generating(service, rate=50, grace_seconds=0) as traffic:
        await until(lambda: len(service.requests) >= 25)
        took = service.requests[24].at - service.requests[0].at
        assert await traffic.value("client_requests_in_flight") >= 25
        release.set()
    assert took < 5, "half a second for twenty-five, though none was answered"


async def test_all_routes_are_used_and_all_are_answered(service: FakeService) -> None:
    async with generating(service, rate=90, mix={"report": 20, "settle": 20, "refund": 20, "totals": 20}) as traffic:
        await until(lambda: len(service.requests) >= 60)
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
    async with generating(service, rate=60, mix={"refund": 0, "settle": 0}) as traffic:
        await traffic.until(8, "client_requests_total", route="POST /payment", outcome="success", status="200")
        assert await traffic.value("client_arrival_rate") == 60
        assert await traffic.value("client_requests_total", outcome="error", status="503") > 0
        count = await traffic.value("client_request_duration_seconds_count", route="POST /payment", outcome="success")
        assert count >= 8
        assert await traffic.value("client_request_duration_seconds_bucket", route="POST /payment", le="0.3") > 0
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
    async with generating(service, rate=60) as traffic:
        await until(lambda: len(service.requests) >= 30)
        under = await traffic.value("client_request_duration_seconds_bucket", le="0.1")
        everything = await traffic.value("client_request_duration_seconds_count")
    assert everything - under >= 10, "clients that were due during the stall waited for it, however late they were sent"


async def test_what_takes_too_long_is_a_timeout(service: FakeService) -> None:
    release = asyncio.Event()
    service.answer = silent_for_ever(release)
    async with generating(service, rate=50, timeout_seconds=0.2) as traffic:
        await traffic.until(5, "client_requests_total", outcome="timeout", status="none")
        assert await traffic.value("client_requests_total", outcome="success") == 0
        assert await traffic.value("client_request_duration_seconds_bucket", outcome="timeout", le="0.15") == 0
        release.set()


async def test_above_the_cap_arrivals_are_shed_and_counted(service: FakeService) -> None:
    release = asyncio.Event()
    service.answer = silent_for_ever(release)
    async with generating(service, rate=60, max_in_flight=5, grace_seconds=0) as traffic:
        await until(lambda: len(service.requests) == 5)
        await traffic.until(5, "client_requests_shed_total")
        assert await traffic.value("client_requests_in_flight") == 5
        assert len(service.requests) == 5
        release.set()


async def test_it_waits_until_the_service_is_ready(service: FakeService) -> None:
    service.ready = False
    async with generating(service, rate=60) as traffic:
        await until(lambda: len(service.seen) >= 2)
        assert service.requests == []
        assert (await traffic.get("/health")).json()["state"] == "waiting"
        service.ready = True
        await until(lambda: len(service.requests) >= 5)


async def test_it_waits_for_a_service_that_is_not_there_yet_and_survives_its_absence() -> None:
    service = FakeService()
    async with serving(service):
        port = int(service.url.rpartition(":")[2])
    async with generating(service, rate=60) as traffic:
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
    async with generating(service, rate=60) as traffic:
        await until(lambda: len(service.requests) >= 20)
        await traffic.end()
    keys = [seen.headers["idempotency-key"] for seen in service.requests if "idempotency-key" in seen.headers]
    assert len({*keys}) == len(keys)


async def test_rubbish_answers_break_nothing(service: FakeService) -> None:
    bodies = cycle([b"", b"[]", b"{", b"null", b'{"payment_id": "x", "customer_id": null}', b"\xff"])

    async def answer(_seen: Seen) -> Response | None:
        return Response(next(bodies), media_type="application/json")

    service.answer = answer
    async with generating(service, rate=60) as traffic:
        await traffic.until(12, "client_requests_total", outcome="success")
        assert not traffic.task.done()


async def test_at_the_end_what_was_sent_is_awaited(service: FakeService) -> None:
    release = asyncio.Event()

    async def later(_seen: Seen) -> Response | None:
        await release.wait()
        return JSONResponse({})

    service.answer = later
    async with generating(service, rate=60, grace_seconds=5) as traffic:
        await until(lambda: len(service.requests) >= 10)
        traffic.stop.set()
        async with asyncio.timeout(60):
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
    async with generating(service, rate=60, grace_seconds=0.2) as traffic:
        await until(lambda: len(service.requests) >= 5)
        started = time.perf_counter()
        await traffic.end()
        assert time.perf_counter() - started < 10
        release.set()
