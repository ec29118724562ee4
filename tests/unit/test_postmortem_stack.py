"""The stack is asked through the gateway's fronts, and the command says what came of it."""

import json
import threading
from collections.abc import Generator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from stubs import always
from typer.testing import CliRunner

from cli.main import app
from infra.errors import DemoError
from postmortem.stack import QueryRefused, Stack, Window

pytestmark = pytest.mark.processes

NOON = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
WINDOW = Window(NOON, datetime(2026, 11, 21, 13, 0, tzinfo=UTC))
TRACE = "0af7651916cd43dd8448eb211c80319c"
SECOND = 10**9


class Gateway:
    """Answers paths from a table."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.answers: dict[str, tuple[int, object]] = {}
        self.asked: list[tuple[str, dict[str, list[str]], str]] = []

    @property
    def settings(self) -> dict[str, str]:
        secret = self.url.replace("http://", "http://compass:a-token@")
        return dict.fromkeys(("PROMETHEUS_URL", "LOKI_QUERY_URL", "TEMPO_URL"), secret)

    @property
    def stack(self) -> Stack:
        return Stack(self.settings)


@pytest.fixture
def gateway() -> Generator[Gateway]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            found.asked.append((parts.path, parse_qs(parts.query), self.headers.get("Authorization", "")))
            status, answer = found.answers.get(parts.path, (404, {"error": "nothing here"}))
            body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's own name
            del format, args

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        found = Gateway(f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield found
        finally:
            server.shutdown()
            thread.join()


def matrix(*series: list[str]) -> dict[str, Any]:
    result: list[dict[str, Any]] = [
        {"metric": {}, "values": [[number, value] for number, value in enumerate(one)]} for one in series
    ]
    return {"status": "success", "data": {"resultType": "matrix", "result": result}}


def test_metrics_are_asked_over_the_window_with_the_token(gateway: Gateway) -> None:
    gateway.answers["/api/v1/query_range"] = (200, matrix(["1", "NaN", "+Inf"], ["NaN"]))
    assert gateway.stack.metrics("up", WINDOW) == [[1.0, float("inf")]]
    ((_, asked, authorization),) = gateway.asked
    assert asked["query"] == ["up"]
    assert float(asked["end"][0]) - float(asked["start"][0]) == 3600
    assert asked["step"] == ["5"]
    assert authorization.startswith("Basic ")


def test_a_long_window_takes_a_longer_step(gateway: Gateway) -> None:
    gateway.answers["/api/v1/query_range"] = (200, matrix())
    month = Window(NOON, datetime(2026, 12, 21, tzinfo=UTC))
    gateway.stack.metrics("up", month)
    ((_, asked, _),) = gateway.asked
    assert month.seconds / int(asked["step"][0]) < 11_000


def test_log_lines_are_counted_by_loki(gateway: Gateway) -> None:
    vector: dict[str, Any] = {"resultType": "vector", "result": [{"metric": {}, "value": [1, "37"]}]}
    gateway.answers["/loki/api/v1/query"] = (200, {"data": vector})
    assert gateway.stack.log_lines('{app="postgres"} |= "x"', WINDOW) == 37
    assert gateway.asked[0][1]["query"] == ['sum(count_over_time({app="postgres"} |= "x" [3600s]))']
    gateway.answers["/loki/api/v1/query"] = (200, {"data": {"resultType": "vector", "result": []}})
    assert gateway.stack.log_lines("{}", WINDOW) == 0


def test_counting_queries_over_logs(gateway: Gateway) -> None:
    gateway.answers["/loki/api/v1/query_range"] = (200, matrix(["3"]))
    assert gateway.stack.log_metrics("rate({a='b'}[1m])", WINDOW) == [[3.0]]
    gateway.answers["/loki/api/v1/query_range"] = (200, {"data": {"resultType": "streams", "result": []}})
    with pytest.raises(QueryRefused, match="streams"):
        gateway.stack.log_metrics("x", WINDOW)


def test_traces_are_searched(gateway: Gateway) -> None:
    gateway.answers["/api/search"] = (200, {"traces": [{"durationMs": 120}, {"traceID": "x"}]})
    assert gateway.stack.traces("{}", WINDOW) == [120.0, 0.0]
    assert gateway.asked[0][1]["limit"] == ["200"]


@pytest.mark.parametrize(
    "answer",
    [
        {"data": [{"spans": [{"startTime": 1_000_000, "duration": 250_000}, {"startTime": 1_100_000, "duration": 1}]}]},
        {
            "batches": [
                {
                    "scopeSpans": [
                        {"spans": [{"startTimeUnixNano": str(SECOND), "endTimeUnixNano": str(SECOND * 5 // 4)}]}
                    ]
                }
            ]
        },
    ],
)
def test_a_trace_in_either_stores_form(gateway: Gateway, answer: dict[str, Any]) -> None:
    gateway.answers[f"/api/traces/{TRACE}"] = (200, answer)
    assert gateway.stack.trace(TRACE) == 250.0


def test_a_trace_that_is_not_there(gateway: Gateway) -> None:
    assert gateway.stack.trace(TRACE) is None
    gateway.answers[f"/api/traces/{TRACE}"] = (404, {"data": None, "errors": [{"msg": "trace not found"}]})
    assert gateway.stack.trace(TRACE) is None
    gateway.answers[f"/api/traces/{TRACE}"] = (200, {"data": []})
    assert gateway.stack.trace(TRACE) is None


def test_a_query_that_is_wrong_is_told_so_in_the_servers_words(gateway: Gateway) -> None:
    gateway.answers["/api/v1/query_range"] = (400, {"status": "error", "error": "parse error: unexpected end"})
    with pytest.raises(QueryRefused, match="unexpected end"):
        gateway.stack.metrics("up{", WINDOW)


@pytest.mark.parametrize(
    ("status", "answer", "part"),
    [
        (401, {}, "does not know the token"),
        (502, {"error": "loki cannot be reached"}, "loki cannot be reached"),
        (500, b"<html>", "cannot be asked"),
    ],
)
def test_a_stack_that_cannot_be_asked_is_one_sentence(gateway: Gateway, status: int, answer: object, part: str) -> None:
    gateway.answers["/api/v1/query_range"] = (status, answer)
    with pytest.raises(DemoError, match=part) as raised:
        gateway.stack.metrics("up", WINDOW)
    assert "a-token" not in str(raised.value)


def test_a_gateway_that_is_gone_is_one_sentence_without_the_token() -> None:
    gone = Gateway("http://127.0.0.1:9")
    with pytest.raises(DemoError, match=r"does not answer at 127\.0\.0\.1:9") as raised:
        gone.stack.metrics("up", WINDOW)
    assert "a-token" not in str(raised.value)


# --- the command


REPORT = "**Generated:** 2026-11-21 13:00:00 UTC\n\n`pg_up` was 1. [Some] 95 % were slow.\n"


@pytest.fixture
def run(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> Any:
    def settings(_session: object, *, inside: bool) -> tuple[dict[str, str], str]:
        assert not inside
        return gateway.settings, ""

    monkeypatch.setattr("cli.session.the_stack", always("airgap"))
    monkeypatch.setattr("cli.env_file.connection_settings", settings)

    def invoke(*arguments: str) -> Any:
        return CliRunner().invoke(app, ["check-postmortem", *arguments])

    return invoke


def test_a_report_that_holds(run: Any, gateway: Gateway, tmp_path: Path) -> None:
    file = tmp_path / "report.md"
    file.write_text(REPORT)
    gateway.answers["/api/v1/query_range"] = (200, matrix(["1"]))
    shown = run(str(file))
    assert shown.exit_code == 0, shown.output
    assert "1 of 1 claims hold." in shown.output
    assert "[Some] 95 % were slow." in shown.output
    document = json.loads(run(str(file), "--json").output)
    assert (document["holds"], document["claims"][0]["code"]) == (True, "pg_up")
    run(str(file), "--from", "2026-11-20T00:00:00", "--to", "2026-11-20T01:00:00Z")
    assert float(gateway.asked[-1][1]["start"][0]) == datetime(2026, 11, 20, tzinfo=UTC).timestamp()


def test_a_report_that_does_not_hold_or_says_nothing(run: Any, gateway: Gateway, tmp_path: Path) -> None:
    file = tmp_path / "report.md"
    file.write_text(REPORT)
    gateway.answers["/api/v1/query_range"] = (200, matrix(["0"]))
    assert run(str(file)).exit_code == 1
    file.write_text("On 2026-11-21 10:00 it was slow.\n")
    shown = run(str(file))
    assert (shown.exit_code, "No claim can be checked." in shown.output) == (1, True)


@pytest.mark.parametrize(
    ("content", "arguments", "part"),
    [
        (None, (), "cannot be read: No such file"),
        (b"\xff\xfe\x00", (), "is not UTF-8"),
        (b"x" * (4 * 1024 * 1024 + 1), (), "larger than"),
        (b"`pg_up` was 1", (), "--from and --to"),
        (b"`pg_up` was 1", ("--from", "yesterday"), "neither ISO 8601"),
        (b"`pg_up` was 1", ("--from", "now", "--to", "now-1h"), "ends before that"),
    ],
)
def test_bad_input_is_one_sentence(
    run: Any, tmp_path: Path, content: bytes | None, arguments: tuple[str, ...], part: str
) -> None:
    file = tmp_path / "report.md"
    if content is not None:
        file.write_bytes(content)
    failed = run(str(file), *arguments)
    assert isinstance(failed.exception, DemoError)
    assert part in str(failed.exception)
    assert "\n" not in str(failed.exception)
