"""``demo env``: the stack outputs as the ``.env`` file that COMPASS reads."""

import json
import os
from pathlib import Path
from typing import Any

from cli.session import Session
from infra.errors import DemoError
from infra.outputs import INSIDE, NETWORK
from infra.topology.settings import compass_settings

__all__ = ["connection_settings", "renew_env_files", "write_env_file", "written_files"]

_RECORD = "env-files.json"
_HEADER = "# Connection settings of the COMPASS demo"


def connection_settings(session: Session, *, inside: bool) -> tuple[dict[str, str], str]:
    """Setting -> value, and the network that a container joins to use the inside ones.

    Raises:
        DemoError: the stack was never brought up to its end, so it has no settings yet.
    """
    outputs: dict[str, Any] = session.pulumi.outputs()
    try:
        source: dict[str, Any] = outputs[INSIDE] if inside else outputs
        return {setting.name: str(source[setting.name]) for setting in compass_settings()}, str(outputs[NETWORK])
    except KeyError:
        raise DemoError(f"The stack {session.stack} is not complete; run ./demo up {session.stack} first.") from None


def write_env_file(session: Session, path: Path, *, inside: bool) -> dict[str, str]:
    """Write the file with mode 0600; ``destroy`` deletes it again.

    Raises:
        DemoError: the file exists and is somebody else's, or it cannot be written.
    """
    if path.exists() and not _first_line(path).startswith(_HEADER):
        raise DemoError(f"{path} exists and is not the demo's; name another file with --file.")
    settings, network = connection_settings(session, inside=inside)
    lines = [f"{_HEADER}, stack {session.stack}. Made by ./demo env; it holds a token."]
    if inside:
        lines.append(f"# {session.platform.how_to_join(network, path.name)}")
    lines += [f"{name}={value}" for name, value in settings.items()]
    try:
        _write_private(path, "\n".join(lines) + "\n")
    except OSError as error:
        raise DemoError(f"{path} cannot be written: {error.strerror}.") from None
    record = session.home.stack(session.stack) / _RECORD
    known = [str(p) for p in written_files(record.parent)]
    record.write_text(json.dumps(sorted({*known, str(path.absolute())})), encoding="utf-8")
    return settings


def renew_env_files(session: Session) -> list[Path]:
    """Write the stack's files again, after an ``up`` that may have moved a port or made another token.

    Raises:
        DemoError: one of them cannot be written.
    """
    renewed = written_files(session.home.stack(session.stack))
    for path in renewed:
        write_env_file(session, path, inside=_is_for_inside(path))
    return renewed


def written_files(directory: Path) -> list[Path]:
    """The files that were written for a stack and are its own still."""
    try:
        paths = [Path(name) for name in json.loads((directory / _RECORD).read_text(encoding="utf-8"))]
    except (FileNotFoundError, ValueError):
        return []
    # Another stack's settings, or a person's own, may have come in their place.
    return [path for path in paths if _first_line(path).startswith(f"{_HEADER}, stack {directory.name}.")]


def _write_private(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        if os.name == "posix":
            os.fchmod(descriptor, 0o600)
        file.write(text)


def _is_for_inside(path: Path) -> bool:
    """Such a file has a second comment, which says how to join the network."""
    return path.read_text(encoding="utf-8").count("\n#") > 0


def _first_line(path: Path) -> str:
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return file.readline()
    except OSError:
        return ""
