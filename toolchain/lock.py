"""``python -m toolchain.lock``: write requirements/*.txt from pyproject.toml, with hashes, for every platform.

One resolution decides: the development lock holds every group, and the others are constrained to its versions.
"""

import subprocess
import tomllib
from pathlib import Path

from infra.paths import REPOSITORY

_OPTIONS = [
    "--universal",
    "--python-version=3.11",
    "--generate-hashes",
    "--no-header",
    "--no-emit-index-url",
    "--no-emit-find-links",
    "--quiet",
]


def main() -> None:
    """Lock every group; needs ``uv`` on PATH (a PyPI package)."""
    folder = REPOSITORY / "requirements"
    folder.mkdir(exist_ok=True)
    groups = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["dependency-groups"]
    everything = folder / "dev.txt"
    _compile(everything, ["pyproject.toml", "--group=dev"])
    _compile(folder / "demo.txt", ["pyproject.toml", f"--constraints={everything}"])
    for group in sorted(set(groups) - {"dev"}):
        _compile(folder / f"{group}.txt", [f"--group={group}", f"--constraints={everything}"])


def _compile(output: Path, arguments: list[str]) -> None:
    command = ["uv", "pip", "compile", *_OPTIONS, *arguments, f"--output-file={output}"]
    subprocess.run(command, cwd=REPOSITORY, check=True)
    print(output.relative_to(REPOSITORY))


if __name__ == "__main__":
    main()
