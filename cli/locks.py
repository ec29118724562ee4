"""Pulumi's own lock in a local backend, and whether the process that took it still lives."""

import json
import socket
from pathlib import Path
from typing import Any

import psutil

__all__ = ["dead_lock"]


def dead_lock(state: Path, stack: str) -> bool:
    """Whether the stack is locked by processes of this machine that have ended, and by nobody else."""
    locks = [path for path in (state / ".pulumi" / "locks").rglob("*.json") if path.parent.name == stack]
    return bool(locks) and not any(_held(path) for path in locks)


def _held(lock: Path) -> bool:
    try:
        document: dict[str, Any] = json.loads(lock.read_text(encoding="utf-8"))
        if document["hostname"] != socket.gethostname():
            return True
        process = psutil.Process(int(document["pid"]))
        return process.status() != psutil.STATUS_ZOMBIE and process.name().startswith("pulumi")
    except psutil.NoSuchProcess:
        return False
    except (OSError, ValueError, KeyError, psutil.AccessDenied):
        # Half-written by a process that is taking it right now, or another user's.
        return True
