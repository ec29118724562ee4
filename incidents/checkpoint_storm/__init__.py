"""The server may keep hardly any log, so that it makes a checkpoint every few seconds.

A job that copies 100,000 payments every few seconds writes about 4 MB of log a second. With the setting of the stack
that is a checkpoint every two or three minutes, with the injected one every few seconds. The job stays when the setting
is mended, and must then do no harm: that bounds how much it may write.
"""

from pathlib import Path

from incidents.model import Alert, Compares, Evidence, Fix, Incident, Login, Oracle, Repeat, Signal, Step

INCIDENT = Incident(
    name="checkpoint-storm",
    title="Checkpoints without a pause",
    rank=13,
    summary=(
        "The database writes to its disk without a pause, although no more is paid than before. Plans and locks "
        "look as ever; "
        "what has changed in the server?"
    ),
    causes=(
        "Somebody lowered max_wal_size to 32 MB to save disk.",
        (
            "A backfill fills a third of that within seconds, so PostgreSQL has to make a checkpoint at once, "
            "again and again."
        ),
        (
            "Each checkpoint writes and syncs every changed page; after it, the first change of a page logs the "
            "whole page."
        ),
        "More log makes the next checkpoint due even sooner.",
        "Commits share the disk with all that: on a busy one, customers wait for them.",
    ),
    steps=(
        Step(file="create_snapshot.sql", login=Login.BACKFILL),
        Step(file="inject.sql", login=Login.OPERATOR),
        Step(file="fill_snapshot.sql", login=Login.BACKFILL, repeat=Repeat(pause_seconds=2.5)),
    ),
    evidence=(
        Evidence(
            signal=Signal.METRICS,
            name="requested checkpoints",
            query="increase(db:checkpoints_requested:total[30s])",
            shows=(
                "Checkpoints that the log's size forces, several within half a minute, instead of one every five "
                "minutes."
            ),
            compares=Compares.rises(margin=2),
        ),
        Evidence(
            signal=Signal.LOGS,
            name="too frequent",
            query='sum(count_over_time({app="postgres"} |= "checkpoints are occurring too frequently" [30s]))',
            shows="PostgreSQL says so itself, and that max_wal_size is the parameter to look at.",
            compares=Compares.rises(margin=2),
        ),
        Evidence(
            signal=Signal.TRACES,
            name="slow payments",
            query='{ resource.service.name = "payment-service" && kind = server && duration > $slow }',
            shows="No wave of slow requests: the disk of this stack keeps up, so traces alone would miss it.",
            compares=Compares.stays(2, margin=8),
        ),
    ),
    alert=Alert(name="CheckpointsRequested"),
    right_fixes=(
        Fix(
            does="ALTER SYSTEM SET max_wal_size = '2GB', and reload the configuration.",
            because=(
                "Then the clock decides when a checkpoint is due, and its writes are spread over minutes. No "
                "restart is needed."
            ),
            folder="fixes/larger_log",
        ),
        Fix(
            does="ALTER SYSTEM RESET max_wal_size, and reload the configuration.",
            because="The 1 GB of the configuration file were enough for this job.",
        ),
    ),
    unsafe_fixes=(
        Fix(
            does="Let the service's commits return before they are on disk (synchronous_commit = off).",
            because="The checkpoints stay, and a crash now loses payments that were confirmed.",
            folder="fixes/no_waiting_for_commits",
        ),
        Fix(
            does="Turn full_page_writes or fsync off.",
            because="A crash in the middle of a checkpoint then leaves pages that nothing can repair.",
        ),
    ),
    oracle=Oracle(
        sql="SELECT setting::bigint >= 1024 FROM pg_settings WHERE name = 'max_wal_size'",
        says="max_wal_size is 1 GB or more, in the running server.",
    ),
    ask=(
        "Why is the database's disk busy all the time?",
        "What forces the checkpoints: time or the log's size?",
        "When was the configuration changed, and by how much?",
    ),
    finds=(
        "Requested checkpoints every few seconds, the warning in the log, and shortly before it 'parameter "
        '"max_wal_size" changed '
        "to \"32MB\"'. The backfill's rate is harmless with 1 GB or more."
    ),
    bound=(
        "One copy of 100,000 payments, some 12 MB, which is emptied before it is filled again; the log stays "
        "below max_wal_size: 32 MB "
        "while it lasts, 2 GB after the fix, of which the volume has room for."
    ),
    folder=Path(__file__).parent,
)
