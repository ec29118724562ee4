"""A Docker engine on this machine, installed where that is ours to do."""

import sys

from rich.prompt import Confirm

from cli.progress import Display
from infra.errors import EngineError
from infra.paths import DemoHome
from toolchain.engine import Engine
from toolchain.engine_setup import can_install, install

__all__ = ["ensure_engine"]


def ensure_engine(home: DemoHome, display: Display, configured: str = "") -> None:
    """Make sure that a Docker engine answers, installing Debian's where that is ours to do.

    Args:
        home: The demo's directory.
        display: Shows the installation.
        configured: The stack's ``dockerHost``; an engine that somebody chose is not replaced by another.

    Raises:
        EngineError: there is none and none can be installed here.
    """
    try:
        Engine.connect(configured)
    except EngineError:
        if configured or not can_install():
            raise
        if sys.stdin.isatty() and not Confirm.ask("No Docker engine answers. Install and start Debian's docker.io?"):
            raise
        display.say("No Docker engine answers; installing and starting Debian's docker.io.")
        with display.running():
            install(home, display)
