"""The cluster's long-running processes: started so that they outlive the command, found again, stopped."""

import hashlib
import json
import os
import signal
import subprocess
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from cluster.layout import Layout
from cluster.machine import boot
from infra.errors import DemoError

__all__ = ["Part", "Running", "find", "last_lines", "start", "stop", "wait_ready"]

_POLL_SECONDS: Final = 0.05
_STOP_SECONDS: Final = 10
_KILL_SECONDS: Final = 10
_LAST_LINES: Final = 5
_PROXY_SETTINGS: Final = frozenset({"http_proxy", "https_proxy", "all_proxy", "no_proxy"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """One process of the cluster."""

    name: str
    command: tuple[str, ...]
    ready: Callable[[], str]
    """Why it does not serve yet; an empty string when it does."""
    configuration: str = ""
    """What it reads when it starts; a part whose command or configuration has changed is started again."""
    seconds: float = 60
    """How long it may take to serve."""
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    keeps_proxy: bool = False
    """Whether it reaches out of this machine, so that the machine's proxy settings are meant for it."""

    @property
    def fingerprint(self) -> str:
        """Digest of what it is started with."""
        text = "\0".join((*self.command, *map(str, sorted(self.environment.items())), self.configuration))
        return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Running:
    """A process that was found alive."""

    pid: int
    fingerprint: str

    @property
    def memory_mib(self) -> float:
        """Resident memory; the parts share their program's pages, so a sum of these counts some pages twice."""
        try:
            pages = int(Path(f"/proc/{self.pid}/statm").read_text(encoding="ascii").split()[1])
        except OSError:
            return 0.0
        return round(pages * os.sysconf("SC_PAGE_SIZE") / 2**20, 1)


def find(layout: Layout, name: str) -> Running | None:
    """The process of a part, if it is alive and really that process."""
    try:
        record: dict[str, Any] = json.loads(_record(layout, name).read_text(encoding="utf-8"))
        pid, started = int(record["pid"]), str(record["started"])
    except (OSError, ValueError, KeyError):
        return None
    return Running(pid, str(record.get("fingerprint"))) if _started(pid) == started else None


def start(layout: Layout, part: Part) -> Running:
    """Start a part in a session of its own, so that it outlives this process.

    Raises:
        DemoError: its program cannot be started.
    """
    layout.logs.mkdir(parents=True, exist_ok=True)
    environment = {
        name: value for name, value in os.environ.items() if part.keeps_proxy or name.lower() not in _PROXY_SETTINGS
    }
    with layout.log(part.name).open("ab") as output:
        try:
            process = subprocess.Popen(
                part.command,
                cwd=layout.root,
                env={**environment, **part.environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        except OSError as error:
            raise DemoError(f"{part.name} cannot be started ({part.command[0]}): {error.strerror}.") from None
    record = {"pid": process.pid, "started": _started(process.pid), "fingerprint": part.fingerprint}
    _record(layout, part.name).write_text(json.dumps(record), encoding="utf-8")
    # Nobody waits for it here. When it ends before this process does it is a zombie, which counts as gone.
    process.returncode = 0
    return Running(process.pid, part.fingerprint)


def stop(layout: Layout, name: str, *, grace_seconds: float = _STOP_SECONDS) -> None:
    """End a part if it runs: asked first (unless the grace is 0), then killed.

    Raises:
        DemoError: not even that ended it.
    """
    running = find(layout, name)
    if running is not None:
        os.kill(running.pid, signal.SIGTERM if grace_seconds else signal.SIGKILL)
        if not _wait_gone(layout, name, grace_seconds or _KILL_SECONDS):
            os.kill(running.pid, signal.SIGKILL)
            if not _wait_gone(layout, name, _KILL_SECONDS):
                raise DemoError(f"{name} (process {running.pid}) does not end, not even when killed.")
    _record(layout, name).unlink(missing_ok=True)


def wait_ready(layout: Layout, part: Part, say: Callable[[str], None], *, seconds: float | None = None) -> None:
    """Return when the part serves.

    Raises:
        DemoError: it ended, or does not serve in time; with its last lines.
    """
    deadline = time.monotonic() + (part.seconds if seconds is None else seconds)
    while reason := part.ready():
        say(reason)
        if find(layout, part.name) is None:
            raise DemoError(_failure(layout, part, "ended"))
        if time.monotonic() > deadline:
            raise DemoError(_failure(layout, part, f"does not serve in time ({reason})"))
        time.sleep(_POLL_SECONDS)


def last_lines(path: Path, count: int = _LAST_LINES) -> list[str]:
    """The end of a log; nothing if there is none."""
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return [line.rstrip()[:400] for line in deque(file, count)]
    except OSError:
        return []


def _failure(layout: Layout, part: Part, what: str) -> str:
    lines = "\n".join(f"    {line}" for line in last_lines(layout.log(part.name)))
    return (
        f"The cluster's {part.name} {what}; the last lines of {layout.log(part.name)}:\n{lines}\n"
        "Mend the cause and run ./demo cluster up again."
    )


def _wait_gone(layout: Layout, name: str, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while find(layout, name) is not None:
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_SECONDS)
    return True


def _record(layout: Layout, name: str) -> Path:
    layout.run.mkdir(mode=0o700, parents=True, exist_ok=True)
    return layout.run / f"{name}.json"


def _started(pid: int) -> str:
    """What tells a process from any other with its number: boot and start time; empty if there is none."""
    try:
        # The name in parentheses may hold spaces; the state follows it, and the start time is 19 fields later.
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in {"Z", "X"} else f"{boot()} {fields[19]}"
