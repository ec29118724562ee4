"""The way of spans and log records to their receiver."""

from __future__ import annotations

import json
import socket
import time

import pytest
from payment_service.telemetry.context import RequestContext, begin
from payment_service.telemetry.export import OtlpExporter
from payment_service.telemetry.spans import INTERNAL, SpanTemplate, Tracer

from tests.sample_app.support import receiver, until

TRACE = "0af7651916cd43dd8448eb211c80319c"


def request() -> RequestContext:
    return begin(f"00-{TRACE}-b7ad6b7169203331-01", None, None, traced=True)


class Sender:
    """An exporter towards a receiver, and what it dropped."""

    def __init__(self, url: str) -> None:
        self.dropped: dict[str, int] = {}
        self.exporter = OtlpExporter(url, {"service.name": "x"}, 0.01, self._count)

    def _count(self, signal: str, number: int) -> None:
        self.dropped[signal] = self.dropped.get(signal, 0) + number

    def put(self, number: int) -> None:
        tracer = Tracer(self.exporter.put_span)
        template = SpanTemplate("x", INTERNAL, {"key": "v" * 200})
        for each in range(number):
            tracer.record(template, request(), each, each + 1)
            self.exporter.put_log(each, "info", f'{{"n":{each}}}', request())


@pytest.mark.anyio
async def test_thousands_of_items_arrive_in_order_and_whole() -> None:
    with receiver() as otlp:
        sender = Sender(otlp.url)
        sender.put(5000)
        sender.exporter.start()
        await until(lambda: len(otlp.spans) == 5000 and len(otlp.logs) == 5000)
        sender.exporter.close(1)
    assert [span.start_time_unix_nano for span in otlp.spans] == list(range(5000))
    assert [json.loads(record.body.string_value)["n"] for record in otlp.logs] == list(range(5000))
    assert otlp.logs[7].trace_id.hex() == TRACE
    assert otlp.resources[0] == {"service.name": "x"}
    assert sender.dropped == {}


@pytest.mark.anyio
async def test_a_receiver_that_comes_back_gets_what_waited_once() -> None:
    with receiver() as otlp:
        otlp.statuses = [503, 429, 503]
        sender = Sender(otlp.url)
        sender.put(3)
        sender.exporter.start()
        await until(lambda: len(otlp.spans) == 3 and len(otlp.logs) == 3)
        sender.exporter.close(1)
    assert (len(otlp.spans), sender.dropped) == (3, {})


@pytest.mark.anyio
async def test_a_batch_that_the_receiver_refuses_for_good_is_dropped_and_counted() -> None:
    with receiver() as otlp:
        otlp.statuses = [400]
        sender = Sender(otlp.url)
        sender.put(3)
        sender.exporter.start()
        await until(lambda: len(otlp.logs) == 3)
        sender.exporter.close(1)
    assert sender.dropped == {"traces": 3}


def test_what_does_not_fit_is_dropped_and_counted_and_costs_no_time() -> None:
    sender = Sender("http://127.0.0.1:9")
    sender.exporter.start()
    started = time.perf_counter()
    sender.put(20_000)
    assert time.perf_counter() - started < 3
    assert sender.dropped["traces"] > 5_000
    started = time.perf_counter()
    sender.exporter.close(0.3)
    assert time.perf_counter() - started < 2


def test_a_receiver_that_accepts_and_never_answers_blocks_nobody() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        sender = Sender(f"http://127.0.0.1:{silent.getsockname()[1]}")
        sender.exporter.start()
        started = time.perf_counter()
        sender.put(100)
        assert time.perf_counter() - started < 0.5
