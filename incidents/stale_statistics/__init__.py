"""An import leaves the planner with statistics of another table, and autovacuum switched off."""

from pathlib import Path

from incidents.model import Alert, Compares, Evidence, Fix, Incident, Login, LookAlike, Oracle, Signal, Step
from incidents.symptoms import PAYMENT_LATENCY

__all__ = ["INCIDENT"]

# A plan that auto_explain logged in which the planner expected a large part of the table.
_MISLED_SCAN = (
    'sum(count_over_time({app="postgres"} |~ `"Node Type": "Seq Scan"[^}]*"Relation Name": "payments"[^}]*"Plan '
    'Rows": [0-9]{5,},` [30s]))'
)

INCIDENT = Incident(
    name="stale-statistics",
    title="The planner is misled",
    rank=6,
    summary="Old payments are imported for the fraud team. The import ends well; soon after, paying is slow.",
    causes=(
        (
            "An import switched autovacuum off for payments, and took statistics of customer_id with the settings"
            " of its staging table: one distinct value."
        ),
        "105,000 rows came in and nobody analysed the table, nor will autovacuum do so.",
        (
            "The planner takes every customer for the owner of all payments, so a Seq Scan looks cheaper than the"
            " index, which is there."
        ),
        (
            "The velocity check of every payment reads more than a million rows: 200 ms of a processor, ten times"
            " a second."
        ),
        "Two processors cannot keep up; statements take seconds, the pool runs empty, customers wait and then get 503.",
    ),
    steps=(Step(file="import.sql", login=Login.BACKFILL),),
    evidence=(
        Evidence(
            signal=Signal.METRICS,
            name="changes since analyze",
            query='db:table_changes_since_analyze:ratio{relname="payments"}',
            shows="A tenth of the table has changed since it was analysed; autovacuum analyses it at two hundredths.",
            compares=Compares.rises(margin=0.06),
        ),
        Evidence(
            signal=Signal.METRICS,
            name="sequential rows read",
            query='db:table_seq_tuples:rate_30s{relname="payments"}',
            shows="Millions of rows a second are read from payments by sequential scans; before, next to none.",
            compares=Compares.rises(3.0, margin=500_000),
        ),
        PAYMENT_LATENCY,
        Evidence(
            signal=Signal.LOGS,
            name="estimates far off",
            query=_MISLED_SCAN,
            shows=(
                "Logged plans expect a million rows of payments where a few dozen come (Plan Rows against Actual Rows)."
            ),
            compares=Compares.rises(2.0, margin=5),
        ),
        Evidence(
            signal=Signal.TRACES,
            name="long SELECT payments",
            query='{ resource.service.name = "payment-service" && name = "SELECT payments" && duration > $slow }',
            shows="The same statement text as ever, but its database span is long.",
            compares=Compares.rises(2.0, margin=5),
        ),
    ),
    alert=Alert(name="ManyChangesSinceAnalyze", labels={"relname": "payments"}),
    look_alikes=(
        LookAlike(
            other="index-lost",
            because="The same query is slow, by the same Seq Scan.",
            tells=Evidence(
                signal=Signal.LOGS,
                name="scan by wrong estimate",
                query=_MISLED_SCAN,
                shows=(
                    "The planner expects most of the table, so it does not want the index. Where the index is "
                    "lost, it expects a few rows."
                ),
                compares=Compares.rises(2.0, margin=5),
            ),
        ),
    ),
    right_fixes=(
        Fix(
            does="ANALYZE payments, and switch autovacuum on again for the table.",
            because="It reads a sample, blocks nobody, and plans follow the new statistics at once.",
            folder="fixes/analyze",
        ),
    ),
    unsafe_fixes=(
        Fix(
            does="VACUUM (FULL, ANALYZE) payments, and switch autovacuum on again.",
            because=(
                "It brings new statistics, but rewrites the table under a lock that nobody gets past, reads included."
            ),
            folder="fixes/rewrite",
        ),
        Fix(
            does="Build another index on payments.",
            because="There is one that fits; with these statistics the planner would not use the new one either.",
        ),
        Fix(
            does="SET enable_seqscan = off for the service's role.",
            because="It hides the wrong estimate, and every other plan is forced too.",
        ),
    ),
    oracle=Oracle(
        sql="""
            SELECT (s.n_distinct > 1000 OR s.n_distinct BETWEEN -1 AND -0.001) AND NOT EXISTS (
                SELECT FROM pg_class c, unnest(c.reloptions) o
                WHERE c.oid = 'payments'::regclass AND o IN ('autovacuum_enabled=false', 'autovacuum_enabled=off')
            )
            FROM pg_stats s WHERE s.schemaname = 'public' AND s.tablename = 'payments' AND s.attname = 'customer_id'
        """,
        says="The statistics know of the many customers of payments again, and autovacuum looks after the table.",
    ),
    ask=(
        "Payments became slow after an import. What is different for the database?",
        "The index on customer_id is there. Why is it not used?",
        "How far are the planner's estimates from the truth, and why?",
    ),
    finds=(
        "The velocity check does a Seq Scan although payments_customer_id_created_at_idx exists: the planner "
        "expects a million rows (Plan Rows) where a few dozen come. Statistics are stale: many changes since "
        "analyze, autovacuum off for the table. ANALYZE payments."
    ),
    bound=(
        "Disk: the import has 105,000 rows, 11 MB of table and about 17 MB of indexes, whatever how often it runs"
        " (its ids are fixed); recovery deletes and vacuums them, and the room is used again. About 75 MB of "
        "write-ahead log in all. Memory: one session."
    ),
    folder=Path(__file__).parent,
)
