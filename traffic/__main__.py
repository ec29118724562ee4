"""``python -m traffic``: send traffic until told to stop."""

from __future__ import annotations

import asyncio
import signal
import sys
from typing import TYPE_CHECKING

import structlog

from traffic.service import run
from traffic.settings import Settings, SettingsError, load

if TYPE_CHECKING:
    from collections.abc import Callable

_BAD_SETTINGS = 2


def main() -> int:
    """Run until SIGTERM or SIGINT; return the exit code."""
    structlog.configure(
        processors=[
            structlog.stdlib.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.WriteLoggerFactory(file=sys.stdout),
    )
    try:
        settings = load()
    except SettingsError as error:
        print(error, file=sys.stderr)
        return _BAD_SETTINGS
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(_until_signal(settings))
    except OSError as error:
        print(f"cannot serve metrics on {settings.host}:{settings.port}: {error.strerror}", file=sys.stderr)
        return 1
    return 0


async def _until_signal(settings: Settings) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await run(settings, stop)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    if sys.platform == "win32":
        return None
    import uvloop  # noqa: PLC0415 - not available on Windows

    return uvloop.new_event_loop


if __name__ == "__main__":
    sys.exit(main())
