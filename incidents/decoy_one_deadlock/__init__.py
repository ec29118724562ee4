"""Two jobs meet once on two rows, PostgreSQL ends one of them, and it does its work again: as it should be.

Both have their first lock before either asks for the second. They are rows of merchants, of which payments need only
locks that these do not exclude.
"""

from pathlib import Path

from incidents.model import Compares, Evidence, Incident, Kind, Login, Repeat, Signal, Step

_UNTIL_DONE = Repeat(pause_seconds=1, until_success=True)
_FIRST_LOCK = 2
"""Statements of each: BEGIN, and the one that locks its first row."""

INCIDENT = Incident(
    name="decoy-one-deadlock",
    title="One deadlock",
    rank=17,
    kind=Kind.DECOY,
    summary="The log of the database says that there was a deadlock. How bad is it?",
    causes=(
        "Two jobs change the same two merchants in opposite order.",
        "Each waits for the other; after 200 ms PostgreSQL ends one of them.",
        "That one tries again and succeeds. No customer was involved.",
    ),
    steps=(
        Step(file="raise_fees.sql", login=Login.BACKFILL, repeat=_UNTIL_DONE, meets_after=_FIRST_LOCK),
        Step(file="rename.sql", login=Login.MIGRATION, repeat=_UNTIL_DONE, meets_after=_FIRST_LOCK),
    ),
    evidence=(
        Evidence(
            signal=Signal.METRICS,
            name="one deadlock",
            query="increase(db:deadlocks:total[30s])",
            shows="The counter goes up by one, and not again.",
            compares=Compares.rises(margin=0.5),
        ),
        Evidence(
            signal=Signal.LOGS,
            name="one deadlock in the log",
            query='sum(count_over_time({app="postgres"} |= "deadlock detected" [30s]))',
            shows="It names two jobs and two rows of merchants; the service is not part of it.",
            compares=Compares.rises(margin=1),
        ),
    ),
    ask=("There was a deadlock: what must be done?",),
    finds=(
        "Nothing urgent: one deadlock between two jobs, one of which tried again; no payment waited, and it does "
        "not go on."
    ),
    bound="Two row locks for a second; the rows keep their values.",
    folder=Path(__file__).parent,
)
