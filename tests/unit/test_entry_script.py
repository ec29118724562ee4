"""``./demo`` itself, which runs before anything is installed."""

import importlib.machinery
import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from stubs import always

from infra.paths import REPOSITORY

pytestmark = pytest.mark.processes


@pytest.fixture
def demo(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """The script as a module, with a checkout of its own."""
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    loader = importlib.machinery.SourceFileLoader("demo_script", str(REPOSITORY / "demo"))
    spec = importlib.util.spec_from_loader(loader.name, loader)
    assert spec is not None
    module: Any = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    monkeypatch.setattr(module, "ROOT", tmp_path)
    return module


def test_without_exec_ctrl_c_waits_for_the_command_line_which_got_it_too(
    demo: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers: list[type[KeyboardInterrupt] | int] = [KeyboardInterrupt, KeyboardInterrupt, 3]

    class Command:
        def wait(self) -> int:
            answer = answers.pop(0)
            if isinstance(answer, int):
                return answer
            raise answer

    monkeypatch.setattr(demo.subprocess, "Popen", always(Command()))
    assert demo.see_through(["python", "-m", "cli"], {}) == 3
    assert answers == []


@pytest.mark.skipif(os.name != "posix", reason="sends a signal as a terminal does")
def test_ctrl_c_while_the_environment_is_made_is_one_sentence(tmp_path: Path) -> None:
    script = tmp_path / "demo"
    text = (REPOSITORY / "demo").read_text()
    script.write_text(text.replace("def main() -> int:", "def main() -> int:\n    os.kill(os.getpid(), 2)"))
    ran = subprocess.run([sys.executable, str(script), "status"], capture_output=True, text=True, check=False)
    assert ran.returncode == 130
    assert ran.stderr.strip() == "demo: interrupted; the next run continues."


def ended() -> int:
    process = subprocess.Popen([sys.executable, "-S", "-c", ""])
    process.wait()
    return process.pid


@pytest.mark.skipif(os.name != "posix", reason="the script becomes the command line only where processes can")
def test_the_command_line_keeps_its_bytecode_whatever_the_environment_says(
    demo: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "requirements").mkdir()
    for name in ("demo", "dev"):
        (tmp_path / "requirements" / f"{name}.txt").write_text("a==1\n")
    (tmp_path / "stamp").write_text(demo.fingerprint(tmp_path / "requirements" / "demo.txt"))
    monkeypatch.setattr(demo, "PYTHON", Path(sys.executable))
    monkeypatch.setattr(demo, "STAMP", tmp_path / "stamp")
    monkeypatch.setattr(sys, "argv", ["demo", "status"])
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    started: list[tuple[list[str], dict[str, str]]] = []

    def become(_: str, command: list[str], environment: dict[str, str]) -> None:
        started.append((command, environment))
        raise SystemExit

    monkeypatch.setattr(os, "execve", become)
    with pytest.raises(SystemExit):
        demo.main()
    ((command, environment),) = started
    assert command == [sys.executable, "-m", "cli", "status"]
    assert environment["PYTHONPATH"] == str(tmp_path)
    assert "PYTHONDONTWRITEBYTECODE" not in environment


def test_the_fingerprint_changes_with_the_file_and_only_with_it(demo: Any, tmp_path: Path) -> None:
    requirements = tmp_path / "demo.txt"
    requirements.write_text("a==1\n")
    before = demo.fingerprint(requirements)
    requirements.touch()
    assert demo.fingerprint(requirements) == before
    requirements.write_text("a==2\n")
    assert demo.fingerprint(requirements) != before


def test_the_fingerprint_changes_with_the_interpreter(
    demo: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    requirements = tmp_path / "demo.txt"
    requirements.write_text("a==1\n")
    before = demo.fingerprint(requirements)
    monkeypatch.setattr(sys, "version", "3.99")
    assert demo.fingerprint(requirements) != before


def test_an_action_has_the_lock_while_it_runs_and_nobody_afterwards(demo: Any, tmp_path: Path) -> None:
    lock = tmp_path / ".venv.lock"
    owners: list[str] = []
    assert demo.exclusively(lambda: owners.append(lock.read_text()) or "its problem") == "its problem"
    assert owners == [str(os.getpid())]
    assert not lock.exists()


def test_an_action_that_raises_gives_the_lock_back(demo: Any, tmp_path: Path) -> None:
    def fail() -> str:
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        demo.exclusively(fail)
    assert not (tmp_path / ".venv.lock").exists()


def test_a_second_demo_is_refused_while_the_first_one_lives(demo: Any, tmp_path: Path) -> None:
    lock = tmp_path / ".venv.lock"
    lock.write_text(f"{os.getppid()}\n")
    told = demo.exclusively(lambda: pytest.fail("it runs twice"))
    assert told.startswith(f"another demo (process {os.getppid()}) is making the virtual environment; try again")
    assert lock.exists(), "the first one's lock is gone"


@pytest.mark.parametrize("owner", [None, "", "nonsense", "-1"])
def test_a_dead_lock_is_taken_over(demo: Any, tmp_path: Path, owner: str | None) -> None:
    lock = tmp_path / ".venv.lock"
    lock.write_text(str(ended()) if owner is None else owner)
    ran: list[bool] = []
    assert demo.exclusively(lambda: ran.append(True) or "") == ""
    assert (ran, lock.exists()) == ([True], False)


def test_a_command_that_works_is_no_problem(demo: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert demo.follow("installing", ["/bin/sh", "-c", "echo noise"]) == ""
    assert capsys.readouterr().err == "installing ...\n"


def test_a_command_that_fails_shows_its_last_lines_of_both_outputs(demo: Any) -> None:
    script = "for i in 1 2 3 4 5 6 7 8 9; do echo line $i; done; echo; echo 'no space left' >&2; exit 7"
    first, *lines, last = demo.follow("installing", ["/bin/sh", "-c", script]).splitlines()
    assert first == "installing failed (exit code 7); its last lines:"
    assert lines == [*(f"    line {number}" for number in range(3, 10)), "    no space left"]
    assert last == "Mend the cause and run it again."


def test_a_command_that_is_not_there_is_a_sentence(demo: Any) -> None:
    told = demo.follow("installing", ["/nowhere/pip"])
    assert told.startswith("installing failed: ")
    assert "/nowhere/pip" in told


def test_an_older_python_gets_a_sentence_and_makes_nothing(
    demo: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 10, 4))
    assert demo.main() == 1
    assert capsys.readouterr().err == "demo: Python 3.10 runs this; 3.11 or newer is needed.\n"
    assert list(tmp_path.iterdir()) == []


def test_the_oldest_python_is_the_one_that_the_project_names(demo: Any) -> None:
    text = (REPOSITORY / "pyproject.toml").read_text(encoding="utf-8")
    assert f'requires-python = ">={".".join(map(str, demo.MINIMUM))}"' in text


def test_an_environment_whose_creation_was_interrupted_is_not_complete(
    demo: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = tmp_path / "python"
    monkeypatch.setattr(demo, "PYTHON", python)
    assert not demo.complete()
    python.symlink_to(sys.executable)
    assert demo.complete()
    python.unlink()
    # An environment without pip, as it is between the first and the second step of its creation.
    python.write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
    python.chmod(0o755)
    assert not demo.complete()
