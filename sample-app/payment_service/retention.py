"""Retention: payments beyond the seed are pruned, oldest first, so that the database keeps its size."""

import math

import structlog

from payment_service.settings import ServiceSettings
from payment_service.store.database import Database
from payment_service.store.session import Session
from payment_service.store.statements import Statement
from payment_service.telemetry.metrics import Metrics

log = structlog.get_logger("payment_service.retention")

# Any number that nobody else uses: the lock keeps replicas from pruning side by side.
_LOCK_KEY = 5_140_962_377

_LOCK = Statement(operation="SELECT", sql="SELECT pg_try_advisory_xact_lock($1)")
_SEED = Statement(
    operation="SELECT", collection="seed_info", sql="SELECT last_payment_id, payments AS number FROM seed_info"
)
_NEWEST = Statement(operation="SELECT", collection="payments", sql="SELECT max(id) FROM payments")
# Its bounds are parameters, not a join with the seed's row: so the planner sees a range of the primary key.
_DUE = Statement(
    operation="SELECT",
    collection="payments",
    sql="SELECT id FROM payments WHERE id > $1 AND id <= $2 ORDER BY id LIMIT $3 FOR UPDATE SKIP LOCKED",
)
_ENTRIES = Statement(
    operation="DELETE",
    collection="ledger_entries",
    # A merchant's balance contains settled payments only, so only their entries are carried over.
    sql="""
        WITH gone AS (
            DELETE FROM ledger_entries e USING payments p WHERE e.payment_id = p.id AND p.id = ANY($1::bigint[])
            RETURNING e.account_id, e.amount_minor, p.settlement_run_id
        ), archived AS (
            INSERT INTO archived_entries AS a (account_id, entries, amount_minor)
            SELECT g.account_id, count(*),
                   coalesce(sum(g.amount_minor) FILTER (
                       WHERE c.customer_id IS NOT NULL OR g.settlement_run_id IS NOT NULL
                   ), 0)
            FROM gone g JOIN accounts c ON c.id = g.account_id GROUP BY g.account_id ORDER BY g.account_id
            ON CONFLICT (account_id)
            DO UPDATE SET entries = a.entries + excluded.entries, amount_minor = a.amount_minor + excluded.amount_minor
        )
        SELECT count(*) FROM gone
    """,
)
_REFUNDS = Statement(
    operation="DELETE", collection="refunds", sql="DELETE FROM refunds WHERE payment_id = ANY($1::bigint[])"
)
_PAYMENTS = Statement(
    operation="DELETE", collection="payments", sql="DELETE FROM payments WHERE id = ANY($1::bigint[])"
)
_DAYS = """
    DELETE FROM {table} WHERE business_date < (now() AT TIME ZONE 'UTC')::date - $1::integer
    AND business_date > (SELECT (history_end AT TIME ZONE 'UTC')::date FROM seed_info)
"""
_TOTALS = Statement(
    operation="DELETE", collection="merchant_daily_totals", sql=_DAYS.format(table="merchant_daily_totals")
)
_RUNS = Statement(operation="DELETE", collection="settlement_runs", sql=_DAYS.format(table="settlement_runs"))


class Retention:
    """Prunes, a small batch at a time.

    Args:
        settings: The service's settings.
        database: Connections of their own: pruning must not take one from a request.
        metrics: Counts.
    """

    def __init__(self, settings: ServiceSettings, database: Database, metrics: Metrics) -> None:
        self._settings = settings
        self._database = database
        self._metrics = metrics

    async def prune(self) -> int:
        """Prune until nothing is due, or another replica is at it.

        Returns:
            How many payments were removed.
        """
        removed = 0
        while True:
            batch = await self._database.run(self._prune_batch)
            removed += batch
            if batch < self._settings.retention_batch:
                break
        if removed:
            log.debug("payments were pruned", payments=removed)
        return removed

    async def _prune_batch(self, session: Session) -> int:
        async with session.transaction():
            if not await session.fetchval(_LOCK, _LOCK_KEY):
                return 0
            seed = await session.fetchrow(_SEED)
            newest = await session.fetchval(_NEWEST)
            if seed is None or newest is None:
                return 0
            # Ids are handed out in order, so their distance bounds the number of rows from above.
            oldest_kept = newest - math.ceil(seed["number"] * self._settings.retention_share)
            rows = await session.fetch(_DUE, seed["last_payment_id"], oldest_kept, self._settings.retention_batch)
            ids = [row["id"] for row in rows]
            if not ids:
                return 0
            entries = await session.fetchval(_ENTRIES, ids)
            refunds = _affected(await session.execute(_REFUNDS, ids))
            payments = _affected(await session.execute(_PAYMENTS, ids))
        for table, number in (("ledger_entries", entries), ("refunds", refunds), ("payments", payments)):
            self._metrics.retention_deleted.labels(table).inc(number)
        return payments

    async def prune_days(self) -> None:
        """Prune the totals and settlement runs of days that are long over."""
        for table, statement in (("merchant_daily_totals", _TOTALS), ("settlement_runs", _RUNS)):
            number = await self._database.run(lambda session, what=statement: self._execute_days(session, what))
            self._metrics.retention_deleted.labels(table).inc(number)

    async def _execute_days(self, session: Session, statement: Statement) -> int:
        return _affected(await session.execute(statement, self._settings.retention_days))


def _affected(tag: str) -> int:
    """The number of rows in a command tag such as ``DELETE 3``."""
    return int(tag.rpartition(" ")[2])
