"""``python -m payment_service.database``.

Makes the database. Exit code 2: wrong settings; 1: the server refused or is gone.
"""

import asyncio
import sys

import asyncpg  # pyright: ignore[reportMissingTypeStubs]  # asyncpg ships no type information
import structlog

from payment_service.database.provision import NotSuperuserError, provision
from payment_service.settings import SettingsError, TaskSettings, load
from payment_service.telemetry.logs import configure_logging


def main() -> int:
    """Run the task.

    Returns:
        The exit code.
    """
    try:
        settings = load(TaskSettings)
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    configure_logging(settings.log_level)
    log = structlog.get_logger("payment_service.database")
    try:
        asyncio.run(provision(settings))
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except (OSError, NotSuperuserError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        log.error("database task failed", reason=str(error) or "timeout", kind=type(error).__name__)  # noqa: TRY400  # one sentence, no traceback
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
