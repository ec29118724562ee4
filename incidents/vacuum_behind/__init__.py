"""Vacuum behind: a table without autovacuum is rewritten again and again."""

from pathlib import Path

from incidents.model import Alert, Compares, Evidence, Fix, Incident, Login, LookAlike, Oracle, Signal, Step

__all__ = ["INCIDENT"]

INCIDENT = Incident(
    name="vacuum-behind",
    title="Bloat, autovacuum behind",
    rank=8,
    summary=(
        "After a night of maintenance the database has grown, and keeps more dead rows than living ones in one of its "
        "busiest tables. Payments stumbled while it happened, and the next time will be worse."
    ),
    causes=(
        (
            "A migration turned autovacuum off for accounts, so that the following job would be faster, and nobody "
            "turned it on again."
        ),
        "A backfill wrote all customers' balances anew, eight times over: each time leaves a dead version of each row.",
        "Each of its statements locks the rows it wrote until it ends, so payments of these customers wait for it.",
        "No vacuum comes: accounts and its indexes grow to several times their size, and most of it is dead.",
        "Customers see payments that take longer, more so with every further run over the larger table.",
    ),
    steps=(
        Step(file="migration.sql", login=Login.MIGRATION),
        Step(file="backfill.sql", login=Login.BACKFILL),
    ),
    evidence=(
        Evidence(
            signal=Signal.METRICS,
            name="dead tuples",
            query='db:table_dead_tuples:ratio{relname="accounts"}',
            shows="More than a third of the rows of accounts are dead, and they do not get fewer.",
            compares=Compares.rises(margin=0.3),
        ),
        Evidence(
            signal=Signal.METRICS,
            name="table grows",
            query='db:table_size_bytes{relname="accounts"}',
            shows="accounts and its indexes have grown by half or more, with the same number of living rows.",
            compares=Compares.rises(1.4),
        ),
        Evidence(
            signal=Signal.LOGS,
            name="slow updates of accounts",
            query='sum(count_over_time({app="postgres"} |= "duration:" |= "accounts" [30s]))',
            shows=(
                "The backfill's statements over all of accounts are slow, and with them the payments that wait for "
                "their rows."
            ),
            compares=Compares.rises(margin=4),
        ),
        Evidence(
            signal=Signal.LOGS,
            name="nothing held back",
            query=(
                'max_over_time({app="postgres"} |= "automatic vacuum of table" |= "accounts" '
                '| regexp "(?P<held>[0-9]+) are dead but not yet removable" | unwrap held [30s]) by (app)'
            ),
            shows="No autovacuum says that it was kept from removing rows of accounts: none comes at all.",
            compares=Compares.stays(margin=1000),
        ),
        Evidence(
            signal=Signal.TRACES,
            name="payments wait for rows",
            query='{ resource.service.name = "payment-service" && name = "INSERT payments" && duration > $slow }',
            shows=(
                "The statement that books a payment on the customer's account takes long while the backfill has the "
                "row."
            ),
            compares=Compares.rises(margin=4),
        ),
    ),
    alert=Alert(name="DeadTuples", labels={"relname": "accounts"}),
    look_alikes=(
        LookAlike(
            other="forgotten-transaction",
            because="In both the dead rows of a table grow and vacuum does not remove them.",
            tells=Evidence(
                signal=Signal.METRICS,
                name="no idle transaction",
                query="db:oldest_idle_transaction:seconds",
                shows=(
                    "No transaction stays open while its session does nothing: nothing holds vacuum back but its "
                    "setting."
                ),
                compares=Compares.stays(margin=15),
            ),
        ),
    ),
    right_fixes=(
        Fix(
            does="Turn autovacuum on again for accounts, and run VACUUM (ANALYZE) on it once.",
            because=(
                "It takes no lock that a payment waits for; the space is used again, and the next job is cleaned up "
                "after."
            ),
            folder="fixes/autovacuum-on",
        ),
        Fix(
            does="The same, and pg_repack at night if the space itself is wanted back.",
            because="It rewrites the table beside the running business.",
        ),
    ),
    unsafe_fixes=(
        Fix(
            does="VACUUM FULL accounts.",
            because="It locks out every payment until the table is copied, and leaves autovacuum turned off.",
            folder="fixes/rewrite-table",
        ),
        Fix(does="Delete old rows.", because="It makes more dead rows, and the data is gone."),
    ),
    oracle=Oracle(
        sql=(
            "SELECT NOT EXISTS (SELECT FROM pg_class WHERE oid = 'accounts'::regclass "
            "AND 'autovacuum_enabled=false' = ANY (reloptions)) AND n_dead_tup < 0.15 * (n_live_tup + n_dead_tup + 1) "
            "FROM pg_stat_user_tables WHERE relid = 'accounts'::regclass"
        ),
        says="Autovacuum looks after accounts again, and less than 15 % of its rows are dead.",
    ),
    ask=(
        "The database grew during the night's maintenance. What grew, and why does it not get smaller?",
        "Why were some payments slow although the same statements are fast now?",
    ),
    finds=(
        "accounts has several dead rows for each living one and has outgrown its size, but unlike other tables it is "
        "never visited by autovacuum: a migration turned it off there. The sessions of payments-backfill rewrote "
        "every row several times; payments waited for their row locks. Turn autovacuum on again and vacuum the table "
        "once."
    ),
    bound=(
        "8 times 50 000 row versions whatever the size of the seed: at most 40 MB of table and indexes (measured: 31 "
        "MB on a loaded machine where hardly a page was used again) and 150 MB of write-ahead log, far below "
        "max_wal_size. No memory."
    ),
    recovery_seconds=120,
    folder=Path(__file__).parent,
)
