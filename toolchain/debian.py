"""Debian packages that the demo may install on a Debian or Ubuntu machine as root."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from infra.errors import ToolError

__all__ = ["apt_get_install", "checked", "unpack"]


def apt_get_install(*packages: str) -> None:
    """Install Debian packages.

    Raises:
        ToolError: with apt-get's last line.
    """
    checked(["apt-get", "update", "-qq"], "Reading Debian's package lists")
    command = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages]
    checked(command, f"Installing {' and '.join(packages)}")


def unpack(target: Path, *packages: str) -> None:
    """Put the files of Debian packages into a folder; nothing is installed, so that no service is started or added.

    Raises:
        ToolError: with the last line of what failed.
    """
    what = f"Unpacking {' and '.join(packages)}"
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        raise ToolError(f"{what} needs apt-get and dpkg-deb, as Debian and Ubuntu have them.")
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="unpack-", dir=target.parent) as directory:
        checked(["apt-get", "update", "-qq"], "Reading Debian's package lists")
        checked(["apt-get", "download", "-qq", *packages], f"Downloading {' and '.join(packages)}", cwd=directory)
        root = Path(directory) / "root"
        for archive in sorted(Path(directory).glob("*.deb")):
            checked(["dpkg-deb", "-x", str(archive), str(root)], what)
        shutil.rmtree(target, ignore_errors=True)
        root.replace(target)


def checked(command: list[str], what: str, *, cwd: str | None = None) -> None:
    """Run a system command.

    Raises:
        ToolError: with its last line.
    """
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    try:
        result = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=cwd, check=False)
    except OSError as error:
        raise ToolError(f"{what} failed: {error}.") from None
    if result.returncode != 0:
        last = (result.stderr or result.stdout).strip().splitlines()[-1:] or [f"exit code {result.returncode}"]
        raise ToolError(f"{what} failed ({' '.join(command[:2])}): {last[0]}")
