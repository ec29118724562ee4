"""Refunds and a balance check lock the same rows in opposite order.

A refund locks its payment, asks the merchant's acquirer, and then locks the merchant's account. While acquirers answer
in milliseconds nothing ever comes between the two. Now they take 0.4 s, and a job that checks the balances of the
largest merchants locks accounts first and their payments after that, about twice a second.
"""

from pathlib import Path

from incidents.model import Alert, Compares, Evidence, Fix, Incident, Login, Oracle, Repeat, Signal, Step

INCIDENT = Incident(
    name="deadlock-storm",
    title="Transactions kill each other, again and again",
    rank=9,
    summary=(
        "Refunds have become slow and some of them fail, while payments look healthy. The database itself ends "
        "transactions, "
        "several a minute. What is it that they do to each other, and since when?"
    ),
    causes=(
        "The acquirers answer refunds in 400 ms instead of 10 ms.",
        "So a refund holds the lock on its payment for 0.4 s before it asks for the lock on the merchant's account.",
        "A balance check of the largest merchants locks the account first and the merchant's payments after it.",
        (
            "When both meet at one merchant, each waits for what the other holds; after 200 ms PostgreSQL ends "
            "one of them."
        ),
        (
            "The service repeats the refund, acquirer and all: customers wait a second, and see an error after "
            "the fourth time."
        ),
    ),
    steps=(
        Step(file="inject.sql", login=Login.BACKFILL),
        # A victim opens its session anew: its transaction is in pieces anyway.
        Step(file="check_balances.sql", login=Login.BATCH, repeat=Repeat(pause_seconds=0.4)),
    ),
    evidence=(
        Evidence(
            signal=Signal.METRICS,
            name="deadlocks",
            query="increase(db:deadlocks:total[30s])",
            shows="PostgreSQL breaks up deadlocks, several within half a minute: not an accident, a pattern.",
            compares=Compares.rises(margin=2),
        ),
        Evidence(
            signal=Signal.LOGS,
            name="deadlock in the log",
            query='sum(count_over_time({app="postgres"} |= "deadlock detected" [30s]))',
            shows="Each one is logged with both statements: one locks payments, the other an account.",
            compares=Compares.rises(margin=2),
        ),
        Evidence(
            signal=Signal.TRACES,
            name="40P01 in refunds",
            query='{ resource.service.name = "payment-service" && span.db.response.status_code = "40P01" }',
            shows="Database spans of refunds end with 40P01, and the same statements follow again in the same trace.",
            compares=Compares.rises(margin=1),
            window_seconds=30,
        ),
    ),
    alert=Alert(name="DatabaseDeadlocks"),
    right_fixes=(
        Fix(
            does=(
                "Set lock_order of the service to canonical: refunds lock the merchant's account first, as all "
                "else does."
            ),
            because="With one order for all, one waits for the other and nobody waits in a circle.",
            folder="fixes/canonical_lock_order",
        ),
        Fix(
            does=(
                "Bring the acquirers' answers back below 100 ms, or move the merchants to an acquirer that "
                "answers in time."
            ),
            because="The order stays wrong, but the time in which two transactions can meet is gone.",
        ),
    ),
    unsafe_fixes=(
        Fix(
            does="Terminate the sessions that take part.",
            because="It breaks off requests that were doing well, and the next refund meets the next check.",
            folder="fixes/terminate_sessions",
        ),
        Fix(
            does="Raise deadlock_timeout.",
            because="There are as many deadlocks as before; they are only found later, and everybody waits longer.",
        ),
    ),
    oracle=Oracle(
        sql=(
            "SELECT coalesce(max(a.response_ms), 0) < 100 FROM merchants m JOIN acquirers a ON a.id = m.acquirer_id "
            "WHERE m.weight > 0"
        ),
        settings={"lock_order": "canonical"},
        says="Refunds lock accounts first, or no merchant with payments has an acquirer that takes 100 ms or longer.",
    ),
    ask=(
        "Why do refunds fail?",
        "Which two transactions get in each other's way, and on which rows?",
        "Would a retry be enough?",
    ),
    finds=(
        "Deadlocks between refunds (payment first, then the merchant's account) and the balance check of "
        "payments-batch (account "
        "first, then payments). The trace shows 0.4 s at the acquirer between the two locks of a refund. One "
        "order of "
        "locks for all ends it; retries only hide it."
    ),
    bound="Locks on rows and four rows of acquirers: neither disk nor memory grows.",
    folder=Path(__file__).parent,
)
