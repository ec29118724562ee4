"""The status page: real numbers from back ends, faults part by part, nothing that could run in a browser."""

from __future__ import annotations

import re
import time
from html.parser import HTMLParser
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.responses import JSONResponse, PlainTextResponse, Response

from gateway.status.html import Markup, fill
from gateway.status.sparkline import HEIGHT, WIDTH, sparkline
from tests.gateway.support import BEARER, TOKEN, FakeBackend, Seen, make_config, running, serving

if TYPE_CHECKING:
    from tests.gateway.conftest import Stack

EVIL = "<script>alert('x')</script>\"'&"
NOTHING = dict[str, str]()


async def prometheus_answers(seen: Seen) -> Response:
    if seen.path.endswith("query_range"):
        now = time.time() // 15 * 15
        values = [[now - 15 * back, str(0.25 - back / 1000)] for back in range(61)]
        return JSONResponse(
            {"status": "success", "data": {"resultType": "matrix", "result": [{"metric": NOTHING, "values": values}]}}
        )
    value = "0.042" if "histogram_quantile" in seen.query else "0.9987"
    result = [{"metric": NOTHING, "value": [time.time(), value]}]
    return JSONResponse({"status": "success", "data": {"resultType": "vector", "result": result}})


def loki_answer() -> Response:
    values = [[str(time.time_ns()), f'{{"event":"payment refused {EVIL.replace(chr(34), "")}"}}', NOTHING]]
    stream = {"service": "payment-service", "detected_level": "error", "trace_id": "feed" * 8}
    return JSONResponse(
        {"status": "success", "data": {"resultType": "streams", "result": [{"stream": stream, "values": values}]}}
    )


def jaeger_answer() -> Response:
    start = int(time.time() * 1e6)

    def trace(number: int, milliseconds: int) -> dict[str, object]:
        child = {"operationName": "child", "startTime": start, "duration": milliseconds * 500, "references": [NOTHING]}
        root = {
            "operationName": "POST /payment",
            "startTime": start,
            "duration": milliseconds * 1000,
            "references": list[str](),
        }
        return {"traceID": f"{number:032x}", "spans": [child, root]}

    return JSONResponse({"data": [trace(1, 60), trace(2, 900), trace(3, 12_000)]})


def alertmanager_answer() -> Response:
    return JSONResponse(
        [
            {
                "labels": {"alertname": "PaymentsSlow", "severity": "critical"},
                "annotations": {"summary": f"slow {EVIL}"},
                "startsAt": "2026-11-21T10:00:00.000Z",
                "status": {"state": "active"},
            }
        ]
    )


def prepare(stack: Stack) -> None:
    stack.prometheus.answers["/api/v1/query"] = stack.prometheus.answers["/api/v1/query_range"] = prometheus_answers
    stack.loki.always("/loki/api/v1/query_range", loki_answer)
    stack.jaeger.always("/api/traces", jaeger_answer)
    stack.alertmanager.always("/api/v2/alerts", alertmanager_answer)


class Text(HTMLParser):
    """Collects what a page says and which elements it has."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self._open: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_startendtag(tag, attrs)
        if tag not in {"meta", "link"}:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag, f"</{tag}> closes nothing"

    def handle_data(self, data: str) -> None:
        if "style" not in self._open:
            self.words += data.split()

    @property
    def text(self) -> str:
        return " ".join(self.words)


@pytest.fixture
async def fresh_page(stack: Stack) -> str:
    """The page of a gateway of its own: the shared one may have a snapshot of another test."""
    prepare(stack)
    changes = {
        "backends__prometheus": {"url": stack.prometheus.url},
        "backends__loki": {"url": stack.loki.url},
        "backends__traces": {"kind": "jaeger", "url": stack.jaeger.url},
        "backends__alertmanager": {"url": stack.alertmanager.url},
        "probes": [{"service": "loki", "url": f"{stack.loki.url}/ready"}, {"service": "postgres", "url": None}],
        "status_page__settings": [{"name": "TEMPO_URL", "value": "http://compass:{token}@127.0.0.1:3200"}],
        "status_page__links": [{"title": "Prometheus", "url": "http://127.0.0.1:9090"}],
    }
    async with running(make_config(**changes)) as gateway:
        response = await gateway.get("main", "/")
        assert response.status_code == 200
        assert response.headers["content-type"] == "text/html; charset=utf-8"
        assert response.headers["cache-control"] == "no-store"
        return response.text


@pytest.mark.anyio
async def test_it_shows_the_service_level_the_charts_and_all_three_signals(fresh_page: str) -> None:
    page = Text(fresh_page)
    assert "99.87 %" in page.text
    assert "42 ms" in page.text
    assert "objective ≥ 99.5 %" in page.text
    assert "objective < 300 ms" in page.text
    assert page.tags.count("svg") == 6
    assert page.tags.count("polyline") == 6
    assert "payment refused" in page.text
    assert "feed" * 8 in page.text
    assert page.text.index("12.0 s POST /payment") < page.text.index("900 ms POST") < page.text.index("60 ms POST")
    assert "PaymentsSlow" in page.text
    assert "every service answers" in page.text
    assert "own health check" in page.text
    assert "Prometheus" in page.text


@pytest.mark.anyio
async def test_it_runs_nothing_loads_nothing_and_hides_the_token(fresh_page: str) -> None:
    page = Text(fresh_page)
    assert not {"script", "img", "iframe", "form", "input", "object"} & {*page.tags}
    assert "<script" not in fresh_page
    assert not any(name.startswith("on") or name == "style" for name, _ in page.attributes)
    assert TOKEN not in fresh_page
    assert "{token}" not in fresh_page
    assert "http://compass:••••••@127.0.0.1:3200" in page.text
    linked = {value for name, value in page.attributes if name in {"src", "href"} and value}
    assert {link for link in linked if not link.startswith(("data:", "/"))} == {"http://127.0.0.1:9090"}
    assert {"http-equiv", "content"} <= {name for name, _ in page.attributes}, "it refreshes itself"


@pytest.mark.anyio
async def test_its_policy_allows_its_own_style_and_nothing_else(stack: Stack) -> None:
    response = await stack.gateway.get("main", "/status")
    policy = response.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert re.search(r"style-src 'sha256-[A-Za-z0-9+/]{43}='", policy)
    assert "unsafe" not in policy
    assert response.headers["x-content-type-options"] == "nosniff"


@pytest.mark.anyio
async def test_with_everything_down_it_says_so_part_by_part() -> None:
    probes = [
        {"service": "loki", "url": "http://127.0.0.1:9/ready"},
        {"service": "jaeger", "url": "http://127.0.0.1:9"},
    ]
    async with running(make_config(probes=probes)) as gateway:
        response = await gateway.get("main", "/")
    assert response.status_code == 200
    page = Text(response.text)
    assert page.text.count("prometheus cannot be reached: connection refused") == 8
    for name in ("loki", "jaeger", "alertmanager"):
        assert f"{name} cannot be reached: connection refused" in page.text
    assert "2 services do not answer" in page.text


@pytest.mark.anyio
async def test_a_back_end_that_answers_something_else_is_a_fault_of_its_part_only(stack: Stack) -> None:
    prepare(stack)
    stack.loki.always(
        "/loki/api/v1/query_range", lambda: JSONResponse({"data": {"resultType": "streams", "result": 5}})
    )
    stack.jaeger.always("/api/traces", lambda: PlainTextResponse("traces", media_type="application/json"))
    stack.alertmanager.always("/api/v2/alerts", lambda: Response(status_code=500))
    changes = {
        "backends__prometheus": {"url": stack.prometheus.url},
        "backends__loki": {"url": stack.loki.url},
        "backends__traces": {"kind": "jaeger", "url": stack.jaeger.url},
        "backends__alertmanager": {"url": stack.alertmanager.url},
    }
    async with running(make_config(**changes)) as gateway:
        page = Text((await gateway.get("main", "/")).text)
    assert "loki answered in an unknown form" in page.text
    assert "jaeger did not answer with JSON" in page.text
    assert "alertmanager answered 500" in page.text
    assert "99.87 %" in page.text


@pytest.mark.anyio
async def test_without_data_it_says_that_there_is_none() -> None:
    backend = FakeBackend("all")

    async def nothing(seen: Seen) -> Response:
        kind = "matrix" if seen.path.endswith("query_range") else "vector"
        kind = "streams" if seen.path.startswith("/loki") else kind
        return JSONResponse({"data": {"resultType": kind, "result": []}})

    for path in ("/api/v1/query", "/api/v1/query_range", "/loki/api/v1/query_range"):
        backend.answers[path] = nothing
    backend.always("/api/search", lambda: JSONResponse({"traces": []}))
    async with serving(backend) as url:
        changes = {
            "backends__prometheus": {"url": url},
            "backends__loki": {"url": url},
            "backends__traces": {"kind": "tempo", "url": url},
            "backends__alertmanager": None,
        }
        async with running(make_config(**changes)) as gateway:
            page = Text((await gateway.get("main", "/")).text)
    assert page.text.count("no payments") == 2
    assert page.text.count("no data yet") == 6
    assert "no payment took longer than 50 ms" in page.text
    assert "cannot" not in page.text


@pytest.mark.anyio
async def test_tempo_is_asked_in_its_own_dialect() -> None:
    backend = FakeBackend("tempo")
    found = {
        "traceID": "abc",
        "rootTraceName": "POST /payment",
        "startTimeUnixNano": "1795255200000000000",
        "durationMs": 77,
    }
    backend.always("/api/search", lambda: JSONResponse({"traces": [found]}))
    async with (
        serving(backend) as url,
        running(make_config(backends__traces={"kind": "tempo", "url": url})) as gateway,
    ):
        page = Text((await gateway.get("main", "/")).text)
    assert "10:00:00 77 ms POST /payment" in page.text
    assert "duration" in backend.seen[-1].query


@pytest.mark.anyio
async def test_people_who_watch_together_cost_one_round(stack: Stack) -> None:
    prepare(stack)
    async with running(make_config(backends__prometheus={"url": stack.prometheus.url})) as gateway:
        for _ in range(3):
            await gateway.get("main", "/status")
    assert len(stack.prometheus.seen) == 8


@pytest.mark.anyio
async def test_data_sources_and_health_look_like_grafanas(stack: Stack) -> None:
    sources = (await stack.gateway.get("main", "/api/datasources")).json()
    assert [(one["uid"], one["type"], one["isDefault"], one["readOnly"]) for one in sources] == [
        ("prometheus", "prometheus", True, True),
        ("loki", "loki", False, True),
        ("tempo", "tempo", False, True),
    ]
    assert all({"id", "name", "url", "access"} <= one.keys() for one in sources)
    health = (await stack.gateway.request("GET", "main", "/api/health")).json()
    assert (health["database"], health["version"]) == ("ok", "0.1.0")


@pytest.mark.anyio
async def test_what_does_not_exist_is_a_404_in_json(stack: Stack) -> None:
    response = await stack.gateway.request("GET", "main", "/nothing", headers=BEARER)
    assert response.status_code == 404
    assert response.json()["error"] == "the gateway has nothing at /nothing"


@given(st.text())
def test_text_never_becomes_markup(text: str) -> None:
    filled = fill('<p title="{text}">{text}</p>', text=text)
    assert not re.search(r"[<>\"']", filled[len('<p title="') : -len("</p>")].replace('">', "", 1))
    assert fill("{text}", text=Markup(text)) == text


@given(st.lists(st.none() | st.floats(min_value=0, max_value=1e12), max_size=80), st.none() | st.floats(0, 1e6))
def test_every_chart_stays_in_its_frame(values: list[float | None], objective: float | None) -> None:
    svg = sparkline(values, label="x", objective=objective)
    points = [pair.split(",") for line in re.findall(r'points="([^"]*)"', svg) for pair in line.split()]
    assert all(0 <= float(x) <= WIDTH and 0 <= float(y) <= HEIGHT for x, y in points)
    runs = re.findall(r"[^ ]+", "".join("x" if value is not None else " " for value in values))
    assert len(points) == sum(len(run) for run in runs if len(run) > 1)
    assert svg.count('class="dot"') == sum(len(run) == 1 for run in runs), "a gap is a gap"
