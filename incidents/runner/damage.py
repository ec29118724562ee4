"""What a fix breaks while it mends: locks on tables, lost rows and objects, restarts, sessions cut off."""

import asyncio
import contextlib
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Final

from payment_service.store.driver import Connection

from incidents.model import Incident, Login
from incidents.runner.database import FAULTS, LOGINS, Database
from incidents.runner.gateway import Gateway

__all__ = ["CutOffSessions", "Damage"]

_POLL_SECONDS: Final = 0.25
_HELD_POLLS: Final = 2
"""A lock that two looks in a row see was held for a quarter of a second at least: some payments waited for it."""
_MANY_SESSIONS: Final = 2

_LOCKS = """
    SELECT DISTINCT l.pid, l.relation::regclass::text AS relation, l.mode, a.usename, a.application_name
    FROM pg_locks l JOIN pg_stat_activity a USING (pid) JOIN pg_class c ON c.oid = l.relation
    WHERE l.locktype = 'relation' AND c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace
      AND l.mode IN ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
      AND a.backend_type = 'client backend' AND l.pid <> pg_backend_pid()
"""
_SESSIONS = """
    SELECT coalesce(array_agg(pid), '{}') FROM pg_stat_activity WHERE usename = 'payment_app' AND application_name <> $1
"""
_COUNTED = {
    "payments": "payments p, seed_info s WHERE p.id BETWEEN 1 AND s.last_payment_id",
    "imported_payments": "payments WHERE id < 0",
    "ledger_entries": "ledger_entries e, seed_info s WHERE e.payment_id BETWEEN 1 AND s.last_payment_id",
    "refunds": "refunds r, seed_info s WHERE r.payment_id <= s.last_payment_id",
    **{
        table: table
        for table in ("accounts", "acquirers", "customers", "merchant_daily_totals", "merchants", "settlement_runs")
    },
}
"""Rows that the service itself never takes away: it prunes its own payments, and days that are weeks ago."""
_COUNTS = f"SELECT {', '.join(f'(SELECT count(*) FROM {rows}) AS {name}' for name, rows in _COUNTED.items())}"  # noqa: S608 # constants
_OBJECTS = """
    SELECT array_agg(relname::text) FROM pg_class
    WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'i', 'S')
"""
_STARTED = "SELECT pg_postmaster_start_time()::text"
_KILLED = "SELECT coalesce(sessions_killed, 0) FROM pg_stat_database WHERE datname = current_database()"
_APP_STARTED = 'process_start_time_seconds{job="sample-app"}'


@dataclass(frozen=True, slots=True)
class _Before:
    counts: dict[str, int]
    objects: frozenset[str]
    started: str
    killed: int
    apps_started: Mapping[str, float]
    """By replica."""


class CutOffSessions:
    """Whether all sessions of a pool ended at once: one by one they come and go.

    Attributes:
        cut_off: how many did, at most.
    """

    def __init__(self) -> None:
        # Even at once they end one after another: a look in the midst of it sees some of the old and some of the new.
        self._earlier: deque[frozenset[int]] = deque(maxlen=2)
        self.cut_off = 0

    def look(self, pids: Iterable[int]) -> None:
        """Take note of the sessions that there are now."""
        now = frozenset(pids)
        gone = [len(before) for before in self._earlier if len(before) > _MANY_SESSIONS and not before & now]
        self.cut_off = max(self.cut_off, *gone, 0)
        self._earlier.append(now)


class Damage:
    """Watches from before a fix until it is judged.

    Args:
        database: what may be harmed.
        gateway: says when the payment service was started.
        incident: whose own sessions are not the fix's doing.
    """

    def __init__(self, database: Database, gateway: Gateway, incident: Incident) -> None:
        self._database = database
        self._gateway = gateway
        self._own = {LOGINS[login] for login in incident.kept_logins}
        self._fix_pids: set[int] = set()
        self._seen: dict[tuple[int, str, str], int] = {}
        self._locks: set[str] = set()
        self._sessions = CutOffSessions()
        self._task: asyncio.Task[None] | None = None
        self._before: _Before | None = None

    async def __aenter__(self) -> "Damage":
        """Note the state before, and begin to watch."""
        self._before = await self._state()
        self._task = asyncio.create_task(self._watch())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop watching."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    def watch_session(self, pid: int) -> None:
        """Say which session is the fix's, although it looks like one of the incident's."""
        self._fix_pids.add(pid)

    async def found(self) -> list[str]:
        """What was harmed so far, one sentence each.

        Raises:
            UnreachableError: the database does not answer.
        """
        if self._before is None:
            raise RuntimeError("nothing was noted before")
        before, after = self._before, await self._state()
        lost = [
            f"{count - after.counts[name]} rows of {name} are gone"
            for name, count in before.counts.items()
            if after.counts[name] < count
        ]
        # A pool that is renewed lets all of its sessions go as well, but of them the server ends none.
        cut_off = self._sessions.cut_off if after.killed - before.killed > _MANY_SESSIONS else 0
        dropped = sorted(before.objects - after.objects)
        return [
            *sorted(self._locks),
            *lost,
            *([f"dropped: {', '.join(dropped)}"] if dropped else []),
            *(["the database was restarted"] if after.started != before.started else []),
            *(["the payment service was restarted"] if _restarted(before.apps_started, after.apps_started) else []),
            *([f"{cut_off} sessions of the payment service were cut off at once"] if cut_off else []),
        ]

    async def _state(self) -> _Before:
        session = await self._database.open(Login.OPERATOR)
        try:
            counts = await session.fetchrow(_COUNTS)
            if counts is None:
                raise LookupError("an aggregate has one row")
            objects = await session.fetchval(_OBJECTS)
            started = await session.fetchval(_STARTED)
            killed = await session.fetchval(_KILLED)
            # The watch begins a moment later, and a fix may be quicker.
            await self._look_at_sessions(session)
        finally:
            session.terminate()
        apps = await self._gateway.promql(_APP_STARTED)
        return _Before(
            {name: int(counts[name]) for name in _COUNTED},
            frozenset(objects),
            str(started),
            int(killed),
            {labels.get("instance", ""): value for labels, value in apps},
        )

    async def _watch(self) -> None:
        session: Connection | None = None
        try:
            while True:
                try:
                    if session is None or session.is_closed():
                        session = await self._database.open(Login.OPERATOR)
                    await self._look_at_locks(session)
                    await self._look_at_sessions(session)
                except FAULTS:
                    if session is not None:
                        session.terminate()
                    session = None
                await asyncio.sleep(_POLL_SECONDS)
        finally:
            if session is not None:
                session.terminate()

    async def _look_at_sessions(self, session: Connection) -> None:
        self._sessions.look(await session.fetchval(_SESSIONS, LOGINS[Login.BATCH][1]))

    async def _look_at_locks(self, session: Connection) -> None:
        present: dict[tuple[int, str, str], tuple[str, str]] = {}
        for row in await session.fetch(_LOCKS):
            key = (int(row["pid"]), str(row["relation"]), str(row["mode"]))
            present[key] = (str(row["usename"]), str(row["application_name"]))
        self._seen = {key: self._seen.get(key, 0) + 1 for key in present}
        for key, times in self._seen.items():
            pid, relation, mode = key
            if times >= _HELD_POLLS and (pid in self._fix_pids or present[key] not in self._own):
                self._locks.add(f"{mode} on {relation} kept payments waiting")


def _restarted(before: Mapping[str, float], after: Mapping[str, float]) -> bool:
    """Whether a replica that was there before and is still there was started in between."""
    return any(abs(after[instance] - started) > 1 for instance, started in before.items() if instance in after)
