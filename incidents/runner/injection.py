"""The steps of an incident under way: what runs once, what is held open, what runs again and again."""

import asyncio
import contextlib
from pathlib import Path

import structlog
from payment_service.store.driver import Connection

from incidents.model import Incident, Login, Repeat, Step
from incidents.runner.database import FAULTS, Database, read_statements

__all__ = ["Injection"]

log = structlog.get_logger("incidents.runner")

_REOPEN_SECONDS = 1.0


class Injection:
    """One incident's sessions.

    Args:
        incident: what to inject.
        database: where.
    """

    def __init__(self, incident: Incident, database: Database) -> None:
        self._incident = incident
        self._database = database
        self._sessions: list[Connection] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._expected = {step.file for step in incident.steps if step.meets_after is not None}
        self._met = asyncio.Event()

    async def begin(self) -> None:
        """Run the steps in order; what is repeated or held goes on afterwards.

        Raises:
            UnreachableError: no server answers.
            asyncpg.PostgresError: a step that runs once fails, or no session of a step comes to be.
        """
        for step in self._incident.steps:
            file = self._incident.folder / step.file
            outcomes = await asyncio.gather(
                *(self._begin_session(step, file) for _ in range(step.sessions)), return_exceptions=True
            )
            failures = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
            if failures and (not step.optional_sessions or len(failures) == step.sessions):
                raise failures[0]

    async def end(self) -> None:
        """End every session, whatever it is doing."""
        for task in self._tasks:
            task.cancel()
        # Not closed gracefully: a session that waits for a lock would not answer.
        for session in self._sessions:
            session.terminate()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        self._sessions.clear()

    async def _begin_session(self, step: Step, file: Path) -> None:
        if step.repeat is not None:
            first = asyncio.Event()
            task = asyncio.create_task(self._repeat(step, step.repeat, file, first))
            self._tasks.append(task)
            # The next step may rely on a first pass having begun, not on its end.
            waiting = asyncio.create_task(first.wait())
            await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
            waiting.cancel()
            if task.done():
                task.result()
            return
        if step.login is Login.STANDBY:
            await self._database.stand_by(file)
            return
        session = await self._database.open(step.login)
        self._sessions.append(session)
        await self._execute(step, session, file)
        if not step.held:
            self._sessions.remove(session)
            session.terminate()

    async def _execute(self, step: Step, session: Connection, file: Path) -> None:
        for number, statement in enumerate(await read_statements(file)):
            if number == step.meets_after:
                await self._meet(step)
            await session.execute(statement)

    async def _meet(self, step: Step) -> None:
        """Wait for the other steps that meet; afterwards nobody waits again."""
        self._expected.discard(step.file)
        if not self._expected:
            self._met.set()
        await self._met.wait()

    async def _repeat(self, step: Step, repeat: Repeat, file: Path, first: asyncio.Event) -> None:
        """Until cancelled; a session that is lost is opened anew, as a job under a supervisor would."""
        session: Connection | None = None
        try:
            while True:
                try:
                    if session is None or session.is_closed():
                        session = await self._database.open(step.login)
                        self._sessions.append(session)
                    first.set()
                    await self._execute(step, session, file)
                    if repeat.until_success:
                        return
                    if step.held:
                        await _until_closed(session)
                except FAULTS as error:
                    session = self._note(step, repeat, session, error)
                    first.set()
                    if session is None:
                        await asyncio.sleep(_REOPEN_SECONDS)
                await asyncio.sleep(repeat.pause_seconds)
        finally:
            if session is not None:
                session.terminate()

    def _note(self, step: Step, repeat: Repeat, session: Connection | None, error: Exception) -> Connection | None:
        """The session to go on with after an error; None: a new one."""
        expected = getattr(error, "sqlstate", None) in repeat.expected_sqlstates
        if not expected:
            log.info("a step's session is opened anew", file=step.file, error=str(error))
        if session is None:
            return None
        if expected and not session.is_closed():
            return session
        session.terminate()
        with contextlib.suppress(ValueError):
            self._sessions.remove(session)
        return None


async def _until_closed(session: Connection) -> None:
    """A held session that is repeated is made anew when somebody ends it."""
    while not session.is_closed():  # noqa: ASYNC110  # asyncpg offers no event for it that survives a terminate
        await asyncio.sleep(_REOPEN_SECONDS)
