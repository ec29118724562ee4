"""Where Pulumi keeps the state: what several people share needs state that they share."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit
from urllib.request import url2pathname

from infra.config import PROJECT, DemoConfig, TargetKind
from infra.errors import ConfigError

__all__ = ["backend_url", "local_checkpoint", "pulumi_home", "require_shared_state"]

_LOCAL: Final = "file://"


def pulumi_home(environment: Mapping[str, str]) -> Path:
    """Pulumi's own directory as the engine of this process finds it."""
    chosen = environment.get("PULUMI_HOME")
    return Path(chosen) if chosen else Path.home() / ".pulumi"


def backend_url(environment: Mapping[str, str]) -> str:
    """The backend that the engine of this process uses; empty if it cannot be found out."""
    chosen = environment.get("PULUMI_BACKEND_URL")
    if chosen:
        return chosen
    try:
        # What `pulumi login` wrote.
        document: Any = json.loads((pulumi_home(environment) / "credentials.json").read_text(encoding="utf-8"))
        return str(document["current"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def local_checkpoint(stack: str, environment: Mapping[str, str]) -> Path | None:
    """Where a backend of local files keeps what a stack of this project consists of; ``None`` for other backends."""
    url = urlsplit(backend_url(environment))
    if url.scheme != "file" or url.netloc:
        return None
    return Path(url2pathname(url.path)) / ".pulumi" / "stacks" / PROJECT / f"{stack}.json"


def require_shared_state(stack: str, config: DemoConfig, environment: Mapping[str, str]) -> None:
    """Return if the state may lie where it lies.

    Raises:
        ConfigError: a stack on a cluster keeps it in local files, and its configuration does not allow that.
    """
    if config.target is not TargetKind.KUBERNETES or config.allow_local_state:
        return
    if backend_url(environment).startswith(_LOCAL):
        raise ConfigError(
            f"The stack {stack} would keep its state in files on this machine, where nobody else can change or destroy "
            f"it; choose a shared backend (PULUMI_BACKEND_URL, or pulumi login) or set {PROJECT}:allowLocalState."
        )
