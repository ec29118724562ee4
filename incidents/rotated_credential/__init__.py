"""Rotated credential: the password changed, and the service did not hear of it."""

from pathlib import Path

from incidents.model import Alert, Compares, Evidence, Fix, Incident, Login, Oracle, Repeat, Signal, Step

__all__ = ["INCIDENT"]

INCIDENT = Incident(
    name="rotated-credential",
    title="Rotated credential",
    rank=12,
    summary=(
        "Payments go well for a while after the change that nobody suspects any more, then some fail, then all. The "
        "database is up, fast, and lets everybody in but one."
    ),
    causes=(
        "The vault rotated the password of payment_app, as it does every month.",
        "Sessions that are open stay valid, so the service goes on with its pool and the old password.",
        "The vault revokes what was opened with the old password, a few sessions at a time.",
        "Each new connection is refused with 28P01: the pool shrinks, and nothing fills it up.",
        "With the last session gone every payment is answered with 503.",
    ),
    steps=(
        Step(file="rotate.sql", login=Login.OPERATOR),
        Step(file="revoke.sql", login=Login.OPERATOR, repeat=Repeat(pause_seconds=2)),
    ),
    evidence=(
        Evidence(
            signal=Signal.METRICS,
            name="sessions disappear",
            query='sum(db:connections_by_role{usename="payment_app"}) or vector(0)',
            shows="The service's role has fewer and fewer sessions, in the end none.",
            compares=Compares.falls(0.4),
        ),
        Evidence(
            signal=Signal.METRICS,
            name="payments fail",
            query="payment:client_success:ratio_30s",
            shows="Payments fail, in the end all of them.",
            compares=Compares.falls(0.8),
        ),
        Evidence(
            signal=Signal.LOGS,
            name="password is refused",
            query=(
                'sum(count_over_time({app="postgres"} |= "password authentication failed for user" |= '
                '"payment_app" [30s]))'
            ),
            shows="The server refuses the password of this one role (28P01).",
            compares=Compares.rises(margin=5),
        ),
        Evidence(
            signal=Signal.LOGS,
            name="service is refused",
            query=('sum(count_over_time({service="payment-service"} |= "password authentication failed" [30s]))'),
            shows="The service logs the refusal for each request that it could not serve.",
            compares=Compares.rises(margin=5),
        ),
        Evidence(
            signal=Signal.TRACES,
            name="acquire fails with 28P01",
            query=(
                '{ resource.service.name = "payment-service" && name = "db.pool.acquire" '
                '&& span.db.response.status_code = "28P01" }'
            ),
            shows="Requests fail while they open a connection, with the server's own code; no statement runs.",
            compares=Compares.rises(margin=3),
        ),
    ),
    alert=Alert(name="PaymentErrors"),
    right_fixes=(
        Fix(
            does="Let the service read the new credential: credential_version = 2.",
            because="It opens a new pool with it and needs no restart.",
            folder="fixes/new-credential",
        ),
        Fix(
            does="Restart the service with the new credential.",
            because="As good if it may be restarted; the requests of that time are lost.",
        ),
    ),
    unsafe_fixes=(
        Fix(
            does="Put the old password in force again.",
            because=(
                "It was revoked for a reason; whoever has it is let in again, and the next rotation fails like this "
                "one."
            ),
            folder="fixes/old-credential",
        ),
        Fix(does="Let the role in without a password (trust).", because="Then everybody is let in."),
    ),
    oracle=Oracle(
        sql="SELECT false",
        says="The service logs in with the new credential; the old one is not in force again.",
        settings={"credential_version": 2},
    ),
    ask=(
        "Why did payments first fail now and then, and then all of them?",
        "The database is up. Why does the payment service not get in?",
    ),
    finds=(
        "New connections of payment_app have been refused with 28P01 since its password was changed; the sessions "
        "that were open went on until they were ended one after another, hence the cliff. The server itself is well. "
        "The service has to read the new credential."
    ),
    bound=(
        "Nothing is written but the role's own row; the log has at most some 80 lines a second, which its pruner "
        "bounds."
    ),
    recovery_seconds=120,
    folder=Path(__file__).parent,
)
