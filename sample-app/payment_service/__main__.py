"""``python -m payment_service``: serves until SIGTERM. Exit code 2: wrong settings."""

import asyncio
import sys

import uvloop

from payment_service.server import serve
from payment_service.settings import ServiceSettings, SettingsError, load, read_password


def main() -> int:
    """Run the service.

    Returns:
        The exit code.
    """
    try:
        settings = load(ServiceSettings)
        read_password(settings.app_password_file)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(serve(settings))
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
