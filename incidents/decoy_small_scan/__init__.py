"""A job reads a table of four rows from end to end, again and again: the right plan, and no index would help."""

from pathlib import Path

from incidents.model import Compares, Evidence, Incident, Kind, Login, Repeat, Signal, Step

INCIDENT = Incident(
    name="decoy-small-scan",
    title="Sequential scans that do no harm",
    rank=16,
    kind=Kind.DECOY,
    summary="A dashboard shows many more sequential scans than yesterday. Does an index lack?",
    causes=(
        "A job of the finance department asks for the acquirers' response times some twenty times a second.",
        ("All acquirers fit into one page, so PostgreSQL reads the table from end to end, which is the cheapest way."),
        "Nobody else notices.",
    ),
    steps=(Step(file="scan.sql", login=Login.EXPORT, repeat=Repeat(pause_seconds=0.04)),),
    evidence=(
        Evidence(
            signal=Signal.METRICS,
            name="scans of acquirers",
            query='db:table_seq_scans:rate_30s{relname="acquirers"}',
            shows="Sequential scans of acquirers go up many times over: a small table, read in microseconds.",
            compares=Compares.rises(2, margin=2),
        ),
    ),
    ask=("There are so many sequential scans: do we need an index?",),
    finds="No: the table has four rows. The scans are cheap, no query is slow, and the service level holds.",
    bound="It reads, and keeps nothing.",
    folder=Path(__file__).parent,
)
