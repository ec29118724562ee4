"""Changing constants of a module that a Go program is built with, where the program offers no setting for them."""

import shutil
import subprocess
import tomllib
from collections.abc import Mapping
from pathlib import Path

from infra.errors import ToolError

__all__ = ["PATCH_FILE", "apply_patch"]

PATCH_FILE = "patch.toml"
"""In a program's module folder: ``module``, ``file`` and a table ``replace`` of text that stands there exactly once."""


def apply_patch(go: Path, module_folder: Path, environment: Mapping[str, str], work: Path) -> list[str]:
    """Copy the module beside the build, change it, and return the ``go`` arguments that use the copy.

    Raises:
        ToolError: the text to replace is not there exactly once; the module is another version than the patch is for.
    """
    path = module_folder / PATCH_FILE
    if not path.exists():
        return []
    patch = tomllib.loads(path.read_text(encoding="utf-8"))
    _go(go, ["mod", "download", patch["module"]], module_folder, environment)
    source = _go(go, ["list", "-m", "-f", "{{.Dir}}", patch["module"]], module_folder, environment)
    copy = work / "module"
    shutil.copytree(source, copy, copy_function=shutil.copyfile)
    _replace(copy / patch["file"], patch["replace"], path)
    for name in ("go.mod", "go.sum"):
        shutil.copyfile(module_folder / name, work / name)
    _go(go, ["mod", "edit", f"-replace={patch['module']}={copy}", str(work / "go.mod")], module_folder, environment)
    return [f"-modfile={work / 'go.mod'}"]


def _replace(target: Path, replacements: Mapping[str, str], patch: Path) -> None:
    text = target.read_text(encoding="utf-8")
    for old, new in replacements.items():
        if text.count(old) != 1:
            raise ToolError(
                f"{patch}: {old!r} stands {text.count(old)} times in {target.name} of the pinned module, not once."
            )
        text = text.replace(old, new)
    target.write_text(text, encoding="utf-8")


def _go(go: Path, arguments: list[str], folder: Path, environment: Mapping[str, str]) -> str:
    result = subprocess.run(
        [str(go), *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    if result.returncode != 0:
        raise ToolError(f"go {' '.join(arguments)} failed: {result.stderr.strip()}")
    return result.stdout.strip()
