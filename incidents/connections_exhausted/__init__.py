"""Connections exhausted: a job shares the service's role, and the role's limit."""

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
    Repeat,
    Signal,
    Step,
)

__all__ = ["INCIDENT"]

_FULL = Evidence(
    signal=Signal.METRICS,
    name="role at its limit",
    query='max(db:role_connections:ratio{usename="payment_app"})',
    shows="The sessions of the service's role reach the limit that the role has, far below the server's.",
    compares=Compares.rises(margin=0.4),
)

INCIDENT = Incident(
    name="connections-exhausted",
    title="Connection limit reached",
    rank=5,
    summary=(
        "Payments fail, yet the database has nothing to do and every dashboard of the server is green. Retrying helps "
        "now and then, which makes it worse to understand."
    ),
    causes=(
        "A review of roles cut the connection limit of payment_app to 20: the service alone had never needed more.",
        "The monthly statements log in as the same role: 26 workers, of which each keeps its session.",
        (
            "The role is full. An operator makes room by ending the service's idle sessions; the workers in the queue "
            "take it."
        ),
        "The service's pool has no session left, and each new one is refused with 53300.",
        "Payments are tried again four times and then answered with 503.",
    ),
    steps=(
        Step(file="limit.sql", login=Login.OPERATOR),
        Step(
            file="batch.sql",
            login=Login.BATCH,
            held=True,
            repeat=Repeat(pause_seconds=0.5, expected_sqlstates=frozenset({"53300"})),
            sessions=26,
            optional_sessions=True,
        ),
        Step(file="make_room.sql", login=Login.OPERATOR, repeat=Repeat(pause_seconds=2)),
    ),
    evidence=(
        _FULL,
        Evidence(
            signal=Signal.METRICS,
            name="payments fail",
            query="payment:client_success:ratio_30s",
            shows="A part of the payments fails, soon most of them.",
            compares=Compares.falls(0.9),
        ),
        Evidence(
            signal=Signal.LOGS,
            name="server refuses sessions",
            query='sum(count_over_time({app="postgres"} |= "too many connections for role" [30s]))',
            shows="The server refuses sessions of this one role (53300); others get in.",
            compares=Compares.rises(margin=10),
        ),
        Evidence(
            signal=Signal.LOGS,
            name="service is refused",
            query='sum(count_over_time({service="payment-service"} |= "too_many_connections" [30s]))',
            shows="The service logs the refusal for each request that it had to give up.",
            compares=Compares.rises(margin=5),
        ),
        Evidence(
            signal=Signal.TRACES,
            name="acquire fails with 53300",
            query=(
                '{ resource.service.name = "payment-service" && name = "db.pool.acquire" '
                '&& span.db.response.status_code = "53300" }'
            ),
            shows=(
                "Requests fail while they get a connection, at once and with the server's own code; no statement runs."
            ),
            compares=Compares.rises(margin=3),
        ),
    ),
    alert=Alert(name="ConnectionsNearLimit", labels={"usename": "payment_app"}),
    look_alikes=(
        LookAlike(
            other="pool-exhaustion",
            because="In both requests get no database connection while the database has little to do.",
            tells=_FULL,
        ),
    ),
    right_fixes=(
        Fix(
            does=(
                "Raise the role's limit to what service and job need together: ALTER ROLE payment_app CONNECTION "
                "LIMIT 80."
            ),
            because="The server has the slots, and it needs neither a restart nor the end of a session.",
            folder="fixes/raise-limit",
        ),
        Fix(
            does="Give the job fewer workers and a role of its own, with a limit of its own.",
            because="Then it can only exhaust itself.",
        ),
    ),
    unsafe_fixes=(
        Fix(
            does="End all sessions of the role.",
            because="It cuts off every request under way, and the job's workers are back before the service is.",
            folder="fixes/end-all-sessions",
        ),
        Fix(
            does="Raise max_connections and restart.",
            because="The server's limit was never reached, and the restart is an outage of its own.",
        ),
    ),
    oracle=Oracle(
        sql=(
            "SELECT rolconnlimit < 0 OR rolconnlimit >= 10 + (SELECT count(*) FROM pg_stat_activity WHERE usename = "
            "rolname) FROM pg_roles WHERE rolname = 'payment_app'"
        ),
        says="The role has room for ten sessions more.",
    ),
    ask=(
        "Why do payments fail although the database is idle?",
        "Who has the connections that the payment service does not get?",
    ),
    finds=(
        "The role payment_app is at its connection limit of 20 and gets 53300, while the server has slots left and "
        "other roles get in. The sessions belong to payments-batch, which logs in as the service's role; the limit "
        "was lowered. Raise it, and give the job a role of its own. The service's pool is not the cause: it is empty, "
        "not full."
    ),
    bound=(
        "At most 20 server processes of some 4 MB each before a fix, 26 after it, below the server's limit of memory "
        "and of 100 connections; other roles always get in. Some 50 log lines a second, which the log's pruner and "
        "Loki's retention bound."
    ),
    folder=Path(__file__).parent,
)
