"""Idle in transaction: a forgotten session holds back what vacuum may remove."""

from pathlib import Path

from incidents.model import (
    Alert,
    Compares,
    Evidence,
    Fix,
    Incident,
    Login,
    LookAlike,
    Oracle,
    Repeat,
    Signal,
    Step,
)

__all__ = ["INCIDENT"]

_IDLE = Evidence(
    signal=Signal.METRICS,
    name="idle transaction ages",
    query="db:oldest_idle_transaction:seconds",
    shows="A transaction is open whose session does nothing; its age grows by a second each second.",
    compares=Compares.rises(margin=20),
)

INCIDENT = Incident(
    name="forgotten-transaction",
    title="Idle in transaction",
    rank=4,
    summary=(
        "Nothing is slow and nobody complains, but the database's housekeeping no longer gets its work done. What "
        "looks harmless now fills the disk by tomorrow."
    ),
    causes=(
        "An operator's psql began a REPEATABLE READ transaction, read once and stays idle in it.",
        "Its snapshot must go on seeing every row version as of then, so vacuum may remove none that died since.",
        "A backfill updates customers all the time: each update leaves a dead row version behind.",
        "Autovacuum comes every 15 s, scans customers and can remove nothing: the dead rows grow.",
        "Customers notice nothing yet; tables and indexes grow until scans are slow or the disk is full.",
    ),
    steps=(
        Step(file="session.sql", login=Login.OPERATOR, held=True),
        Step(file="backfill.sql", login=Login.BACKFILL, repeat=Repeat(pause_seconds=2)),
    ),
    evidence=(
        _IDLE,
        Evidence(
            signal=Signal.METRICS,
            name="dead tuples grow",
            query='db:table_dead_tuples{relname="customers"}',
            shows="The dead rows of customers grow although autovacuum runs.",
            compares=Compares.rises(margin=3000),
        ),
        Evidence(
            signal=Signal.LOGS,
            name="dead, not removable",
            query=(
                'max_over_time({app="postgres"} |= "automatic vacuum of table" |= "customers" '
                '| regexp "(?P<held>[0-9]+) are dead but not yet removable" | unwrap held [30s]) by (app)'
            ),
            shows="Autovacuum says how many rows are dead but not yet removable, and from which transaction on.",
            compares=Compares.rises(margin=1500),
        ),
        Evidence(
            signal=Signal.TRACES,
            name="payments not slower",
            query='{ resource.service.name = "payment-service" && name = "POST /payment" && duration > $slow }',
            shows="Payments are as fast as before: this is found by its causes, not by its effects.",
            compares=Compares.stays(2, margin=10),
        ),
    ),
    alert=Alert(name="OldTransaction"),
    look_alikes=(
        LookAlike(
            other="vacuum-behind",
            because="In both the dead rows of a table grow and vacuum does not remove them.",
            tells=_IDLE,
        ),
    ),
    right_fixes=(
        Fix(
            does="End the idle session with pg_terminate_backend.",
            because=(
                "With its snapshot gone the next autovacuum removes the dead rows; it did no work that could be lost."
            ),
            folder="fixes/end-session",
        ),
        Fix(
            does="Set idle_in_transaction_session_timeout for people's roles, then end the session.",
            because="It also ends the next one; a session that is idle already is not timed anew.",
        ),
    ),
    unsafe_fixes=(
        Fix(
            does="VACUUM FULL customers.",
            because="It locks out every payment while it copies the table, and keeps the rows that the snapshot needs.",
            folder="fixes/rewrite-table",
        ),
        Fix(does="Restart the database.", because="It ends the session, and every payment under way."),
    ),
    oracle=Oracle(
        sql=(
            "SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE datname = 'payments' "
            "AND state LIKE 'idle in transaction%' AND xact_start < now() - interval '15 seconds')"
        ),
        says="No session has been idle in a transaction for more than 15 s.",
    ),
    ask=(
        "Is anything wrong with the database that customers do not notice yet?",
        "Why do the dead rows of customers grow although autovacuum runs?",
    ),
    finds=(
        "A psql session of the role dba has been idle in a transaction since the dead rows began to grow. Autovacuum "
        "runs on customers every 15 s and reports them as dead but not yet removable. End that session; nothing else "
        "is needed."
    ),
    bound=(
        "300 row versions of about 70 bytes a second, and none once customers has 32 MB (its index stays below that); "
        "no memory. The server itself ends the idle session after an hour."
    ),
    folder=Path(__file__).parent,
)
