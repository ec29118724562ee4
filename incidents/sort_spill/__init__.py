"""A trigger on payments sorts more than its memory holds, once for each payment.

Measured on a million payments: one sort takes 120,000 rows, of which it writes 3 MB to a temporary file. In memory it
takes about as long: the sort costs, not the disk. With an index in its order it reads some ten thousand entries.
"""

from pathlib import Path

from incidents.model import Alert, Compares, Evidence, Fix, Incident, Login, Oracle, Signal, Step

__all__ = ["INCIDENT"]

INCIDENT = Incident(
    name="sort-spill",
    title="Sorts do not fit into memory",
    rank=10,
    summary=(
        "Since a small migration of the fraud team, paying takes several times as long. Other routes are hardly slower"
        ", and nothing of the service was released."
    ),
    causes=(
        "A migration added a trigger to payments, which announces payments that are among the thousand largest lately.",
        "No index gives payments by their amount, so for each payment it sorts 120,000 rows to find the thousandth.",
        "A sort may use 4 MB (work_mem) and needs more, so it writes 3 MB of temporary files, ten times a second.",
        "Reading, sorting and writing take a good part of a processor, within the INSERT of each payment.",
        "Customers wait longer for their payments, and whoever shares the processors waits with them.",
    ),
    steps=(Step(file="migration.sql", login=Login.MIGRATION),),
    evidence=(
        Evidence(
            signal=Signal.METRICS,
            name="temporary bytes",
            query="db:temp_bytes:rate_30s",
            shows="Megabytes a second go to temporary files, where none did before.",
            compares=Compares.rises(margin=2e6),
        ),
        Evidence(
            signal=Signal.LOGS,
            name="temporary files",
            query='sum(count_over_time({app="postgres"} |= "temporary file: path" [30s]))',
            shows="Each file is logged with its size, the INSERT of a payment, and the statement of the trigger in it.",
            compares=Compares.rises(margin=3),
        ),
        Evidence(
            signal=Signal.TRACES,
            name="long INSERT payments",
            query='{ resource.service.name = "payment-service" && name = "INSERT payments" && duration > $long }',
            shows="The same statement text as ever, but its database span is longer than whole payments were.",
            compares=Compares.rises(2, margin=2),
        ),
    ),
    alert=Alert(name="TempFiles"),
    right_fixes=(
        Fix(
            does="CREATE INDEX CONCURRENTLY on payments (amount_minor DESC, id).",
            because=(
                "The trigger then reads the largest payments from the index, stops at the thousandth and sorts nothing;"
                " nobody waits while it is built."
            ),
            folder="fixes/index_for_the_order",
        ),
        Fix(
            does="Keep the thousandth amount in a table that a job renews, and let the trigger read that.",
            because="The rule stays, and a payment no longer pays for the sort.",
        ),
    ),
    unsafe_fixes=(
        Fix(
            does="Build the index without CONCURRENTLY.",
            because="No payment can be written until it is built.",
            folder="fixes/blocking_index",
        ),
        Fix(
            does="Raise work_mem, for the service's role or for everybody.",
            because=(
                "The files are gone and the alert with them, but sorting in memory takes as long; and each of the "
                "pool's sessions may use that much, of which the server has little."
            ),
        ),
        Fix(
            does="Drop the trigger.",
            because="Payments are quick again, and the fraud team no longer hears of large ones.",
        ),
    ),
    oracle=Oracle(
        sql=(
            "SELECT EXISTS (SELECT FROM pg_trigger WHERE tgname = 'payments_announce_large' AND tgenabled <> 'D') "
            "AND (EXISTS (SELECT FROM pg_index WHERE indrelid = 'payments'::regclass AND indisvalid "
            r"AND pg_get_indexdef(indexrelid) ~ '\(amount_minor( DESC)?, id') "
            r"OR EXISTS (SELECT FROM pg_proc WHERE proname = 'announce_large_payment' AND prosrc !~* '\mover\s*\(' "
            "AND prosrc ~* 'pg_notify' AND prosrc ~* 'amount_minor'))"
        ),
        says=(
            "The trigger is there, and a valid index of payments begins with amount_minor and id, or the trigger ranks "
            "nothing any more and still tells of large payments."
        ),
    ),
    ask=(
        "Payments take longer since the last migration: where does the time go?",
        "Which statement writes temporary files, and how large are they?",
        "Would you raise work_mem?",
    ),
    finds=(
        "The INSERT of a payment spends its time in the trigger payments_announce_large, which sorts 120,000 payments "
        "by amount and spills 3 MB each time: temporary bytes and files rise from zero, the log names the trigger's "
        "statement in the context of the INSERT. An index on (amount_minor DESC, id), built concurrently, ends the "
        "sort; more work_mem would only hide it."
    ),
    bound=(
        "A sort's temporary file has 3 MB and goes with the statement; temp_file_limit would stop a session at 2 GB. "
        "Memory: work_mem for each session of the pool that is paying. The index of the fix has 30 MB, until recovery."
    ),
    folder=Path(__file__).parent,
)
