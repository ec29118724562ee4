"""N+1: a report that reads merchant by merchant meets many merchants."""

from pathlib import Path

from incidents.model import Alert, Compares, Evidence, Fix, Incident, Login, Oracle, Signal, Step

__all__ = ["INCIDENT"]

INCIDENT = Incident(
    name="n-plus-one",
    title="N+1 from a report",
    rank=7,
    summary=(
        "The settlement report has become slow since yesterday, and everybody suspects the database. Nobody released "
        "anything, and no statement is slow."
    ),
    causes=(
        (
            "A migration took over the 500 merchants of an acquired competitor, with the settlement runs of their "
            "last days."
        ),
        (
            "The settlement report reads a day's runs with one statement, and then each run's merchant with a "
            "statement of its own."
        ),
        "Where it was 51 statements a report it is 551: each takes less than a millisecond, the round trips add up.",
        (
            "A report takes many times as long and has a connection for as long; the service and the database work on "
            "little else."
        ),
        "Whoever asks for a report waits, and payments share the processor with it.",
    ),
    steps=(Step(file="migration.sql", login=Login.MIGRATION),),
    evidence=(
        Evidence(
            signal=Signal.METRICS,
            name="statements per request",
            query="db:statements_per_request:ratio_30s",
            shows="The service runs several times as many statements for each request.",
            compares=Compares.rises(1.5, margin=1),
        ),
        Evidence(
            signal=Signal.METRICS,
            name="reports are slow",
            # Not p95: of a dozen reports in half a minute that is the slowest one.
            query='route:client_latency_seconds:p50_30s{route="GET /reports/settlement"}',
            shows="Half of the reports take several times as long as they did; other routes are hardly slower.",
            compares=Compares.rises(2, margin=0.02),
        ),
        Evidence(
            signal=Signal.LOGS,
            name="reports in the log",
            query=(
                'quantile_over_time(0.5, {service="payment-service"} |= "/reports/settlement" | json '
                "| unwrap duration_ms [30s]) by (service)"
            ),
            shows="The service's own lines say so: half of the reports take longer than this many milliseconds.",
            compares=Compares.rises(2, margin=40),
        ),
        Evidence(
            signal=Signal.TRACES,
            name="long reports",
            query=(
                '{ resource.service.name = "payment-service" && name = "GET /reports/settlement" && duration > $slow }'
            ),
            shows="Traces of reports are long, and consist of hundreds of siblings named SELECT merchants.",
            compares=Compares.rises(margin=2),
            window_seconds=30,
        ),
    ),
    alert=Alert(name="StatementsPerRequest"),
    right_fixes=(
        Fix(
            does="Let the report read 500 merchants at a time: report_batch_size = 500.",
            because="The same rows with two statements instead of 551.",
            folder="fixes/batched-report",
        ),
        Fix(does="Join the merchants to the runs in the report's one statement.", because="The same, by a release."),
    ),
    unsafe_fixes=(
        Fix(
            does="Delete the new merchants and their settlement runs.",
            because="The report is fast again because the business it reports on is gone.",
            folder="fixes/delete-merchants",
        ),
        Fix(does="A larger pool or a larger database.", because="The round trips stay as many, and as long."),
    ),
    oracle=Oracle(
        sql=("SELECT count(*) < 200 FROM settlement_runs WHERE business_date = (now() AT TIME ZONE 'UTC')::date - 1"),
        says="The report reads at least 50 merchants at a time, or there are few of them again.",
        settings={"report_batch_size": 50},
    ),
    ask=(
        "Why does the settlement report take so long although no statement is slow?",
        "What does the service do differently since the reports became slow?",
    ),
    finds=(
        "Each report makes one statement for the runs and one more for each merchant: some 550 of less than a "
        "millisecond, one after another, where it was 50 before. The number of merchants in a day's settlement has "
        "grown, the code has not changed. Read the merchants in batches; an index or a larger pool would not help."
    ),
    bound=(
        "500 merchants and 2000 settlement runs: below 1 MB. At 20 requests/s some 300 spans a second more, 0.3 MB/s "
        "in the trace store, which forgets by age. A trace of a report is 0.7 MB as Jaeger tells it: from 800 "
        "merchants on it would be more than the gateway takes, and 2500 overran the Collector's queue."
    ),
    folder=Path(__file__).parent,
)
