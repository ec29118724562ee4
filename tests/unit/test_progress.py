"""What long work shows: plain lines where nobody watches, a live list on a terminal."""

# pyright: reportPrivateUsage=false

import io
import re
import sys
import time

import pytest
from rich.console import Console

from cli import progress
from cli.progress import _Lines, _Terminal, make_display


def lines() -> tuple[_Lines, io.StringIO]:
    output = io.StringIO()
    return _Lines(Console(file=output, width=40)), output


def terminal(height: int = 30) -> tuple[_Terminal, io.StringIO]:
    output = io.StringIO()
    console = Console(file=output, force_terminal=True, width=100, height=height, _environ={"TERM": "xterm"})
    return _Terminal(console), output


def test_a_step_has_a_line_when_it_starts_and_one_with_its_seconds_and_what_is_left() -> None:
    display, output = lines()
    display.plan(["build", "start", "check"])
    with display.step("build"):
        assert re.fullmatch(r"\[ +\d+\.\d s\] build \.\.\.\n", output.getvalue())
    assert re.fullmatch(r"\[ +\d+\.\d s\] build done in \d+\.\d s, 2 left", output.getvalue().splitlines()[1])


def test_a_planned_step_counts_once_however_often_it_is_planned() -> None:
    display, output = lines()
    display.plan(["build", "start"])
    display.plan(["build", "start"])
    with display.step("build"), display.step("start"):
        pass
    assert output.getvalue().splitlines()[-1].endswith("0 left")


def test_a_planned_step_that_is_dropped_is_not_left() -> None:
    display, output = lines()
    display.plan(["build", "start", "check"])
    with display.step("build"):
        display.drop("start")
        display.drop("build")
    assert output.getvalue().splitlines()[-1].endswith("1 left")


def test_a_step_that_nobody_planned_counts_while_it_runs() -> None:
    display, output = lines()
    with display.step("surprise"), display.step("other"):
        pass
    assert [line.rpartition(", ")[2] for line in output.getvalue().splitlines()[2:]] == ["1 left", "0 left"]


def test_a_failing_step_says_so_and_its_error_goes_on() -> None:
    display, output = lines()
    with pytest.raises(ValueError, match="broken"), display.step("build"):
        raise ValueError("broken")
    assert re.search(r"build FAILED after \d+\.\d s\n$", output.getvalue())
    assert "done" not in output.getvalue()


def test_a_long_step_is_still_at_it_with_its_last_detail(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_HEARTBEAT_SECONDS", 0.01)
    display, output = lines()

    def wait_for(text: str) -> bool:
        deadline = time.monotonic() + 2
        while text not in output.getvalue() and time.monotonic() < deadline:
            time.sleep(0.005)
        return text in output.getvalue()

    with display.running(), display.step("build") as step:
        assert wait_for("build: still at it (0 s)")
        step.update("3/10 packages", done=3, total=10)
        assert wait_for("build: 3/10 packages (0 s)")
    length = len(output.getvalue())
    time.sleep(0.03)
    assert len(output.getvalue()) == length, "the heartbeat goes on after the end"


def test_a_line_is_printed_as_it_is_however_long_and_whatever_brackets_it_has() -> None:
    display, output = lines()
    sentence = "cannot open [/dev/sda] or [red]: " + "x" * 100
    display.say(sentence)
    with display.step("read [/etc]"):
        pass
    assert output.getvalue().splitlines()[0] == sentence
    assert "read [/etc] ..." in output.getvalue()


def test_the_terminal_draws_what_runs_what_is_done_and_what_is_left() -> None:
    display, output = terminal()
    display.plan(["fetch", "build", "start"])
    with display.running():
        with display.step("fetch") as step:
            step.update("a [/strange] detail")
        with display.step("build") as step:
            step.update("3/10 packages", done=3, total=10)
            display.say("a sentence with [/brackets]")
            drawn = Console(file=io.StringIO(), width=100)
            drawn.print(display._draw())
    assert "a sentence with [/brackets]" in output.getvalue()
    assert isinstance(drawn.file, io.StringIO)
    rows = drawn.file.getvalue()
    assert re.search(r"✓ +\d+\.\d s fetch", rows)
    assert re.search(r"\d+\.\d s build .*3/10 packages", rows)
    assert re.search(r"· +start", rows)
    assert "2 of 3 left" in rows


def test_the_terminal_marks_a_failing_step_and_its_error_goes_on() -> None:
    display, output = terminal()
    with pytest.raises(ValueError, match="broken"), display.running(), display.step("build"):
        raise ValueError("broken")
    assert "✗" in output.getvalue()


def test_the_terminal_keeps_what_runs_in_sight_when_the_list_is_longer_than_the_screen() -> None:
    display, _ = terminal(height=10)
    display.plan(f"step {number}" for number in range(50))
    drawn = io.StringIO()
    with display.step("step 40"):
        Console(file=drawn, width=100).print(display._draw())
    assert "step 40" in drawn.getvalue()
    assert len(drawn.getvalue().splitlines()) <= 10


class Stderr(io.StringIO):
    def __init__(self, *, terminal: bool) -> None:
        super().__init__()
        self.terminal = terminal

    def isatty(self) -> bool:
        return self.terminal


@pytest.mark.parametrize(
    ("is_terminal", "term", "display"),
    [(True, "xterm", _Terminal), (True, "dumb", _Lines), (False, "xterm", _Lines)],
)
def test_the_live_list_is_for_a_terminal_that_can_draw(
    monkeypatch: pytest.MonkeyPatch, is_terminal: bool, term: str, display: type
) -> None:
    monkeypatch.setattr(sys, "stderr", Stderr(terminal=is_terminal))
    monkeypatch.setenv("TERM", term)
    assert type(make_display()) is display
