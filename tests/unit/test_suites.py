"""Which stages of a suite run, and what is said of those that do not."""

from pathlib import Path

import pytest
from fake_display import FakeDisplay

from cli import testing
from cli.testing import LENGTH, Stage, run_tests
from infra.errors import DemoError
from infra.paths import DemoHome


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the stages that were run, of a suite of two."""
    names: list[str] = []
    suite = (Stage("quick", ()), Stage("slow", (), long=True))
    monkeypatch.setattr(testing, "SUITES", {"kubernetes": suite})

    def run(stage: Stage, *_: object) -> None:
        names.append(stage.name)

    monkeypatch.setattr(testing, "_run", run)
    monkeypatch.delenv(LENGTH, raising=False)
    return names


@pytest.mark.parametrize("length", [None, "", "whole"])
def test_the_whole_suite_runs_unless_a_short_one_is_wanted(
    ran: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, length: str | None
) -> None:
    if length is not None:
        monkeypatch.setenv(LENGTH, length)
    run_tests(("kubernetes",), DemoHome(tmp_path), FakeDisplay())
    assert ran == ["quick", "slow"]


def test_a_short_run_says_what_it_leaves_out(ran: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(LENGTH, "short")
    display = FakeDisplay()
    run_tests(("kubernetes",), DemoHome(tmp_path), display)
    assert ran == ["quick"]
    assert display.said == ["== slow: skipped, COMPASS_TEST_KUBERNETES=short leaves it out"]


def test_a_length_that_is_none_is_refused(ran: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(LENGTH, "shrot")
    with pytest.raises(DemoError, match="COMPASS_TEST_KUBERNETES is 'shrot'; it can be whole or short"):
        run_tests(("kubernetes",), DemoHome(tmp_path), FakeDisplay())
    assert ran == []
