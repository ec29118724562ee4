"""Payments keep their connections while an acquirer takes its time, until the pool has none left."""

from pathlib import Path

from incidents.model import Alert, Compares, Evidence, Fix, Incident, Login, LookAlike, Oracle, Signal, Step
from incidents.symptoms import PAYMENT_LATENCY

__all__ = ["INCIDENT"]

INCIDENT = Incident(
    name="pool-exhaustion",
    title="No connection left in the pool",
    rank=2,
    summary=(
        "New contracts with the acquirers come into force. The service crawls, though the database has hardly "
        "anything to do."
    ),
    causes=(
        "The acquirers now capture while the customer waits, which takes well over a second (acquirers.capture_ms).",
        (
            "The service asks them within the payment's transaction, so a connection of the pool is taken all "
            "that time and does nothing."
        ),
        "Ten payments a second for 1.6 seconds each want sixteen connections; the pool has twelve.",
        (
            "Requests of all routes wait for a connection before their first statement: the acquire span grows, "
            "the database's do not."
        ),
        "Customers wait for seconds, even those who only look a payment up; then they get 503.",
    ),
    steps=(Step(file="inject.sql", login=Login.MIGRATION),),
    evidence=(
        Evidence(
            signal=Signal.METRICS,
            name="waiting for the pool",
            query="pool:pending_acquires",
            shows="Requests queue for a connection; before, none did.",
            compares=Compares.rises(2.0, margin=10),
        ),
        Evidence(
            signal=Signal.METRICS,
            name="idle in transaction",
            query='db:connections_by_state{state="idle in transaction"}',
            shows=(
                "Most of the pool's connections are within a transaction and wait for the client: the database "
                "has nothing to do."
            ),
            compares=Compares.rises(2.0, margin=5),
        ),
        PAYMENT_LATENCY,
        Evidence(
            signal=Signal.LOGS,
            name="slow lookups",
            query=(
                'sum(count_over_time({service="payment-service"} |= "\\"route\\":\\"/payment/{payment_id}\\"" |~ '
                '"\\"duration_ms\\":[0-9]{4}" [30s]))'
            ),
            shows=(
                "Looking up one payment by its key takes more than a second, and PostgreSQL logs no slow "
                "statement for it."
            ),
            compares=Compares.rises(2.0, margin=5),
        ),
        Evidence(
            signal=Signal.TRACES,
            name="long waits for the pool",
            query='{ resource.service.name = "payment-service" && name = "db.pool.acquire" && duration > $slow }',
            shows="The time goes into getting a connection, before the first statement.",
            compares=Compares.rises(2.0, margin=5),
        ),
        Evidence(
            signal=Signal.TRACES,
            name="slow captures",
            query='{ resource.service.name = "payment-service" && name = "acquirer capture" && duration > 1s }',
            shows="Payments hold their connection while the acquirer captures; the statements around it are short.",
            compares=Compares.rises(2.0, margin=5),
        ),
    ),
    alert=Alert(name="PoolPendingAcquires"),
    look_alikes=(
        LookAlike(
            other="connections-exhausted",
            because="Requests fail for want of a connection.",
            tells=Evidence(
                signal=Signal.TRACES,
                name="connections held by captures",
                query='{ resource.service.name = "payment-service" && name = "acquirer capture" && duration > 1s }',
                shows=(
                    "The pool's own connections are all taken, by payments that wait for the acquirer; the server"
                    " would give more. At the limit of a role it refuses them (53300)."
                ),
                compares=Compares.rises(2.0, margin=5),
            ),
        ),
    ),
    right_fixes=(
        Fix(
            does="Have the acquirers capture later (acquirers.capture_ms = 0).",
            because="Payments then give their connection back within milliseconds.",
            folder="fixes/release",
        ),
        Fix(
            does="Change the service so that it captures after its transaction, without a connection.",
            because="It removes the cause for good; until then a shorter pool_acquire_timeout sheds load early.",
        ),
    ),
    unsafe_fixes=(
        Fix(
            does="Have them capture later, and terminate the service's sessions so that the pool is free at once.",
            because="Payments whose cards are being charged are lost; the pool would have been free two seconds later.",
            folder="fixes/terminate",
        ),
        Fix(
            does="Restart the service, and nothing else.",
            because="Requests under way fail, and the pool is full again within seconds.",
        ),
        Fix(
            does="Enlarge the pool to a hundred connections.",
            because=(
                "The role is limited to 40, so new ones are refused (53300); and the captures take as long as before."
            ),
        ),
    ),
    oracle=Oracle(
        sql=(
            "SELECT coalesce(max(a.capture_ms), 0) < 200 FROM acquirers a JOIN merchants m ON m.acquirer_id = "
            "a.id AND m.weight > 0"
        ),
        says="No acquirer of an active merchant keeps a payment's connection for long.",
    ),
    ask=(
        "Requests take seconds, even simple lookups. Where does the time go?",
        "Is the database overloaded?",
        "What do the connections of the pool do while others wait for them?",
    ),
    finds=(
        "All twelve connections of the pool are taken by payments that are idle in transaction while the acquirer"
        " captures (span acquirer capture, well over a second); everybody else waits in db.pool.acquire. The "
        "database is idle. Release the connection: capture later."
    ),
    bound=(
        "No disk: fewer than a hundred small rows change. Memory: at most 12 sessions, and the requests that "
        "wait, of which the service refuses any above 2000."
    ),
    folder=Path(__file__).parent,
)
