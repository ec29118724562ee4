"""Whether the stack answers, as its gateway tells, and waiting for that."""

from pathlib import Path
from typing import Any

import pytest
import requests
from fake_display import FakeDisplay
from fake_engine import FakeEngine, container
from fake_session import fake_session
from small_topology import SECRETIVE, TOPOLOGY
from stubs import always

from cli import health
from cli.health import stack_health, wait_until_ready
from cli.session import Session
from infra.errors import DemoError
from infra.topology import names
from infra.topology.model import Endpoint, Topology

READY: dict[str, Any] = {"ready": True, "failing": [], "services": {}}
WAITING: dict[str, Any] = {"ready": False, "failing": [{"service": "loki", "reason": "HTTP 503"}]}


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def session(tmp_path: Path) -> Session:
    return fake_session(tmp_path)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(health, "time", clock)
    return clock


def answers(monkeypatch: pytest.MonkeyPatch, *documents: dict[str, Any]) -> None:
    """One after the other; the last one for ever."""
    left = list(documents)

    def answer(_session: Session) -> dict[str, Any]:
        return left.pop(0) if len(left) > 1 else left[0]

    monkeypatch.setattr(health, "stack_health", answer)


def told(session: Session) -> list[str]:
    assert isinstance(session.display, FakeDisplay)
    return session.display.told


def test_a_stack_that_is_ready_costs_neither_time_nor_a_line(
    session: Session, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers(monkeypatch, READY)
    wait_until_ready(session)
    assert (clock.now, told(session)) == (0, [])


def test_a_stack_that_gets_ready_is_waited_for_and_says_what_is_missing(
    session: Session, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers(monkeypatch, {}, {}, WAITING, READY)
    wait_until_ready(session)
    assert 0 < clock.now < 1
    assert told(session) == ["start everything answers", "done everything answers"]
    assert isinstance(session.display, FakeDisplay)
    assert session.display.rows[0].detail == "loki: HTTP 503"


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        (WAITING, "loki: HTTP 503"),
        ({}, "the gateway does not answer"),
        ({"failing": [{"service": "a", "reason": "b"}, {"service": "c", "reason": "d"}]}, "a: b; c: d"),
    ],
)
def test_a_stack_that_never_gets_ready_is_an_error_that_names_what_is_missing(
    session: Session, clock: Clock, monkeypatch: pytest.MonkeyPatch, document: dict[str, Any], reason: str
) -> None:
    answers(monkeypatch, document)
    monkeypatch.setattr(type(session.platform), "trouble", always([]))
    with pytest.raises(DemoError, match=f"^The stack is not ready after 120 seconds: {reason}.$"):
        wait_until_ready(session)
    assert 120 < clock.now < 125
    assert told(session)[-1] == "failed everything answers"


def test_containers_that_are_down_or_start_again_and_again_are_told_with_their_last_lines(tmp_path: Path) -> None:
    states = {
        "db": container("test", "db"),
        "db-logs": container("test", "db-logs"),
        "schema": container("test", "schema", status="exited", restarts_always=False),
        "web": container("test", "web", restarts=7),
    }
    engine = FakeEngine(states=states, log_lines=["line 39: field no_such_block not found"])
    session = fake_session(tmp_path, engine=engine)
    assert session.platform.trouble() == [
        "web: running, started again 7 times",
        "    line 39: field no_such_block not found",
    ]
    del states["db-logs"]
    states["db"] = container("test", "db", status="exited", exit_code=1)
    assert [line for line in session.platform.trouble() if not line.startswith(" ")] == [
        "db: exited (1)",
        "db-logs: missing",
        "web: running, started again 7 times",
    ]


class Answer:
    def __init__(self, status_code: int, document: object) -> None:
        self.status_code, self.document = status_code, document

    def json(self) -> object:
        if isinstance(self.document, Exception):
            raise self.document
        return self.document


@pytest.fixture
def gateway(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(names, "GATEWAY", Endpoint("web", "http"))


@pytest.mark.usefixtures("gateway")
@pytest.mark.parametrize(("status", "ready"), [(200, True), (503, False)])
def test_the_gateway_is_asked_on_its_published_port_and_its_status_decides(
    session: Session, monkeypatch: pytest.MonkeyPatch, status: int, ready: bool
) -> None:
    asked: list[str] = []

    def get(session: requests.Session, url: str, *, timeout: float) -> Answer:
        assert not session.trust_env, "a proxy cannot reach the loopback address"
        assert timeout > 0
        asked.append(url)
        return Answer(status, WAITING)

    monkeypatch.setattr(requests.Session, "get", get)
    assert stack_health(session) == {**WAITING, "ready": ready}
    assert asked == [f"http://127.0.0.1:{TOPOLOGY.service('web').port('http').host_port}/ready/stack"]


@pytest.mark.usefixtures("gateway")
@pytest.mark.parametrize("document", [ValueError("no JSON"), [], "Not found", {"message": "Not found"}, None])
def test_another_program_on_the_port_is_no_answer(
    session: Session, monkeypatch: pytest.MonkeyPatch, document: object
) -> None:
    monkeypatch.setattr(requests.Session, "get", always(Answer(200, document)))
    assert stack_health(session) == {}


@pytest.mark.usefixtures("gateway")
@pytest.mark.parametrize("error", [requests.ConnectionError, requests.Timeout])
def test_a_gateway_that_does_not_answer_is_an_empty_answer(
    session: Session, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    def refuse(_url: str, **_: object) -> None:
        raise error

    monkeypatch.setattr(requests.Session, "get", refuse)
    assert stack_health(session) == {}


@pytest.mark.usefixtures("gateway")
@pytest.mark.parametrize(
    ("answer", "reason"),
    [(200, None), (503, "answers 503"), (requests.ConnectionError(), "does not answer")],
)
def test_what_the_gateway_does_not_know_of_is_asked_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: int | Exception, reason: str | None
) -> None:
    session = fake_session(tmp_path, topology=Topology(workloads=(*TOPOLOGY.workloads, SECRETIVE)))
    asked: list[str] = []

    def get(_session: requests.Session, url: str, *, timeout: float) -> Answer:
        assert timeout > 0
        asked.append(url)
        if url.endswith("/ready/stack"):
            return Answer(200, READY)
        if isinstance(answer, Exception):
            raise answer
        return Answer(answer, None)

    monkeypatch.setattr(requests.Session, "get", get)
    failing = [{"service": "secretive", "reason": reason}] if reason else []
    assert stack_health(session) == {**READY, "ready": not failing, "failing": failing}
    assert asked[1:] == ["http://127.0.0.1:18002/ready"]
