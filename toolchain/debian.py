"""Debian packages that the demo may install on a Debian or Ubuntu machine as root."""

import os
import subprocess

from infra.errors import ToolError

__all__ = ["apt_get_install", "checked"]


def apt_get_install(*packages: str) -> None:
    """Install Debian packages.

    Raises:
        ToolError: with apt-get's last line.
    """
    checked(["apt-get", "update", "-qq"], "Reading Debian's package lists")
    command = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages]
    checked(command, f"Installing {' and '.join(packages)}")


def checked(command: list[str], what: str) -> None:
    """Run a system command.

    Raises:
        ToolError: with its last line.
    """
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    try:
        result = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    except OSError as error:
        raise ToolError(f"{what} failed: {error}.") from None
    if result.returncode != 0:
        last = (result.stderr or result.stdout).strip().splitlines()[-1:] or [f"exit code {result.returncode}"]
        raise ToolError(f"{what} failed ({' '.join(command[:2])}): {last[0]}")
