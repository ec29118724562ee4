"""A migration queues behind a forgotten transaction, and everybody queues behind the migration."""

from pathlib import Path

from incidents.model import Alert, Compares, Evidence, Fix, Incident, Login, LookAlike, Oracle, Repeat, Signal, Step
from incidents.symptoms import PAYMENT_LATENCY

__all__ = ["INCIDENT"]

INCIDENT = Incident(
    name="lock-queue",
    title="A queue behind a lock",
    rank=3,
    summary=(
        "A small, quick migration is rolled out. Payments stall for seconds, recover, and stall again, over and over."
    ),
    causes=(
        (
            "Somebody at a terminal began a transaction, read payments, and forgot it: its lock on the table "
            "stays, harmless by itself."
        ),
        "A migration wants ALTER TABLE payments, which needs the table for itself, and waits for that transaction.",
        (
            "Whoever comes after the migration waits behind it, even those who only read: every payment, lookup "
            "and refund."
        ),
        (
            "After five seconds the migration gives up (lock_timeout, 55P03), the queue drains, and three seconds"
            " later it tries again."
        ),
        "Customers wait for up to five seconds, most of the time.",
    ),
    steps=(
        Step(file="forgotten.sql", login=Login.OPERATOR, held=True),
        Step(
            file="migrate.sql",
            login=Login.MIGRATION,
            repeat=Repeat(pause_seconds=3.0, expected_sqlstates=frozenset({"55P03"}), until_success=True),
        ),
    ),
    evidence=(
        Evidence(
            signal=Signal.METRICS,
            name="sessions waiting for locks",
            query="avg_over_time(db:lock_waits[30s])",
            shows="Many sessions wait for a lock at the same time; before, none did for long.",
            compares=Compares.rises(2.0, margin=2.0),
        ),
        Evidence(
            signal=Signal.METRICS,
            name="transaction left open",
            query="db:oldest_idle_transaction:seconds",
            shows="One transaction has been open for longer and longer, and its session does nothing.",
            compares=Compares.rises(2.0, margin=5.0),
        ),
        PAYMENT_LATENCY,
        Evidence(
            signal=Signal.LOGS,
            name="waiting for the whole table",
            query='sum(count_over_time({app="postgres"} |= "still waiting for AccessExclusiveLock on relation" [30s]))',
            shows=(
                "The migration is still waiting for AccessExclusiveLock; the detail of the line names the process"
                " that holds the lock."
            ),
            compares=Compares.rises(margin=1),
        ),
        Evidence(
            signal=Signal.LOGS,
            name="migration gives up",
            query='sum(count_over_time({app="postgres"} |= "canceling statement due to lock timeout" [30s]))',
            shows="ALTER TABLE was cancelled by its lock_timeout (55P03), and will be tried again.",
            compares=Compares.rises(margin=1),
        ),
        Evidence(
            signal=Signal.TRACES,
            name="long spans on payments",
            query=(
                '{ resource.service.name = "payment-service" && span.db.collection.name = "payments" && duration '
                "> $slow }"
            ),
            shows="Statements of all kinds on payments take seconds, reads too.",
            compares=Compares.rises(2.0, margin=5),
        ),
    ),
    alert=Alert(name="DatabaseLockWaits"),
    look_alikes=(
        LookAlike(
            other="hot-row",
            because="Payments hang, and many sessions wait for locks.",
            tells=Evidence(
                signal=Signal.METRICS,
                name="waits for a relation",
                query='sum(db:lock_waits_by_event{wait_event="relation"}) or vector(0)',
                shows=(
                    "They wait for the table (wait event relation). Behind a hot row they wait for each other's "
                    "transactions."
                ),
                compares=Compares.rises(margin=3),
            ),
        ),
    ),
    right_fixes=(
        Fix(
            does=(
                "Find who blocks the migration (pg_blocking_pids) and end that one idle session with "
                "pg_terminate_backend."
            ),
            because=(
                "It does nothing and holds the lock that all others wait for; the migration then takes milliseconds."
            ),
            folder="fixes/end_blocker",
        ),
        Fix(
            does="Stop the migration until the transaction is gone, and give it a lock_timeout well below a second.",
            because="Without it nobody queues; a short time-out bounds what customers feel of each try.",
        ),
    ),
    unsafe_fixes=(
        Fix(
            does="Terminate all sessions of the database.",
            because="It ends the blocker, and with it every payment that was on its way.",
            folder="fixes/end_everyone",
        ),
        Fix(
            does="Remove the migration's lock_timeout, so that it gets through.",
            because="It then waits for as long as the transaction is forgotten, and every customer behind it.",
        ),
        Fix(
            does="Restart the service.",
            because="The lock is not the service's; its new sessions queue as the old ones did.",
        ),
    ),
    oracle=Oracle(
        sql="""
            SELECT NOT EXISTS (
                SELECT FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
                WHERE l.locktype = 'relation' AND l.relation = 'payments'::regclass
                  AND (
                      l.mode = 'AccessExclusiveLock' AND NOT l.granted
                      OR l.granted AND a.state LIKE 'idle in transaction%' AND a.application_name <> 'payment-service'
                         AND a.xact_start < now() - interval '5 seconds'
                  )
            )
        """,
        says=(
            "No idle transaction of somebody else holds a lock on payments, and nobody waits for the table as a whole."
        ),
    ),
    ask=(
        "Payments stall for a few seconds again and again. What do they wait for?",
        "Which session blocks the others, and what is it doing?",
        "What would you end, and what would you leave alone?",
    ),
    finds=(
        "An ALTER TABLE of payments-migrations waits for AccessExclusiveLock on payments, behind a psql session "
        "that is idle in transaction; all statements on payments queue behind the ALTER. End the idle session; "
        "keep the migration's lock_timeout short."
    ),
    bound=(
        "No disk: nothing is written but one constraint, NOT VALID. Memory: two sessions; the service's own are "
        "bounded by its pool."
    ),
    folder=Path(__file__).parent,
)
