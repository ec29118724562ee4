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
        app: the payment service's live settings.
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
        alone: bool,
        limit: float,
    ) -> None:
        """End its sessions, run its recovery, take a fix's settings back; again if something is in the way.

        Args:
            incident: which.
            injection: its sessions, if this process holds them.
            settings: live settings as they were before; None: not known.
            alone: whether no other incident is active, to which the settings of the server may belong.
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
                    return await self._attempt(incident, settings, alone=alone)
            except FAULTS as error:
                reason = str(error) or type(error).__name__
                report({"event": "recovery failed", "reason": reason, "seconds": watch.seconds})
                if watch.seconds + _RETRY_SECONDS >= limit:
                    raise NotRecoveredError(f"{incident.name} could not be ended: {reason}") from error
            await asyncio.sleep(_RETRY_SECONDS)

    async def _attempt(self, incident: Incident, settings: dict[str, Any] | None, *, alone: bool) -> None:
        if incident.steps:
            # Also those of a runner that was killed: a session that sleeps in the server does not notice.
            await self._database.end_sessions(step.login for step in incident.steps)
            await self._database.run(Login.OPERATOR, incident.folder / incident.recover)
        # Whatever it was that a fix set: it would keep the next incident from showing.
        if alone:
            await self._database.put_back_settings()
        if settings is not None:
            present = await self._app.read()
            changed = {name: value for name, value in settings.items() if present.get(name) != value}
            if changed:
                await self._app.change(changed)
