"""``python -m incidents.runner``: serve until told to stop."""

import asyncio
import contextlib
import logging
import sys
from collections.abc import AsyncGenerator

import httpx2 as httpx
import structlog
import uvicorn
from pydantic import ValidationError
from starlette.applications import Starlette

from incidents.catalog import catalog
from incidents.runner.app import make_app
from incidents.runner.app_settings import AppSettings
from incidents.runner.database import Database
from incidents.runner.engine import Engine
from incidents.runner.gateway import Gateway
from incidents.runner.leaks import Leaks
from incidents.runner.operations import Operations
from incidents.runner.settings import RunnerSettings
from incidents.runner.state import State

log = structlog.get_logger("incidents.runner")

_GRACE_SECONDS = 5


@contextlib.asynccontextmanager
async def opened(settings: RunnerSettings) -> AsyncGenerator[Starlette]:
    """The application with everything that it needs; what was under way before is looked after first."""
    incidents = catalog()
    state = State(settings.state_file)
    async with httpx.AsyncClient() as client:
        gateway, database = Gateway(settings, client), Database(settings)
        engine = Engine(settings, incidents, state, database, AppSettings(settings.app_admin_url, client), gateway)
        operations = Operations(engine, Leaks(settings, incidents.values(), gateway, database))
        resuming = asyncio.create_task(operations.resume())
        try:
            yield make_app(settings, engine, operations)
        finally:
            resuming.cancel()
            await asyncio.gather(resuming, return_exceptions=True)
            await engine.close()
            state.close()


async def serve(settings: RunnerSettings) -> None:
    """Serve until SIGTERM or Ctrl-C."""
    async with opened(settings) as app:
        config = uvicorn.Config(
            app,
            host=settings.host,
            port=settings.port,
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=_GRACE_SECONDS,
        )
        await uvicorn.Server(config).serve()


def main() -> int:
    """Returns the exit code."""
    logging.basicConfig(level=logging.WARNING)
    structlog.configure(
        processors=[
            structlog.stdlib.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.PrintLoggerFactory(),
    )
    try:
        asyncio.run(serve(RunnerSettings()))
    except (ValidationError, OSError) as error:
        log.error("cannot start", reason=str(error))  # noqa: TRY400  # one sentence, not a traceback
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
