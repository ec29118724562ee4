"""Changing constants of a module that a program is built with."""

from pathlib import Path

import pytest

from infra.errors import ToolError
from toolchain.patches import PATCH_FILE, apply_patch

MODULE = "example.com/store"


class Checkout:
    """A program that pins a module, the module in a read-only cache, and a ``go`` that knows both."""

    def __init__(self, root: Path) -> None:
        self.program = root / "program"
        self.source = root / "cache" / "store@v1"
        self.work = root / "work with a space"
        self.go = root / "go"
        for folder in (self.program, self.source / "deep", self.work):
            folder.mkdir(parents=True)
        (self.program / "go.mod").write_text(f"module demo\n\nrequire {MODULE} v1.0.0\n")
        (self.program / "go.sum").write_text("sums\n")
        (self.source / "options.go").write_text("const memory = 64 << 20\nconst tables = 5\n")
        (self.source / "deep" / "other.go").write_text("package deep\n")
        (self.source / "options.go").chmod(0o444)
        self.answer(f'echo "$@" >> "{root}/calls"; [ "$1" = mod ] || echo "{self.source}"')
        self.calls = root / "calls"

    def answer(self, script: str) -> None:
        self.go.write_text(f"#!/bin/sh\n{script}\n")
        self.go.chmod(0o755)

    def patch(self, *replacements: str) -> None:
        lines = [f'module = "{MODULE}"', 'file = "options.go"', "[replace]", *replacements]
        (self.program / PATCH_FILE).write_text("\n".join(lines))

    def apply(self) -> list[str]:
        return apply_patch(self.go, self.program, {"PATH": "/usr/bin:/bin"}, self.work)


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


def test_a_program_without_a_patch_is_built_as_it_is(checkout: Checkout) -> None:
    assert checkout.apply() == []
    assert not checkout.calls.exists()


def test_the_build_uses_a_changed_copy_and_the_cache_stays_as_it_was(checkout: Checkout) -> None:
    checkout.patch('"memory = 64 << 20" = "memory = 2 << 20"', '"tables = 5" = "tables = 2"')
    assert checkout.apply() == [f"-modfile={checkout.work / 'go.mod'}"]
    copy = checkout.work / "module"
    assert (copy / "options.go").read_text() == "const memory = 2 << 20\nconst tables = 2\n"
    assert (copy / "options.go").stat().st_mode & 0o200, "only root could change it"
    assert (copy / "deep" / "other.go").read_text() == "package deep\n"
    assert (checkout.source / "options.go").read_text() == "const memory = 64 << 20\nconst tables = 5\n"
    assert checkout.calls.read_text().splitlines()[:2] == [
        f"mod download {MODULE}",
        f"list -m -f {{{{.Dir}}}} {MODULE}",
    ]


def test_the_copy_replaces_the_module_in_a_module_file_beside_it(checkout: Checkout) -> None:
    checkout.patch('"tables = 5" = "tables = 2"')
    checkout.apply()
    # `go mod edit` also replaces what the program's own module file has replaced already.
    edit = f"mod edit -replace={MODULE}={checkout.work / 'module'} {checkout.work / 'go.mod'}"
    assert checkout.calls.read_text().splitlines()[-1] == edit
    assert (checkout.work / "go.mod").read_text() == (checkout.program / "go.mod").read_text()
    assert (checkout.work / "go.sum").read_text() == "sums\n"


@pytest.mark.parametrize(("pattern", "times"), [("tables = 6", 0), ("const ", 2)])
def test_a_pattern_that_does_not_stand_there_once_is_refused(checkout: Checkout, pattern: str, times: int) -> None:
    checkout.patch('"memory = 64 << 20" = "memory = 2 << 20"', f'"{pattern}" = "x"')
    with pytest.raises(ToolError, match=f"'{pattern}' stands {times} times in options.go of the pinned module"):
        checkout.apply()
    assert "memory = 64" in (checkout.work / "module" / "options.go").read_text(), "half of the patch was written"


def test_a_module_that_cannot_be_fetched_is_told_in_gos_words(checkout: Checkout) -> None:
    checkout.patch('"tables = 5" = "tables = 2"')
    checkout.answer('echo "no such module" >&2; exit 1')
    with pytest.raises(ToolError, match=rf"^go mod download {MODULE} failed: no such module$"):
        checkout.apply()
