"""Installing and starting Debian's Docker engine, on machines where that is ours to do."""

import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from infra.errors import EngineError
from infra.paths import DemoHome
from toolchain.debian import apt_get_install, checked
from toolchain.engine import Engine
from toolchain.engine_address import EngineAddress
from toolchain.progress import Progress

__all__ = ["can_install", "install"]

_START_SECONDS: Final = 60
_PACKAGES: Final = ("docker.io", "iptables")


def can_install() -> bool:
    """Whether this is Debian or Ubuntu, as root, with no engine chosen elsewhere."""
    return (
        os.name == "posix"
        and os.geteuid() == 0
        and shutil.which("apt-get") is not None
        and EngineAddress.resolve().host == "unix:///var/run/docker.sock"
    )


def install(home: DemoHome, progress: Progress) -> None:
    """Install Debian's engine if it is missing and start it.

    Raises:
        EngineError: with the last lines of what failed.
    """
    if shutil.which("dockerd") is None:
        with progress.step(f"install {' and '.join(_PACKAGES)} with apt-get"):
            apt_get_install(*_PACKAGES)
    with progress.step("start the Docker engine") as step:
        if Path("/run/systemd/system").exists():
            checked(["systemctl", "start", "docker"], "Starting the Docker engine")
            return
        log = home.make_private().root / "dockerd.log"
        with log.open("ab") as output:
            process = subprocess.Popen(
                ["dockerd"], stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
            )
        _wait_for_engine(process.poll, log, step.update)


def _wait_for_engine(exit_code: Callable[[], int | None], log: Path, say: Callable[[str], None]) -> None:
    started = time.monotonic()
    while time.monotonic() - started < _START_SECONDS:
        try:
            Engine.connect(timeout_seconds=5)
        except EngineError:
            say("waiting for it to answer")
        else:
            return
        if exit_code() is not None:
            break
        time.sleep(0.1)
    lines = "\n".join(f"    {line}" for line in log.read_text(errors="replace").splitlines()[-5:])
    raise EngineError(f"The Docker engine did not start; the last lines of {log}:\n{lines}")
