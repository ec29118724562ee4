"""A machine without a Docker engine: who is asked, what is installed, and what is left alone."""

import io
import sys
from pathlib import Path
from typing import Any

import pytest
from fake_display import FakeDisplay
from rich.prompt import Confirm
from stubs import always

from cli.platforms import docker_engine
from cli.platforms.docker_engine import ensure_engine
from infra.errors import EngineError
from infra.paths import DemoHome
from toolchain.engine import Engine


class Keyboard(io.StringIO):
    """Standard input that is a terminal or is none."""

    def __init__(self, *, terminal: bool) -> None:
        super().__init__()
        self.terminal = terminal

    def isatty(self) -> bool:
        return self.terminal


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> list[DemoHome]:
    """Homes for which an engine was installed; none answers before."""
    homes: list[DemoHome] = []

    def refuse(_configured: str = "") -> Any:
        raise EngineError("No Docker engine answers.")

    def install(home: DemoHome, _display: object) -> None:
        homes.append(home)

    monkeypatch.setattr(Engine, "connect", refuse)
    monkeypatch.setattr(docker_engine, "install", install)
    monkeypatch.setattr(docker_engine, "can_install", always(True))
    monkeypatch.setattr(sys, "stdin", Keyboard(terminal=False))
    return homes


def test_an_engine_that_answers_is_left_alone(
    installed: list[DemoHome], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Engine, "connect", always(None))
    ensure_engine(DemoHome(tmp_path), FakeDisplay())
    assert installed == []


def test_without_a_terminal_it_is_installed_after_saying_so(installed: list[DemoHome], tmp_path: Path) -> None:
    display = FakeDisplay()
    ensure_engine(DemoHome(tmp_path), display)
    assert display.said == ["No Docker engine answers; installing and starting Debian's docker.io."]
    assert installed == [DemoHome(tmp_path)]


@pytest.mark.parametrize("answer", [True, False])
def test_on_a_terminal_a_person_is_asked_first(
    installed: list[DemoHome], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: bool
) -> None:
    asked: list[str] = []

    def ask(question: str) -> bool:
        assert installed == []
        asked.append(question)
        return answer

    monkeypatch.setattr(sys, "stdin", Keyboard(terminal=True))
    monkeypatch.setattr(Confirm, "ask", ask)
    if answer:
        ensure_engine(DemoHome(tmp_path), FakeDisplay())
    else:
        with pytest.raises(EngineError, match="No Docker engine answers"):
            ensure_engine(DemoHome(tmp_path), FakeDisplay())
    assert asked == ["No Docker engine answers. Install and start Debian's docker.io?"]
    assert bool(installed) is answer


def test_an_engine_that_somebody_chose_is_not_replaced_by_another(installed: list[DemoHome], tmp_path: Path) -> None:
    with pytest.raises(EngineError):
        ensure_engine(DemoHome(tmp_path), FakeDisplay(), "tcp://127.0.0.1:2375")
    assert installed == []


def test_where_installing_is_not_ours_to_do_the_sentence_is_the_engine_s(
    installed: list[DemoHome], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(docker_engine, "can_install", always(False))
    with pytest.raises(EngineError, match="No Docker engine answers"):
        ensure_engine(DemoHome(tmp_path), FakeDisplay())
    assert installed == []
