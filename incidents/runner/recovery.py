"""Ends an incident from whatever state it is in; every part of it can be repeated."""

import asyncio
from typing import Any

from incidents.model import Incident, Login
from incidents.runner.app_settings import AppSettings
from incidents.runner.database import FAULTS, Database
from incidents.runner.events import Report, Stopwatch
from incidents.runner.injection import Injection
from incidents.runner.problems import NotRecoveredError

__all__ = ["Recovery"]

_RETRY_SECONDS = 2.0


class Recovery:
    """Takes away what an incident did.

    Args:
        database: where it did it.
        app: live settings that a fix may have changed.
    """

    def __init__(self, database: Database, app: AppSettings) -> None:
        self._database = database
        self._app = app

    async def undo(
        self,
        incident: Incident,
        injection: Injection | None,
        settings: dict[str, Any] | None,
        report: Report,
        *,
        limit: float,
    ) -> None:
        """End its sessions, run its recovery, put the live settings back; again if something is in the way.

        Args:
            incident: which.
            injection: its sessions, if this process holds them.
            settings: live settings as they were before; None: not known.
            report: is told of each attempt that failed.
            limit: seconds to try.

        Raises:
            NotRecoveredError: it was not possible in that time; says what is in the way.
        """
        if injection is not None:
            await injection.end()
        watch = Stopwatch()
        while True:
            try:
                async with asyncio.timeout(max(1.0, limit - watch.seconds)):
                    return await self._attempt(incident, settings)
            except FAULTS as error:
                reason = str(error) or type(error).__name__
                report({"event": "recovery failed", "reason": reason, "seconds": watch.seconds})
                if watch.seconds + _RETRY_SECONDS >= limit:
                    raise NotRecoveredError(f"{incident.name} could not be ended: {reason}") from error
            await asyncio.sleep(_RETRY_SECONDS)

    async def _attempt(self, incident: Incident, settings: dict[str, Any] | None) -> None:
        if incident.steps:
            # Also those of a runner that was killed: a session that sleeps in the server does not notice.
            await self._database.end_sessions(step.login for step in incident.steps)
            await self._database.run(Login.OPERATOR, incident.folder / incident.recover)
        if settings is not None and incident.recover_settings:
            present = await self._app.read()
            changed = {
                name: settings[name]
                for name in incident.recover_settings
                if name in settings and present.get(name) != settings[name]
            }
            if changed:
                await self._app.change(changed)
