"""The three ways to the engine: which is taken, when it is asked again, and what the engine is started with."""

# pyright: reportPrivateUsage=false

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from stubs import always

from infra import versions
from infra.errors import ToolError
from infra.paths import REPOSITORY, DemoHome
from toolchain import pulumi_tools
from toolchain.progress import Progress, Silent
from toolchain.pulumi_tools import PulumiTools, _built, _download, _on_path, _works

WAYS = ["_on_path", "_downloaded", "_built", "_download", "_build"]


@pytest.fixture
def home(tmp_path: Path) -> DemoHome:
    return DemoHome(tmp_path / "home")


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("PULUMI_HOME", "PULUMI_BACKEND_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "user"))


def pretend(monkeypatch: pytest.MonkeyPatch, works: str | None) -> list[str]:
    """Only one way works; returns the ways in the order in which they were tried."""
    tried: list[str] = []

    def way(name: str) -> Callable[..., PulumiTools | None]:
        def attempt(home: DemoHome, _progress: Progress | None = None) -> PulumiTools | None:
            tried.append(name)
            return PulumiTools(home.tools / name, name, home) if name == works else None

        return attempt

    def plugin(_tools: PulumiTools, _progress: Progress) -> None:
        tried.append("plugin")

    for name in WAYS:
        monkeypatch.setattr(pulumi_tools, name, way(name))
    monkeypatch.setattr(PulumiTools, "ensure_docker_plugin", plugin)
    return tried


@pytest.mark.parametrize("works", WAYS)
def test_ways_are_tried_in_order_until_one_works(home: DemoHome, monkeypatch: pytest.MonkeyPatch, works: str) -> None:
    tried = pretend(monkeypatch, works)
    assert PulumiTools.ensure(home, Silent()).origin == works
    assert tried == [*WAYS[: WAYS.index(works) + 1], "plugin"]


def test_tools_that_are_present_are_looked_for_without_fetching(
    home: DemoHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = pretend(monkeypatch, None)
    assert PulumiTools.present(home) is None
    assert tried == ["_on_path", "_downloaded", "_built"]


def test_the_demo_keeps_state_plugins_and_passphrase_in_its_home(home: DemoHome) -> None:
    environment = PulumiTools(home.tools, "packages", home).environment()
    assert environment["PULUMI_BACKEND_URL"] == f"{home.state.as_uri()}?metadata=skip"
    assert environment["PULUMI_HOME"] == str(home.pulumi_home)
    passphrase = Path(environment["PULUMI_CONFIG_PASSPHRASE_FILE"])
    assert passphrase.read_text() == "compass-demo\n"
    assert passphrase.parent.stat().st_mode & 0o777 == 0o700
    ours, tools, *_ = environment["PATH"].split(os.pathsep)
    assert (Path(ours).parent, Path(tools)) == (Path(sys.prefix), home.tools)
    assert environment["PATH"].endswith(os.environ["PATH"])


def test_a_chosen_backend_keeps_its_state_its_plugins_and_its_passphrase(
    home: DemoHome, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PULUMI_BACKEND_URL", "file:///shared")
    environment = PulumiTools(home.tools, "path", home).environment()
    assert not {"PULUMI_BACKEND_URL", "PULUMI_CONFIG_PASSPHRASE_FILE"} & set(environment)
    assert environment["PULUMI_HOME"] == str(tmp_path / "user" / ".pulumi")
    assert not home.root.exists()


@pytest.mark.parametrize("backend", ["", "file:///shared"])
def test_a_chosen_pulumi_home_is_used_with_every_backend(
    home: DemoHome, monkeypatch: pytest.MonkeyPatch, backend: str
) -> None:
    monkeypatch.setenv("PULUMI_HOME", "/mine")
    monkeypatch.setenv("PULUMI_BACKEND_URL", backend)
    assert PulumiTools(home.tools, "path", home).environment()["PULUMI_HOME"] == "/mine"


def engine(path: Path, answer: str, *, code: int = 0) -> Path:
    """A ``pulumi`` that counts how often it was asked."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'#!/bin/sh\necho x >> "{path.parent}/asked"\necho "{answer}"\nexit {code}\n')
    path.chmod(0o755)
    return path


def times_asked(path: Path) -> int:
    asked = path.parent / "asked"
    return len(asked.read_text().splitlines()) if asked.exists() else 0


def test_an_engine_that_works_is_asked_once_and_again_when_it_changes(tmp_path: Path) -> None:
    pulumi = engine(tmp_path / "pulumi", f"v{versions.PULUMI}")
    assert [_works(pulumi), _works(pulumi)] == [True, True]
    assert times_asked(pulumi) == 1
    engine(pulumi, f"v{versions.PULUMI}-another-build")
    assert _works(pulumi)
    assert times_asked(pulumi) == 2


@pytest.mark.parametrize(("answer", "code"), [("v3.0.0", 0), ("nonsense", 0), ("", 0), (f"v{versions.PULUMI}", 1)])
def test_an_engine_that_does_not_work_is_asked_every_time(tmp_path: Path, answer: str, code: int) -> None:
    pulumi = engine(tmp_path / "pulumi", answer, code=code)
    assert [_works(pulumi), _works(pulumi)] == [False, False]
    assert times_asked(pulumi) == 2


def test_an_engine_that_is_not_there_or_not_a_program_does_not_work(tmp_path: Path) -> None:
    assert not _works(tmp_path / "pulumi")
    (tmp_path / "pulumi").write_text("no program")
    assert not _works(tmp_path / "pulumi")


@pytest.mark.parametrize(
    ("version", "host", "found"),
    [(versions.PULUMI, True, True), ("3.1.0", True, False), (versions.PULUMI, False, False)],
)
def test_the_pulumi_on_path_must_be_new_enough_and_have_its_language_host(
    home: DemoHome, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, version: str, host: bool, found: bool
) -> None:
    engine(tmp_path / "bin" / "pulumi", f"v{version}")
    if host:
        engine(tmp_path / "bin" / "pulumi-language-python", "")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    tools = _on_path(home)
    assert (tools.directory if tools else None) == (tmp_path / "bin" if found else None)


def test_a_built_engine_gets_the_language_host_of_this_checkout(home: DemoHome) -> None:
    ours = REPOSITORY / "toolchain" / "language-host" / "pulumi-language-python"
    directory = pulumi_tools._build_directory(home)
    engine(directory / "pulumi", f"v{versions.PULUMI}")
    (directory / ours.name).write_text("an older one")
    tools = _built(home)
    assert tools is not None
    assert (tools.directory / ours.name).read_bytes() == ours.read_bytes()
    assert os.access(tools.directory / ours.name, os.X_OK)


def test_a_download_that_fails_leaves_nothing_behind(home: DemoHome, monkeypatch: pytest.MonkeyPatch) -> None:
    half = home.tools / f"pulumi-{versions.PULUMI}" / "bin" / "pulumi"
    engine(half, f"v{versions.PULUMI}")
    monkeypatch.setattr(pulumi_tools, "_succeeds", always(False))
    assert _download(home, Silent()) is None
    assert not half.exists()


def test_building_elsewhere_than_on_linux_is_refused_with_what_to_do(
    home: DemoHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(ToolError, match="is not on PATH and cannot be downloaded from here; install it"):
        pulumi_tools._build(home, Silent())
