"""``logs``: which container is meant, and what a mistyped name is answered with."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_engine import FakeEngine, container
from fake_session import fake_session

from cli.logs import show_logs
from infra.errors import DemoError


class FollowingEngine(FakeEngine):
    def follow_logs(self, container: str, *, lines: int) -> Iterator[bytes]:
        yield f"{container} {lines}\n".encode()
        yield b"half a line, \xff no text"


@pytest.mark.parametrize("name", ["web", "db-logs", "schema"])
def test_the_last_lines_of_a_service_a_sidecar_or_a_task_are_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    engine = FakeEngine(log_lines=["one", "two [/x]", "three"], states={name: container("test", name)})
    show_logs(fake_session(tmp_path, engine=engine), name, lines=2, follow=False)
    assert capsys.readouterr().out == "two [/x]\nthree\n"


def test_following_passes_on_what_comes_byte_by_byte(tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    engine = FollowingEngine(states={"web": container("test", "web")})
    show_logs(fake_session(tmp_path, engine=engine), "web", lines=7, follow=True)
    assert capfdbinary.readouterr().out == b"id-web 7\nhalf a line, \xff no text"


@pytest.mark.parametrize(("typed", "meant"), [("wbe", "web"), ("db-log", "db-logs"), ("shema", "schema")])
def test_a_mistyped_name_is_answered_with_the_nearest_one(tmp_path: Path, typed: str, meant: str) -> None:
    with pytest.raises(DemoError, match=rf"^No service is named {typed}; did you mean {meant}\?$"):
        show_logs(fake_session(tmp_path, engine=FakeEngine()), typed, lines=1, follow=False)


def test_a_name_like_no_other_is_answered_with_all_of_them(tmp_path: Path) -> None:
    with pytest.raises(DemoError, match="No service is named kafka; there are db, db-logs, schema, web"):
        show_logs(fake_session(tmp_path, engine=FakeEngine()), "kafka", lines=1, follow=False)


def test_a_service_without_a_container_says_what_makes_one(tmp_path: Path) -> None:
    with pytest.raises(DemoError, match=r"web has no container; run ./demo up"):
        show_logs(fake_session(tmp_path, engine=FakeEngine()), "web", lines=1, follow=False)
