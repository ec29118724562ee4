"""What is active, who holds the runner, and the settings to go back to: a SQLite file on the runner's own volume."""

import json
import sqlite3
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

__all__ = ["ActiveIncident", "Lease", "Phase", "State"]

_SCHEMA = """
    CREATE TABLE IF NOT EXISTS active (
        name TEXT PRIMARY KEY, run TEXT NOT NULL, phase TEXT NOT NULL, holder TEXT NOT NULL, started REAL NOT NULL,
        baseline TEXT, settings TEXT, note TEXT NOT NULL DEFAULT ''
    );
    CREATE TABLE IF NOT EXISTS runs (
        run TEXT PRIMARY KEY, name TEXT NOT NULL, started REAL NOT NULL, ended REAL, outcome TEXT NOT NULL DEFAULT ''
    );
    CREATE TABLE IF NOT EXISTS lease (
        single INTEGER PRIMARY KEY CHECK (single = 1), holder TEXT NOT NULL, until REAL NOT NULL
    );
"""
_KEPT_RUNS = 500


class Phase(StrEnum):
    """How far an incident is."""

    INJECTING = "injecting"
    ACTIVE = "active"
    RECOVERING = "recovering"


@dataclass(frozen=True, slots=True, kw_only=True)
class ActiveIncident:
    """An incident that is under way.

    Attributes:
        name: which.
        run: id of this run.
        phase: how far it is.
        holder: who started it.
        started: Unix time of the injection.
        baseline: as plain data; None before it was taken.
        settings: live settings of the payment service before.
        note: what is still there after a recovery that failed.
    """

    name: str
    run: str
    phase: Phase
    holder: str
    started: float
    baseline: dict[str, Any] | None
    settings: dict[str, Any] | None
    note: str


@dataclass(frozen=True, slots=True)
class Lease:
    """Who runs incidents.

    Attributes:
        holder: as they call themselves.
        until: Unix time of its end.
    """

    holder: str
    until: float

    @property
    def expired(self) -> bool:
        """Whether anybody may take it."""
        return self.until <= time.time()


class State:
    """The file; every change is durable when the call returns.

    Args:
        path: where; its folder must exist.
    """

    def __init__(self, path: Path) -> None:
        self._database = sqlite3.connect(path, isolation_level=None)
        self._database.row_factory = sqlite3.Row
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("PRAGMA synchronous = FULL")
        self._database.executescript(_SCHEMA)

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    @contextmanager
    def _transaction(self) -> Generator[None]:
        self._database.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._database.execute("ROLLBACK")
            raise
        self._database.execute("COMMIT")

    def active(self) -> list[ActiveIncident]:
        """What is under way, oldest first."""
        rows = self._database.execute("SELECT * FROM active ORDER BY started").fetchall()
        return [_active(dict(row)) for row in rows]

    def begin(
        self,
        name: str,
        run: str,
        holder: str,
        settings: Mapping[str, Any],
        baseline: Mapping[str, Any] | None = None,
    ) -> None:
        """Note that an injection begins, before anything of it happens."""
        now = time.time()
        with self._transaction():
            self._database.execute(
                "INSERT INTO active (name, run, phase, holder, started, settings, baseline)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                (name, run, Phase.INJECTING, holder, now, json.dumps(settings), baseline and json.dumps(baseline)),
            )
            self._database.execute("INSERT INTO runs (run, name, started) VALUES (?, ?, ?)", (run, name, now))
            self._database.execute(
                "DELETE FROM runs WHERE run NOT IN (SELECT run FROM runs ORDER BY started DESC LIMIT ?)", (_KEPT_RUNS,)
            )

    def set_phase(self, name: str, phase: Phase, note: str = "") -> None:
        """Note how far it is."""
        self._database.execute("UPDATE active SET phase = ?, note = ? WHERE name = ?", (phase, note, name))

    def end(self, name: str, outcome: str) -> None:
        """Note that nothing of it is left."""
        with self._transaction():
            self._database.execute(
                "UPDATE runs SET ended = ?, outcome = ? WHERE run = (SELECT run FROM active WHERE name = ?)",
                (time.time(), outcome, name),
            )
            self._database.execute("DELETE FROM active WHERE name = ?", (name,))

    def last_end(self) -> float:
        """Unix time at which the last incident ended; 0 if none did."""
        return self._database.execute("SELECT coalesce(max(ended), 0) FROM runs").fetchone()[0]

    def last_run(self) -> dict[str, Any] | None:
        """The newest run: name, times, outcome."""
        row = self._database.execute("SELECT * FROM runs ORDER BY started DESC LIMIT 1").fetchone()
        return None if row is None else dict(row)

    def lease(self) -> Lease | None:
        """Who holds the runner, or held it last."""
        row = self._database.execute("SELECT holder, until FROM lease").fetchone()
        return None if row is None else Lease(row["holder"], row["until"])

    def set_lease(self, lease: Lease) -> None:
        """Give it to somebody."""
        self._database.execute(
            "INSERT INTO lease (single, holder, until) VALUES (1, ?, ?)"
            " ON CONFLICT (single) DO UPDATE SET holder = excluded.holder, until = excluded.until",
            (lease.holder, lease.until),
        )


def _active(row: dict[str, Any]) -> ActiveIncident:
    return ActiveIncident(
        name=row["name"],
        run=row["run"],
        phase=Phase(row["phase"]),
        holder=row["holder"],
        started=row["started"],
        baseline=None if row["baseline"] is None else json.loads(row["baseline"]),
        settings=None if row["settings"] is None else json.loads(row["settings"]),
        note=row["note"],
    )
