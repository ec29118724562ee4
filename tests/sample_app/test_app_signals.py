"""Spans, log lines, metrics and their way out, without a database."""

from __future__ import annotations

import json
import logging
import subprocess
import sys

import pytest
import structlog
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from payment_service.telemetry.context import RequestContext, begin
from payment_service.telemetry.export import varint
from payment_service.telemetry.logs import configure_logging, redact, redact_text
from payment_service.telemetry.metrics import SERVICE, Metrics, exemplar
from payment_service.telemetry.spans import (
    CLIENT,
    INTERNAL,
    SERVER,
    SpanTemplate,
    Tracer,
    encode_attributes,
    to_any_value,
)
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families,  # pyright: ignore[reportUnknownVariableType] - partly typed library
)

from tests.sample_app.support import attributes

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"
HEADER = f"00-{TRACE}-{PARENT}-01"


def request(header: str | None = HEADER, request_id: str | None = None) -> RequestContext:
    return begin(header, "v=1", request_id, traced=True)


def decode(encoded: bytes) -> Span:
    return Span.FromString(encoded)


def test_a_caller_s_trace_is_continued() -> None:
    context = request()
    assert (context.trace_hex, context.parent_id.hex(), context.sampled, context.trace_state) == (
        TRACE,
        PARENT,
        True,
        "v=1",
    )
    assert context.trace_id.hex() == TRACE
    assert len(context.span_id) == 8
    assert request(HEADER[:-2] + "00").sampled is False


@pytest.mark.parametrize(
    "header",
    [
        None, "", "garbage", HEADER.upper(), HEADER + "-more", HEADER[3:], f"ff-{TRACE}-{PARENT}-01",
        f"00-{'0' * 32}-{PARENT}-01", f"00-{TRACE}-{'0' * 16}-01", f"00-{TRACE}-{PARENT}-0", HEADER + "\n",
    ],
)  # fmt: skip
def test_without_a_valid_traceparent_a_trace_begins(header: str | None) -> None:
    context = request(header)
    assert context.trace_hex != TRACE
    assert (context.parent_id, context.trace_state, context.sampled) == (b"", "", True)


def test_a_later_version_of_traceparent_may_be_longer() -> None:
    assert request(f"01-{TRACE}-{PARENT}-01-extra").trace_hex == TRACE


@pytest.mark.parametrize("given", ["request-77", "0a1b2c3d", "A" * 64])
def test_a_plausible_request_id_is_kept(given: str) -> None:
    assert request(request_id=given).request_id == given


@pytest.mark.parametrize(
    "given", [None, "", "short", "a b c d e f", "4111111111111111", "4111-1111-1111-1111", "x" * 65, "a\nbcdefgh"]
)
def test_another_request_id_is_replaced(given: str | None) -> None:
    assert request(request_id=given).request_id != given


def test_a_child_span_is_read_back_by_otlp_s_own_classes() -> None:
    sent: list[bytes] = []
    context = request()
    template = SpanTemplate(
        "SELECT payments", CLIENT, {"db.system.name": "postgresql", "server.port": 5432, "flag": True, "share": 0.5}
    )
    Tracer(sent.append).record(template, context, 1_700_000_000_000_000_001, 1_700_000_000_000_000_999)
    span = decode(sent[0])
    assert (span.trace_id, span.parent_span_id) == (context.trace_id, context.span_id)
    assert len(span.span_id) == 8
    assert span.span_id != context.span_id
    assert (span.name, span.kind) == ("SELECT payments", Span.SPAN_KIND_CLIENT)
    assert (span.start_time_unix_nano, span.end_time_unix_nano) == (
        1_700_000_000_000_000_001,
        1_700_000_000_000_000_999,
    )
    assert attributes(span.attributes) == {
        "db.system.name": "postgresql",
        "server.port": 5432,
        "flag": True,
        "share": 0.5,
    }
    assert span.flags == 0x101
    assert span.status.code == Status.STATUS_CODE_UNSET


def test_a_failed_span_has_its_exception_without_card_numbers() -> None:
    sent: list[bytes] = []
    try:
        int("4111 1111 1111 1111")
    except ValueError as error:
        Tracer(sent.append).record(
            SpanTemplate("x", INTERNAL, {"a": 1}), request(), 1, 2, attributes={"error.type": "ValueError"}, error=error
        )
    span = decode(sent[0])
    assert (span.status.code, span.status.message) == (
        Status.STATUS_CODE_ERROR,
        "invalid literal for int() with base 10: '[redacted]'",
    )
    assert attributes(span.attributes) == {"a": 1, "error.type": "ValueError"}
    event = attributes(span.events[0].attributes)
    assert (event["exception.type"], event["exception.message"]) == (
        "ValueError",
        "invalid literal for int() with base 10: '[redacted]'",
    )
    assert "4111" not in event["exception.stacktrace"]
    assert "test_a_failed_span" in event["exception.stacktrace"]


def test_a_server_span_has_the_ids_of_its_request() -> None:
    sent: list[bytes] = []
    context = request()
    tracer = Tracer(sent.append)
    template = SpanTemplate("POST /payment", SERVER, {"http.route": "/payment"})
    tracer.record_server(template, context, 1, 2, dynamic=encode_attributes({"url.path": "/payment"}), failed=True)
    root = request(None)
    tracer.record_server(template, root, 1, 2, dynamic=b"", failed=False)
    first, second = (decode(each) for each in sent)
    assert attributes(first.attributes) == {"http.route": "/payment", "url.path": "/payment"}
    assert (first.span_id, first.parent_span_id.hex(), first.trace_state, first.flags) == (
        context.span_id,
        PARENT,
        "v=1",
        0x301,
    )
    assert first.status.code == Status.STATUS_CODE_ERROR
    assert (second.span_id, second.parent_span_id, second.flags) == (root.span_id, b"", 0x101)


def test_what_is_not_sampled_or_has_nowhere_to_go_is_not_recorded() -> None:
    sent: list[bytes] = []
    unsampled = request(HEADER[:-2] + "00")
    template = SpanTemplate("x", INTERNAL, {})
    Tracer(sent.append).record(template, unsampled, 1, 2)
    Tracer(sent.append).record_server(template, unsampled, 1, 2, dynamic=b"", failed=False)
    Tracer(None).record(template, request(), 1, 2)
    assert sent == []
    assert not Tracer(None).records(request())
    assert not Tracer(sent.append).records(None)


def test_attribute_values_keep_their_type() -> None:
    kinds = {True: "bool_value", 7: "int_value", 0.5: "double_value", "x": "string_value"}
    assert {value: to_any_value(value).WhichOneof("value") for value in kinds} == kinds


@pytest.mark.parametrize(
    ("number", "encoded"), [(0, "00"), (127, "7f"), (128, "8001"), (300, "ac02"), (2**21, "80808001")]
)
def test_a_varint_is_encoded_as_protobuf_wants_it(number: int, encoded: str) -> None:
    assert varint(number).hex() == encoded


@pytest.mark.parametrize(
    "text",
    ["4111111111111111", "4111 1111 1111 1111", "5500-0000-0000-0004", "340000000000009", "paid by 4111111111111111."],
)
def test_a_card_number_is_removed(text: str) -> None:
    assert "[redacted]" in redact_text(text)
    assert "0000" not in redact_text(text)
    assert "1111" not in redact_text(text)


@pytest.mark.parametrize(
    "text", ["4111111111111112", "1795265781207693", "0af7651916cd43dd8448eb211c80319c", "12345", "a4111111111111111"]
)
def test_what_is_no_card_number_stays(text: str) -> None:
    assert redact_text(text) == text


def test_what_is_named_like_a_secret_is_removed() -> None:
    event = {
        "event": "x",
        "db_password": "a",
        "Authorization": "b",
        "cardNumber": 1,
        "amount": 2,
        "trace_id": "4111111111111111",
    }
    assert redact(None, "info", event) == {
        "event": "x", "db_password": "[redacted]", "Authorization": "[redacted]", "cardNumber": "[redacted]",
        "amount": 2, "trace_id": "4111111111111111",
    }  # fmt: skip


LOGGING = """
import logging, structlog
from payment_service.telemetry.context import begin, current_request
from payment_service.telemetry.logs import configure_logging
sunk = []
configure_logging("info", lambda *record: sunk.append(record))
log = structlog.get_logger("test")
log.debug("not written")
log.info("hello", amount=1, password="p")
current_request.set(begin("00-%s-%s-01", None, "request-1", traced=True))
try:
    raise ValueError("bad")
except ValueError:
    log.exception("it failed")
logging.getLogger("asyncpg").warning("a library %%s", "says")
logging.getLogger("uvicorn.error").info("not written either")
assert [(level, "event" in line) for _, level, line, _ in sunk] == [("info", True), ("error", True), ("warning", True)]
assert sunk[1][3].request_id == "request-1"
""" % (TRACE, PARENT)  # noqa: UP031 - a program with braces


def test_log_lines_are_json_with_the_ids_of_their_request() -> None:
    """In a process of its own: logging is configured once per process."""
    done = subprocess.run([sys.executable, "-c", LOGGING], capture_output=True, text=True, check=True)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    first, second, third = lines
    assert list(first) == ["timestamp", "level", "event", "amount", "password"]
    assert (first["level"], first["event"], first["password"]) == ("info", "hello", "[redacted]")
    assert first["timestamp"].endswith("Z")
    assert (second["level"], second["trace_id"], second["request_id"]) == ("error", TRACE, "request-1")
    assert "ValueError: bad" in second["exception"]
    assert (third["level"], third["event"], third["logger"]) == ("warning", "a library says", "asyncpg")


def test_metrics_are_valid_openmetrics_with_exemplars() -> None:
    metrics = Metrics()
    context = request()
    metrics.http_duration.labels(SERVICE, "POST", "/payment", "200").observe(0.25, exemplar(context))
    metrics.payments.labels(SERVICE, "completed").inc(1, exemplar(context))
    metrics.watch_pool(size=lambda: 3, idle=lambda: 1, in_use=lambda: 2, limit=lambda: 9, pending=lambda: 4)
    text, content_type = metrics.render("application/openmetrics-text; version=1.0.0; charset=utf-8")
    assert content_type.startswith("application/openmetrics-text; version=1.0.0")
    families = {family.name: family for family in text_string_to_metric_families(text.decode())}
    bucket = next(
        sample for sample in families["http_request_duration_seconds"].samples if sample.labels.get("le") == "0.3"
    )
    assert bucket.value == 1
    assert bucket.exemplar is not None
    assert bucket.exemplar.labels == {"trace_id": TRACE, "span_id": context.span_hex}
    values = {
        name: family.samples[0].value
        for name, family in families.items()
        if name.startswith("db_pool_") and family.samples
    }
    assert (values["db_pool_size"], values["db_pool_idle"], values["db_pool_in_use"]) == (3, 1, 2)
    assert (values["db_pool_max"], values["db_pool_pending_acquires"]) == (9, 4)
    plain, plain_type = metrics.render("")
    assert plain_type.startswith("text/plain")
    assert b" # {" not in plain


def test_the_service_level_is_a_bucket_of_every_latency() -> None:
    metrics = Metrics()
    metrics.http_duration.labels(SERVICE, "GET", "/", "200").observe(1)
    text, _ = metrics.render("")
    for name in ("http_request_duration_seconds", "payment_duration_seconds", "db_pool_acquire_duration_seconds"):
        assert any(line.startswith(f"{name}_bucket") and 'le="0.3"' in line for line in text.decode().splitlines())


def test_an_unsampled_request_is_no_exemplar() -> None:
    assert exemplar(None) is None
    assert exemplar(request(HEADER[:-2] + "00")) is None


def test_the_library_s_log_handler_is_added_once() -> None:
    before = len(logging.getLogger().handlers)
    configure_logging("info")
    configure_logging("info")
    assert len(logging.getLogger().handlers) <= before + 1
    assert structlog.is_configured()
