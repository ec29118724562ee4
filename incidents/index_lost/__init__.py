"""A migration drops the index that the hot query needs."""

from pathlib import Path

from incidents.model import (
    Alert,
    Compares,
    Evidence,
    Fix,
    Incident,
    Login,
    LookAlike,
    Oracle,
    Signal,
    Step,
)
from incidents.symptoms import PAYMENT_LATENCY

__all__ = ["INCIDENT"]

# A plan that auto_explain logged in which the table is read from end to end, although few rows were expected: the
# planner knows well how little it is looking for and has no other way to it.
_HONEST_SCAN = (
    'sum(count_over_time({app="postgres"} |~ `"Node Type": "Seq Scan"[^}]*"Relation Name": '
    '"payments"[^}]*"Plan Rows": [0-9]{1,4},` [30s]))'
)

INCIDENT = Incident(
    name="index-lost",
    title="An index is missing",
    rank=1,
    summary="A change of the schema goes live. Minutes later customers complain that paying takes seconds.",
    causes=(
        "A migration dropped payments_customer_id_created_at_idx.",
        (
            "The velocity check of every payment, and every page of a customer's history, reads all of a million "
            "payments instead of a few dozen index entries: 200 ms of a processor each, at a dozen statements a "
            "second."
        ),
        "Two processors cannot keep up; each statement takes seconds, and its connection is taken for as long.",
        "The pool of connections runs empty, so requests that never touch payments by customer wait too.",
        "Customers wait for seconds, then get 503.",
    ),
    steps=(Step(file="inject.sql", login=Login.MIGRATION),),
    evidence=(
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
            name="plans with Seq Scan",
            query=(
                'sum(count_over_time({app="postgres"} |~ `"Node Type": "Seq Scan"` |= `"Relation Name": '
                '"payments"` [30s]))'
            ),
            shows="Logged plans of the velocity check read payments with a Seq Scan that throws nearly all rows away.",
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
    alert=Alert(name="SequentialReads", labels={"relname": "payments"}),
    look_alikes=(
        LookAlike(
            other="stale-statistics",
            because="The same query is slow, by the same Seq Scan.",
            tells=Evidence(
                signal=Signal.LOGS,
                name="scan despite right estimate",
                query=_HONEST_SCAN,
                shows=(
                    "The planner expects a few rows and still scans: it has no index to use. With stale "
                    "statistics it expects a large part of the table."
                ),
                compares=Compares.rises(2.0, margin=5),
            ),
        ),
    ),
    right_fixes=(
        Fix(
            does="CREATE INDEX CONCURRENTLY on payments (customer_id, created_at).",
            because="It gives the query its index back and blocks neither reads nor writes while it is built.",
            folder="fixes/concurrently",
        ),
    ),
    unsafe_fixes=(
        Fix(
            does="CREATE INDEX without CONCURRENTLY.",
            because=(
                "Nobody can take a payment while it is built: it locks the table against writes, for long on a "
                "loaded server."
            ),
            folder="fixes/blocking",
        ),
        Fix(
            does="Enlarge the connection pool.",
            because=(
                "More scans side by side on the same two processors: each takes longer, and nobody is served sooner."
            ),
        ),
        Fix(
            does="SET enable_seqscan = off.",
            because="There is no index to use instead, so the plan stays; elsewhere it makes plans worse.",
        ),
    ),
    oracle=Oracle(
        sql="""
            SELECT EXISTS (
                SELECT FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
                WHERE i.indrelid = 'payments'::regclass AND a.attname = 'customer_id'
                  AND i.indisvalid AND i.indisready AND i.indpred IS NULL
            )
        """,
        says="payments has a valid index again that leads with customer_id.",
    ),
    ask=(
        "Payments have become slow in the last minutes. Why?",
        "Which statement costs the database most, and what changed about its plan?",
        "Is it safe to repair this while customers pay?",
    ),
    finds=(
        "The velocity check (SELECT on payments by customer_id and created_at) does a Seq Scan over a million "
        "rows because its index is gone; estimates are right, so it is no matter of statistics. Build the index "
        "with CONCURRENTLY."
    ),
    bound=(
        "No disk: the dropped index frees its 35 MB, and building it again takes no more. Memory: twelve scans of"
        " the pool share one ring buffer each of 256 kB; the build sorts in 64 MB at most."
    ),
    folder=Path(__file__).parent,
)
