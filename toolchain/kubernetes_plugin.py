"""Pulumi's Kubernetes plugin: the real one where it can be downloaded, else the provider of this checkout.

Pulumi's plugin cannot be built from package registries. Ours has a version of its own, so that a resource's provider
names one of them, the engine finds exactly that one, and the state records which it was.
"""

import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Final

from infra.errors import ToolError
from infra.paths import REPOSITORY
from kubernetes_provider.version import VERSION
from toolchain.progress import Progress
from toolchain.pulumi_tools import PulumiTools

__all__ = [
    "BUILTIN_VERSION",
    "OFFICIAL_VERSION",
    "chosen_version",
    "ensure",
    "install_builtin",
    "is_builtin",
    "is_installed",
]

OFFICIAL_VERSION: Final = "4.34.2"
"""Pulumi's own plugin; equal to pulumi-kubernetes in pyproject.toml."""

BUILTIN_VERSION: Final = VERSION
"""The provider of this checkout, ``kubernetes_provider/``."""

_MARK: Final = "-compass."
_EXECUTABLE: Final = "pulumi-resource-kubernetes"
_DOWNLOAD_SECONDS: Final = 300


def ensure(tools: PulumiTools, progress: Progress) -> None:
    """See to it that this PULUMI_HOME has one of the two.

    Raises:
        ToolError: neither can be had: the real one not downloaded, and no launcher of ours on this system.
    """
    home = tools.pulumi_home
    if is_installed(home, OFFICIAL_VERSION):
        return
    if tools.origin != "packages" and not is_installed(home, BUILTIN_VERSION):
        with progress.step(f"download Pulumi's Kubernetes plugin {OFFICIAL_VERSION}") as step:
            if _download(tools) and is_installed(home, OFFICIAL_VERSION):
                return
            step.update("not reachable from here, using the demo's own")
    if os.name == "nt":
        raise ToolError(
            f"Pulumi's Kubernetes plugin {OFFICIAL_VERSION} cannot be downloaded from here, and the demo's own runs on "
            "Linux and macOS alone; install it by your usual way and try again."
        )
    install_builtin(home)


def chosen_version(pulumi_home: Path) -> str:
    """The version that the provider resource names: the real plugin's where it is installed, else ours."""
    return OFFICIAL_VERSION if is_installed(pulumi_home, OFFICIAL_VERSION) else BUILTIN_VERSION


def is_builtin(version: str) -> bool:
    """Whether a version is one of our provider's, of this checkout or of an older one."""
    return _MARK in version


def is_installed(pulumi_home: Path, version: str) -> bool:
    """Whether this PULUMI_HOME has the plugin of this version."""
    return _executable(pulumi_home, version).exists()


def install_builtin(pulumi_home: Path, version: str = BUILTIN_VERSION) -> Path:
    """Write the launcher of our provider, anew if the interpreter or the checkout has moved; returns its path.

    Args:
        pulumi_home: Where the engine looks for plugins.
        version: As what it is installed: the engine looks for the one that a state names.
    """
    target = _executable(pulumi_home, version)
    launcher = _launcher()
    if target.exists() and target.read_text(encoding="utf-8") == launcher:
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f"{target.name}.{os.getpid()}")
    temporary.write_text(launcher, encoding="utf-8")
    temporary.chmod(stat.S_IRWXU | stat.S_IRGRP | stat.S_IXGRP | stat.S_IROTH | stat.S_IXOTH)
    temporary.replace(target)
    return target


def _launcher() -> str:
    """A script that becomes the interpreter: the engine's signals then reach the provider itself.

    Not a Python script, whose first line may neither be long nor have a space in the interpreter's path. ``-P`` keeps
    the program's folder, which the engine starts plugins in, from being imported from.
    """
    start = (
        f"import runpy, sys; sys.path.insert(0, {str(REPOSITORY)!r}); "
        "runpy.run_module('kubernetes_provider', run_name='__main__')"
    )
    return f'#!/bin/sh\nexec {_quoted(sys.executable)} -P -c {_quoted(start)} "$@"\n'


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def _executable(pulumi_home: Path, version: str) -> Path:
    name = _EXECUTABLE + (".exe" if os.name == "nt" else "")
    return pulumi_home / "plugins" / f"resource-kubernetes-v{version}" / name


def _download(tools: PulumiTools) -> bool:
    command = [str(tools.executable), "plugin", "install", "resource", "kubernetes", f"v{OFFICIAL_VERSION}"]
    try:
        subprocess.run(
            command,
            capture_output=True,
            timeout=_DOWNLOAD_SECONDS,
            check=True,
            env={**os.environ, **tools.environment()},
        )
    except (OSError, subprocess.SubprocessError):
        return False
    return True
