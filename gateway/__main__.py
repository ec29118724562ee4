"""``python -m gateway --config FILE``: serve the stack's front door."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from gateway import logs
from gateway.config import ConfigError, load, read_operators_token, read_token
from gateway.server import ListenError, run

_BAD_CONFIGURATION = 2


def main() -> int:
    """Serve until told to stop; return the exit code."""
    parser = argparse.ArgumentParser(prog="gateway", description="The front door of a demo stack.")
    parser.add_argument("--config", type=Path, required=True, help="the YAML file that the infrastructure renders")
    parser.add_argument("--log-level", default="INFO", choices=["DEBUG", "INFO", "WARNING", "ERROR"])
    arguments = parser.parse_args()
    try:
        config = load(arguments.config)
        token = read_token(config.authentication)
        operators_token = read_operators_token(config.authentication, token)
    except ConfigError as error:
        print(error, file=sys.stderr)
        return _BAD_CONFIGURATION
    logs.configure(arguments.log_level, secrets=[one for one in (token, operators_token) if one])
    try:
        run(config, token, operators_token)
    except ListenError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
