"""What an incident is: a contract that tests, scoring, the CLI and the documentation are all made from.

A definition names SQL files of its own folder. Nothing of it reaches the systems that an agent reads.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

__all__ = [
    "Alert",
    "Compares",
    "Evidence",
    "Fix",
    "Incident",
    "Kind",
    "Login",
    "LookAlike",
    "Oracle",
    "Repeat",
    "Signal",
    "Step",
]


class Signal(StrEnum):
    """Where a piece of evidence is seen."""

    METRICS = "metrics"
    LOGS = "logs"
    TRACES = "traces"


class Kind(StrEnum):
    """What is expected of a definition."""

    INCIDENT = "incident"
    """Every piece of evidence shows, and its alert fires."""
    DECOY = "decoy"
    """Something harmless happens: it shows (its evidence), the service level holds and no alert fires."""
    CONTROL = "control"
    """Nothing happens at all."""


class Login(StrEnum):
    """As whom a step logs in: a role, and the ``application_name`` that such a person or job would have."""

    MIGRATION = "migration"
    """``payments_owner``, ``payments-migrations``: a change of the schema."""
    BACKFILL = "backfill"
    """``payments_owner``, ``payments-backfill``: a job that rewrites rows."""
    EXPORT = "export"
    """``payments_owner``, ``finance-export``: a report for somebody else."""
    OPERATOR = "operator"
    """``dba``, ``psql``: a person at a terminal."""
    BATCH = "batch"
    """``payment_app``, ``payments-batch``: a job that shares the service's role."""
    STANDBY = "standby"
    """``dba``, ``standby_eu_1``: a replication session that nobody answers for, so that the server gives it up soon.

    Its file is one replication command, in which ``$lsn`` stands for the present end of the log."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Repeat:
    """How often a step runs again, until the incident is ended.

    Attributes:
        pause_seconds: from the end of one run to the start of the next.
        expected_sqlstates: errors that belong to the incident; after any other the session is opened anew.
        until_success: whether the first run that succeeds is the last (a migration that finally got through).
    """

    pause_seconds: float = 0.0
    expected_sqlstates: frozenset[str] = frozenset()
    until_success: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """An SQL file that runs in sessions of its own.

    Its statements run one by one, each in a transaction of its own unless the file says ``BEGIN``.

    Attributes:
        file: in the incident's folder.
        login: as whom.
        held: whether the session stays open when the file is through, until the incident is ended.
        repeat: whether and how it runs again; None: once.
        sessions: how many sessions run it side by side.
        optional_sessions: whether it is enough that one of them comes to be (a limit stops the others).
        meets_after: after so many of its statements the session goes on only when every other step that meets has come
            as far, once; None: it waits for nobody.
    """

    file: str
    login: Login
    held: bool = False
    repeat: Repeat | None = None
    sessions: int = 1
    optional_sessions: bool = False
    meets_after: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Compares:
    """How a measured value has to stand to the baseline of the same run.

    Rises: value >= factor * baseline + margin. Falls: value <= factor * baseline - margin, with a baseline above zero.
    Stays: value <= factor * baseline + margin, while the other evidence of the incident is there.

    The baseline of what rises or stays is the highest value of the window before, of what falls the lowest.
    """

    direction: str
    factor: float
    margin: float = 0.0

    @classmethod
    def rises(cls, factor: float = 1.0, *, margin: float = 0.0) -> "Compares":
        """It grows to at least ``factor`` times the baseline plus ``margin`` (in the query's unit)."""
        return cls(direction="rises", factor=factor, margin=margin)

    @classmethod
    def falls(cls, factor: float, *, margin: float = 0.0) -> "Compares":
        """It shrinks to at most ``factor`` times the baseline minus ``margin``."""
        return cls(direction="falls", factor=factor, margin=margin)

    @classmethod
    def stays(cls, factor: float = 1.0, *, margin: float = 0.0) -> "Compares":
        """It does not exceed ``factor`` times the baseline plus ``margin``: what tells an incident from louder ones."""
        return cls(direction="stays", factor=factor, margin=margin)

    def threshold(self, baseline: float) -> float:
        """The value from which on it holds."""
        return self.factor * baseline + (-self.margin if self.direction == "falls" else self.margin)

    def holds(self, value: float | None, baseline: float) -> bool:
        """Whether a value meets it; no value at all meets nothing."""
        if value is None:
            return False
        if self.direction == "rises":
            return value >= self.threshold(baseline) and value > baseline
        if self.direction == "falls":
            return baseline > 0 and value <= self.threshold(baseline)
        return value <= self.threshold(baseline)


@dataclass(frozen=True, kw_only=True, slots=True)
class Evidence:
    """One thing that an agent can see, by one query through the gateway.

    Attributes:
        signal: decides the language of the query.
        name: two to four words, for the live view and the tables.
        query: PromQL or LogQL, an instant query whose largest value counts (none: 0); or TraceQL, of which the matching
            traces of the last ``window_seconds`` are counted. ``$slow`` stands for a duration: four times the p95 of
            payments before, at least 100 ms; ``$long`` for half of it.
        shows: one sentence: what it must show, and why.
        compares: against the baseline.
        window_seconds: for TraceQL.
    """

    signal: Signal
    name: str
    query: str
    shows: str
    compares: Compares
    window_seconds: int = 20


@dataclass(frozen=True, kw_only=True, slots=True)
class Alert:
    """The alert that fires within two minutes; named after a symptom.

    Attributes:
        name: ``alertname``.
        labels: labels that it must have.
    """

    name: str
    labels: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, kw_only=True, slots=True)
class LookAlike:
    """Another incident that looks alike at first, and what tells them apart.

    Attributes:
        other: name of the other incident.
        because: one sentence: why one takes it for the other.
        tells: holds in this incident and does not in the other one.
    """

    other: str
    because: str
    tells: Evidence


@dataclass(frozen=True, kw_only=True, slots=True)
class Oracle:
    """When the cause is gone, as a predicate on state.

    Attributes:
        sql: one statement, run by an operator's session; one row with one boolean.
        settings: live settings of the payment service of which one would do as well: name -> least value, or the value.
        says: one sentence.
    """

    sql: str
    says: str
    settings: Mapping[str, int | float | str] = field(default_factory=dict[str, "int | float | str"])


@dataclass(frozen=True, kw_only=True, slots=True)
class Fix:
    """A way to end the incident, right or not.

    Attributes:
        does: what one does, in words.
        because: why it is right, or what is unsafe about it.
        folder: in the incident's folder, if it comes as a test of the scorer: ``fix.sql`` and/or ``settings.toml``.
    """

    does: str
    because: str
    folder: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Incident:
    """One incident, decoy or control.

    Attributes:
        name: lower case with hyphens, and nothing that a store could contain by itself (the leak test looks for it).
        title: for people.
        rank: place in the list; decoys and the control come after.
        kind: what is expected.
        summary: two or three sentences for the presenter, before the start; does not spoil the cause.
        causes: the causal chain from the database to what a customer sees, link by link.
        steps: what injects it, in order.
        recover: SQL file that ends it, run by an operator's session; idempotent, and right from any state.
        evidence: what must be seen.
        alert: which alert fires.
        look_alikes: what it is not.
        right_fixes: the first one comes with a folder.
        unsafe_fixes: the first one comes with a folder.
        oracle: when a fix is a fix.
        ask: questions a presenter can put to an agent.
        finds: what a good answer says.
        bound: what limits the disk and memory that it takes.
        proof_seconds: within which everything must be seen.
        recovery_seconds: within which the baseline must be back.
        folder: where its files are.
    """

    name: str
    title: str
    rank: int
    kind: Kind = Kind.INCIDENT
    summary: str
    causes: tuple[str, ...] = ()
    steps: tuple[Step, ...] = ()
    recover: str = "recover.sql"
    evidence: tuple[Evidence, ...] = ()
    alert: Alert | None = None
    look_alikes: tuple[LookAlike, ...] = ()
    right_fixes: tuple[Fix, ...] = ()
    unsafe_fixes: tuple[Fix, ...] = ()
    oracle: Oracle | None = None
    ask: tuple[str, ...] = ()
    finds: str = ""
    bound: str = ""
    proof_seconds: int = 120
    recovery_seconds: int = 60
    folder: Path

    @property
    def kept_logins(self) -> frozenset[Login]:
        """Whose sessions stay with the runner until it is ended; where there are any, it dies with the runner."""
        return frozenset(step.login for step in self.steps if step.held or step.repeat)
