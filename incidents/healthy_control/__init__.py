"""Nothing is done, so nothing may be found: the test of whoever finds something in everything."""

from pathlib import Path

from incidents.model import Compares, Evidence, Incident, Kind, Signal

INCIDENT = Incident(
    name="healthy-control",
    title="All is well",
    rank=15,
    kind=Kind.CONTROL,
    summary="Somebody says that payments feel slow today. Is there anything to it?",
    evidence=(
        Evidence(
            signal=Signal.METRICS,
            name="deadlocks and lock waits",
            query="increase(db:deadlocks:total[30s]) + avg_over_time(db:lock_waits[30s])",
            shows="Nobody waits for anybody.",
            compares=Compares.stays(margin=1),
        ),
        Evidence(
            signal=Signal.LOGS,
            name="errors",
            query=(
                'sum(count_over_time({app="postgres"} |~ "deadlock|terminating|too frequently|out of memory" [30s]))'
            ),
            shows="The database's log has nothing but the routine.",
            compares=Compares.stays(),
        ),
        Evidence(
            signal=Signal.TRACES,
            name="slow requests",
            query='{ resource.service.name = "payment-service" && kind = server && duration > $slow }',
            shows="Requests take as long as before.",
            compares=Compares.stays(2, margin=8),
        ),
    ),
    ask=("Is something wrong with the database?", "Are payments slower than usual?"),
    finds=(
        "Nothing: the service level holds, no alert fires, and what an answer names as suspicious was there before."
    ),
    bound="Nothing is changed.",
    folder=Path(__file__).parent,
)
