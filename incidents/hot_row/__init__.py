"""Nearly all payments update one and the same row, and hold it while the acquirer captures."""

from pathlib import Path

from incidents.model import Alert, Compares, Evidence, Fix, Incident, Login, LookAlike, Oracle, Signal, Step
from incidents.symptoms import PAYMENT_LATENCY

__all__ = ["INCIDENT"]

INCIDENT = Incident(
    name="hot-row",
    title="Everybody wants the same row",
    rank=11,
    summary=(
        "A merchant starts a flash sale. There are no more payments than before, yet paying takes longer and longer."
    ),
    causes=(
        "Nearly all payments go to one merchant, and its acquirer confirms each while the customer waits.",
        (
            "Each payment adds to the merchant's row of the day in merchant_daily_totals, and keeps that row "
            "locked until it commits, which is after the capture."
        ),
        "So payments to this merchant go one by one, about eight a second, while ten a second arrive.",
        (
            "The others wait for the transaction before them, each with a connection of the pool, until no "
            "connection is left."
        ),
        "All routes wait for connections: customers wait for seconds, then get errors.",
    ),
    steps=(Step(file="inject.sql", login=Login.MIGRATION),),
    evidence=(
        Evidence(
            signal=Signal.METRICS,
            name="sessions waiting for locks",
            query="avg_over_time(db:lock_waits[30s])",
            shows="Most of the pool's sessions wait for a lock.",
            compares=Compares.rises(2.0, margin=2.0),
        ),
        PAYMENT_LATENCY,
        Evidence(
            signal=Signal.LOGS,
            name="waiting for a row",
            query=(
                'sum(count_over_time({app="postgres"} |~ "still waiting for (ShareLock on '
                'transaction|ExclusiveLock on tuple)" [30s]))'
            ),
            shows=(
                "Sessions are still waiting for another transaction; the context of the line names a row of "
                "merchant_daily_totals."
            ),
            compares=Compares.rises(2.0, margin=2),
        ),
        Evidence(
            signal=Signal.TRACES,
            name="long INSERT of the total",
            query=(
                '{ resource.service.name = "payment-service" && name = "INSERT merchant_daily_totals" && duration'
                " > $slow }"
            ),
            shows=(
                "One statement is long, the one that adds to the merchant's total; the others on the same "
                "connection are short."
            ),
            compares=Compares.rises(2.0, margin=5),
        ),
    ),
    alert=Alert(name="DatabaseLockWaits"),
    look_alikes=(
        LookAlike(
            other="lock-queue",
            because="Payments hang, and many sessions wait for locks.",
            tells=Evidence(
                signal=Signal.METRICS,
                name="waits for transactions",
                query=(
                    'avg_over_time((sum(db:lock_waits_by_event{wait_event=~"transactionid|tuple"}) or '
                    "vector(0))[20s:5s])"
                ),
                shows=(
                    "They wait for each other's transactions and rows, all the time; in a queue behind a table "
                    "lock they wait for the relation."
                ),
                compares=Compares.rises(margin=3),
            ),
        ),
    ),
    right_fixes=(
        Fix(
            does="Spread the merchant's total over shards: the live setting counter_shards to 32.",
            because="Payments then meet on the same row seldom; sums over the shards stay right.",
            folder="fixes/shards",
        ),
        Fix(
            does="Have the acquirer capture later.",
            because="The row is then locked for a millisecond, which is enough for hundreds of payments a second.",
        ),
    ),
    unsafe_fixes=(
        Fix(
            does="Spread the total over shards, and terminate the service's sessions so that nobody waits any more.",
            because="It ends payments after their cards were charged; the queue would have been gone in seconds.",
            folder="fixes/terminate",
        ),
        Fix(
            does="Delete the row that everybody waits for.",
            because="It throws the day's figures of the merchant away, and the next payment makes the row anew.",
        ),
        Fix(
            does="Enlarge the connection pool.",
            because="More sessions wait for the same row; payments still go one by one.",
        ),
        Fix(
            does="Terminate the session that holds the lock.",
            because="It ends one payment, after its card was charged; the next one in the queue takes its place.",
        ),
    ),
    oracle=Oracle(
        sql="""
            SELECT coalesce(max(m.weight * a.capture_ms / total), 0) < 50
            FROM merchants m JOIN acquirers a ON a.id = m.acquirer_id, (SELECT sum(weight) AS total FROM merchants) s
        """,
        settings={"counter_shards": 16},
        says=(
            "The totals are spread over at least sixteen shards, or no merchant's row is locked for long by most "
            "payments."
        ),
    ),
    ask=(
        "Payments have become slow although there are no more of them. What do they wait for?",
        "Who blocks whom in the database, and why does it never end?",
        "Why would more connections not help?",
    ),
    finds=(
        "Payments serialise on one row of merchant_daily_totals (merchant 37, today): the INSERT ... ON CONFLICT "
        "DO UPDATE waits for the transaction before it, which waits for the acquirer's capture. Spread the "
        "counter over shards (counter_shards)."
    ),
    bound=(
        "No disk: two rows change, and at most 64 rows for the day's shards are made. Memory: waiting sessions "
        "are those of the pool, at most 12."
    ),
    folder=Path(__file__).parent,
)
