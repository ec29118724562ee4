"""Which stack an ``up`` without a name takes."""

import os
import sys
from pathlib import Path

import pytest

from cli.up import choose_stack
from infra.config import load_stack_config
from infra.errors import DemoError
from infra.paths import REPOSITORY, DemoHome
from toolchain.engine import Engine


class Registry:
    """An engine that knows one thing: whether the registry answers it."""

    def __init__(self, *, answers: bool) -> None:
        self.answers = answers
        self.asked: list[str] = []
        self.timeouts: list[int] = []

    def connect(self, configured: str, *, timeout_seconds: int) -> "Registry":
        assert configured == load_stack_config(REPOSITORY, "local").docker_host
        self.timeouts.append(timeout_seconds)
        return self

    def registry_answers(self, reference: str) -> bool:
        self.asked.append(reference)
        return self.answers


@pytest.fixture
def home(tmp_path: Path) -> DemoHome:
    return DemoHome(tmp_path)


def bring_up(home: DemoHome, *stacks: str) -> None:
    for stack in stacks:
        home.stack(stack).mkdir(parents=True)
        (home.stack(stack) / "secrets.json").write_text("{}")


def use(monkeypatch: pytest.MonkeyPatch, *, answers: bool, platform: str = "linux", user: int = 0) -> Registry:
    registry = Registry(answers=answers)
    monkeypatch.setattr(Engine, "connect", registry.connect)
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(os, "geteuid", lambda: user)
    return registry


@pytest.mark.parametrize("stack", ["local", "airgap"])
def test_the_one_that_exists_is_taken_without_asking_a_registry(
    home: DemoHome, monkeypatch: pytest.MonkeyPatch, stack: str
) -> None:
    registry = use(monkeypatch, answers=stack == "airgap")
    bring_up(home, stack)
    assert choose_stack(home) == (stack, "it is the one that exists")
    assert registry.asked == []


def test_of_several_none_is_taken(home: DemoHome, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, answers=True)
    bring_up(home, "local", "airgap")
    with pytest.raises(DemoError, match=r"Several stacks exist \(airgap, local\); say which one is meant"):
        choose_stack(home)


@pytest.mark.parametrize(("platform", "user"), [("linux", 0), ("linux", 1000), ("darwin", 501)])
def test_local_is_taken_where_a_registry_answers(
    home: DemoHome, monkeypatch: pytest.MonkeyPatch, platform: str, user: int
) -> None:
    registry = use(monkeypatch, answers=True, platform=platform, user=user)
    assert choose_stack(home) == ("local", "an image registry answers")
    assert registry.timeouts == [2]
    assert registry.asked == ["postgres:18.6"]


def test_airgap_is_taken_where_no_registry_answers_root_on_linux(
    home: DemoHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, answers=False)
    assert choose_stack(home) == ("airgap", "no image registry answers within 2 seconds")


@pytest.mark.parametrize(("platform", "user"), [("linux", 1000), ("darwin", 0), ("win32", 0)])
def test_elsewhere_the_sentence_says_what_to_configure(
    home: DemoHome, monkeypatch: pytest.MonkeyPatch, platform: str, user: int
) -> None:
    use(monkeypatch, answers=False, platform=platform, user=user)
    with pytest.raises(DemoError, match=r"needs Linux and root; set compass-demo:imageMirror in Pulumi.local.yaml"):
        choose_stack(home)
