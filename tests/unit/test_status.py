"""What ``status`` says of each container."""

# pyright: reportPrivateUsage=false

import io
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fake_engine import FakeEngine, container
from fake_session import fake_session
from rich.console import Console
from small_topology import DB, SCHEMA, WEB
from stubs import always

from cli import status as status_module
from cli.platforms import docker_status
from cli.platforms.docker_status import _age, _judge
from cli.status import StackStatus, stack_status, status_table
from infra.topology import names
from infra.topology.model import Container

GATEWAY = replace(WEB, name=names.GATEWAY.service)
HEALTHY: dict[str, Any] = {"ready": True, "failing": [], "services": {"web": {"status": "up"}}}


@pytest.mark.parametrize(
    ("of", "changes", "health", "word", "ok"),
    [
        (WEB, None, HEALTHY, "missing", False),
        (SCHEMA, {"status": "exited"}, {}, "done", True),
        (SCHEMA, {"status": "exited", "exit_code": 2}, {}, "exited (2)", False),
        (SCHEMA, {"status": "running"}, {}, "running (0)", False),
        (WEB, {"status": "exited", "exit_code": 137}, HEALTHY, "exited (137)", False),
        (WEB, {"status": "restarting", "exit_code": 1}, HEALTHY, "restarting (1)", False),
        (WEB, {"health": "unhealthy"}, HEALTHY, "unhealthy", False),
        (GATEWAY, {"health": "unhealthy"}, HEALTHY, "answers", True),
        (GATEWAY, {"health": "unhealthy"}, {"ready": False, "failing": []}, "unhealthy", False),
        (WEB, {}, {"failing": [{"service": "web", "reason": "timed out"}]}, "timed out", False),
        (WEB, {}, {"failing": [{"service": "db", "reason": "timed out"}]}, "running", True),
        (WEB, {}, HEALTHY, "answers", True),
        (DB, {"health": "healthy"}, {}, "answers", True),
        (DB, {"health": "starting"}, {}, "running", True),
        (DB, {}, {}, "running", True),
    ],
)
def test_a_container_is_judged_by_the_engine_and_the_gateway(
    of: Container, changes: dict[str, Any] | None, health: dict[str, Any], word: str, ok: bool
) -> None:
    state = None if changes is None else container("test", of.name, **changes)
    assert _judge(of, state, health) == (word, ok)


@pytest.mark.parametrize(
    ("ago", "text"),
    [
        (timedelta(seconds=5), "5 s"),
        (timedelta(seconds=59), "59 s"),
        (timedelta(minutes=1), "1 min"),
        (timedelta(minutes=59, seconds=59), "59 min"),
        (timedelta(hours=2, minutes=3), "2 h 3 min"),
        (timedelta(days=3), "72 h 0 min"),
        (timedelta(seconds=-90), "0 s"),
    ],
)
def test_an_age_is_told_in_two_units_at_most(monkeypatch: pytest.MonkeyPatch, ago: timedelta, text: str) -> None:
    now = datetime(2026, 5, 6, 7, 8, 9, tzinfo=UTC)

    class Clock(datetime):
        @classmethod
        def now(cls, tz: object = None) -> datetime:
            assert tz is UTC
            return now

    monkeypatch.setattr(docker_status, "datetime", Clock)
    assert _age((now - ago).strftime("%Y-%m-%dT%H:%M:%S.123456789Z")) == text


def look(monkeypatch: pytest.MonkeyPatch, home: Path, health: dict[str, Any], **changes: dict[str, Any]) -> StackStatus:
    engine = FakeEngine(memory={"id-db": 100 * 2**20, "id-web": 20 * 2**20})
    for name in ("db", "db-logs", "web"):
        engine.states[name] = container("test", name, **changes.get(name, {}))
    engine.states["schema"] = container("test", "schema", status="exited")
    monkeypatch.setattr(status_module, "stack_health", always(health))
    return stack_status(fake_session(home, engine=engine))


def test_a_stack_is_ready_when_the_gateway_says_so_and_every_container_is_well(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert look(monkeypatch, tmp_path, HEALTHY).ready
    assert not look(monkeypatch, tmp_path, {}).ready
    assert not look(monkeypatch, tmp_path, HEALTHY, **{"db-logs": {"status": "exited"}}).ready


def test_the_plain_data_has_memory_addresses_and_images(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    document = look(monkeypatch, tmp_path, HEALTHY, web={"restarts": 2}).as_json()
    rows = {row["name"]: row for row in document["services"]}
    assert list(rows) == ["db", "db-logs", "schema", "web"]
    assert (rows["db"]["memory_mib"], rows["db"]["memory_limit_mib"]) == (100.0, 256)
    assert rows["web"]["addresses"] == ["127.0.0.1:18000 http", "127.0.0.1:18001 admin"]
    assert (rows["web"]["restarts"], rows["web"]["image"]) == (2, "demo/web:abc")
    assert (rows["schema"]["since"], rows["schema"]["memory_mib"]) == ("", 0.0)


def drawn(status: StackStatus) -> str:
    output = io.StringIO()
    Console(file=output, width=150).print(status_table(status))
    return output.getvalue()


def test_the_table_has_a_title_and_a_row_for_each_container(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    text = drawn(look(monkeypatch, tmp_path, HEALTHY, web={"restarts": 2}))
    assert "stack test: ready, 120 MiB" in text
    assert "100 / 256 MiB" in text
    assert "answers, 2 restarts" in text
    assert "127.0.0.1:15432 sql" in text


def test_a_reason_with_brackets_is_shown_as_it_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    health = {"ready": False, "failing": [{"service": "web", "reason": "[/ready] says [red]"}]}
    text = drawn(look(monkeypatch, tmp_path, health))
    assert "NOT READY" in text
    assert "[/ready] says [red]" in text
