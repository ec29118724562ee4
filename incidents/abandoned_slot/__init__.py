"""A standby was set up, fell silent and was forgotten; its slot keeps all log since."""

from pathlib import Path

from incidents.model import Alert, Compares, Evidence, Fix, Incident, Login, Oracle, Signal, Step

INCIDENT = Incident(
    name="abandoned-slot",
    title="The log is not removed any more",
    rank=14,
    summary=(
        "Nothing is slow and nobody complains. But the database's disk fills with something that is no table, "
        "and the curve does "
        "not bend. How long until it matters?"
    ),
    causes=(
        "Somebody created a replication slot for a standby that was to be set up in another region.",
        "The standby connected once and stopped answering; the server ended its session after a time-out.",
        "An inactive slot keeps every file of the log from the place on that its standby has confirmed.",
        "A backfill writes as much log in seconds as the service does in an hour, and none of it can be removed.",
        (
            "Without a bound (here max_slot_wal_keep_size) the disk fills up, the server stops, and with it "
            "every payment."
        ),
    ),
    steps=(
        Step(file="create_slot.sql", login=Login.OPERATOR),
        Step(file="stream.sql", login=Login.STANDBY),
        Step(file="backfill.sql", login=Login.BACKFILL),
    ),
    evidence=(
        Evidence(
            signal=Signal.METRICS,
            name="log held back",
            query="max(db:inactive_slot_retained_bytes)",
            shows="A slot that nobody uses holds back tens of megabytes of log, and more with every write.",
            compares=Compares.rises(margin=33554432),
        ),
        Evidence(
            signal=Signal.LOGS,
            name="standby lost",
            query=(
                'sum(count_over_time({app="postgres"} |= "terminating walsender process due to replication '
                'timeout" [45s]))'
            ),
            shows=(
                "The server gave up a standby that did not answer: whose slot it is, and since when nobody uses it."
            ),
            compares=Compares.rises(margin=1),
        ),
        Evidence(
            signal=Signal.TRACES,
            name="slow payments",
            query='{ resource.service.name = "payment-service" && kind = server && duration > $slow }',
            shows="No request is slower than before: a disk that fills up is not felt until it is full.",
            compares=Compares.stays(2, margin=8),
        ),
    ),
    alert=Alert(name="ReplicationSlotWal"),
    right_fixes=(
        Fix(
            does="Make sure that the standby will not come back, and drop its slot with pg_drop_replication_slot.",
            because=(
                "The log becomes free with the next checkpoint; a standby that is still wanted is set up anew anyway."
            ),
            folder="fixes/drop_the_slot",
        ),
        Fix(
            does="Bring the standby back.",
            because="It fetches what it lacks, and the slot moves on.",
        ),
    ),
    unsafe_fixes=(
        Fix(
            does="Lower max_slot_wal_keep_size until the space is free.",
            because=(
                "It takes the log from every standby that is a little behind, and the forgotten slot is still there."
            ),
            folder="fixes/keep_less",
        ),
        Fix(
            does="Delete files from pg_wal by hand.",
            because="The server may need them to start: that loses the database.",
        ),
        Fix(does="Restart the server.", because="Slots outlive restarts; payments do not."),
    ),
    oracle=Oracle(
        sql="SELECT NOT EXISTS (SELECT FROM pg_replication_slots WHERE NOT active)",
        says="No inactive replication slot is left.",
    ),
    ask=(
        "Why does the disk fill up although the tables do not grow?",
        "Who still needs this part of the log?",
        "How much time is left?",
    ),
    finds=(
        "The slot standby_eu_1 is inactive since the server ended its standby's session after a time-out, and "
        "holds back more and "
        "more log; payments are untouched. Drop the slot once it is clear that the standby will not return."
    ),
    bound=(
        "The slot holds back what was logged since the last checkpoint and the 85 MB of the backfill, which runs once; "
        "max_slot_wal_keep_size lets it hold back 1 GB at most. The copy of 600,000 payments takes 70 MB until it is "
        "dropped at the end of the step."
    ),
    folder=Path(__file__).parent,
)
