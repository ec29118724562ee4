"""Modules of large packages without what those import beside them, which would take half of the provider's start.

The provider starts anew with each command, and uses the messages of Pulumi's protocol and kr8s' credentials alone.
"""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Final

__all__ = ["import_in_part"]

_PACKAGES: Final = ("pulumi", "pulumi.runtime", "pulumi.runtime.proto", "kr8s")
_COMMAND: Final = "httpx._main"
"""httpx' command line, which it can do without."""


def import_in_part() -> None:
    """Let modules of these packages be imported by their own names, and nothing else of them; for this process only."""
    for name in _PACKAGES:
        package = ModuleType(name)
        package.__path__ = [str(_folder(name))]
        sys.modules[name] = package
    sys.modules[_COMMAND] = None  # type: ignore[assignment] # which makes its import an ImportError


def _folder(name: str) -> Path:
    top, *inner = name.split(".")
    known = sys.modules.get(top)
    if known is not None:
        return Path(known.__path__[0]).joinpath(*inner)
    found = importlib.util.find_spec(top)
    if found is None or found.origin is None:
        raise ModuleNotFoundError(top)
    return Path(found.origin).parent.joinpath(*inner)
