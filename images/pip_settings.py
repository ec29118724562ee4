"""The package index that this machine's pip uses."""

import ast
import subprocess
import sys
from typing import Final

__all__ = ["pip_settings"]

_SECTIONS: Final = (":env:", "install", "global")
"""pip's own order: the environment, the command's section, the section for every command."""


def pip_settings() -> dict[str, str]:
    """Variables that make the pip of a build use this machine's index, a company's own for one."""
    configured = _configuration()
    found: dict[str, str] = {}
    for key, variable in {"index-url": "PIP_INDEX_URL", "trusted-host": "PIP_TRUSTED_HOST"}.items():
        values = (configured.get(f"{section}.{key}") for section in _SECTIONS)
        value = next((value for value in values if value), None)
        if value:
            found[variable] = value
    return found


def _configuration() -> dict[str, str]:
    """What pip says of its configuration, a line for each key: ``global.index-url='…'``."""
    command = [sys.executable, "-m", "pip", "config", "list"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    lines = (line.partition("=") for line in answer.splitlines())
    return {key: str(ast.literal_eval(value)).strip() for key, separator, value in lines if separator}
