"""An operator vacuums the payments by hand: it takes a second, blocks nobody, and leaves a line in the log."""

from pathlib import Path

from incidents.model import Compares, Evidence, Incident, Kind, Login, Repeat, Signal, Step

INCIDENT = Incident(
    name="decoy-manual-vacuum",
    title="Maintenance by hand",
    rank=18,
    kind=Kind.DECOY,
    summary="An operator was at the database and ran something long on the largest table. Did it do harm?",
    causes=(
        "An operator vacuums and analyses the payments by hand, a few times in a row.",
        "Its lock lets everybody read and write, and its cost is that of reading the table once.",
        "Statistics are fresh afterwards; nothing else has changed.",
    ),
    steps=(Step(file="maintenance.sql", login=Login.OPERATOR, repeat=Repeat(pause_seconds=10)),),
    evidence=(
        Evidence(
            signal=Signal.LOGS,
            name="vacuum in the log",
            query='sum(count_over_time({app="postgres"} |= "statement: VACUUM (ANALYZE) payments" [30s]))',
            shows="A long statement of an operator: VACUUM, which blocks neither reading nor writing.",
            compares=Compares.rises(margin=1),
        ),
    ),
    ask=("Is the maintenance on the payments table a problem?",),
    finds=(
        "No: VACUUM without FULL blocks no payment, the service level holds, and dead rows and statistics are "
        "better than before."
    ),
    bound="It frees space and takes none; memory: maintenance_work_mem, 64 MB.",
    folder=Path(__file__).parent,
)
