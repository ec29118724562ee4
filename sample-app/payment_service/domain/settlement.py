"""Settlement: what a merchant took in a day is booked on its account; and the reports about it."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from payment_service.domain.refunds import LOCK_ACCOUNT
from payment_service.live_settings import LiveSettings
from payment_service.problems import not_found
from payment_service.store.database import Database
from payment_service.store.driver import Record
from payment_service.store.session import Session
from payment_service.store.statements import Statement

_SETTLE = Statement(
    operation="UPDATE",
    collection="payments",
    sql="""
        WITH due AS (
            SELECT id, amount_minor FROM payments
            WHERE merchant_id = $1 AND created_at >= $3 AND created_at < $4
              AND settlement_run_id IS NULL AND status = 'completed'
            ORDER BY id FOR UPDATE
        ), total AS (
            SELECT count(*) AS payments, coalesce(sum(amount_minor), 0)::bigint AS gross_minor FROM due
        ), run AS (
            INSERT INTO settlement_runs AS r (merchant_id, business_date, payments, gross_minor, fees_minor)
            SELECT $1, $2, t.payments, t.gross_minor, t.gross_minor * m.fee_bps / 10000
            FROM total t JOIN merchants m ON m.id = $1 WHERE t.payments > 0
            ON CONFLICT (business_date, merchant_id) DO UPDATE SET
                payments = r.payments + excluded.payments, gross_minor = r.gross_minor + excluded.gross_minor,
                fees_minor = r.fees_minor + excluded.fees_minor, updated_at = now()
            RETURNING id
        ), settled AS (
            UPDATE payments SET settlement_run_id = run.id FROM due, run WHERE payments.id = due.id
        ), booked AS (
            UPDATE accounts SET balance_minor = balance_minor + total.gross_minor FROM total
            WHERE merchant_id = $1 AND total.payments > 0
        )
        SELECT payments FROM total
    """,
)
_RUN = Statement(
    operation="SELECT",
    collection="settlement_runs",
    sql="""
        SELECT id, payments, gross_minor, fees_minor FROM settlement_runs WHERE business_date = $1 AND merchant_id = $2
    """,
)
_RUNS = Statement(
    operation="SELECT",
    collection="settlement_runs",
    sql="""
        SELECT id, merchant_id, payments, gross_minor, fees_minor FROM settlement_runs
        WHERE business_date = $1 ORDER BY merchant_id
    """,
)
_DETAIL = """
    SELECT m.id, m.name, m.category,
           coalesce(sum(t.refunds), 0)::bigint AS refunds, coalesce(sum(t.refunded_minor), 0)::bigint AS refunded_minor
    FROM merchants m LEFT JOIN merchant_daily_totals t ON t.merchant_id = m.id AND t.business_date = $2
    WHERE {condition} GROUP BY m.id
"""
_MERCHANT = Statement(operation="SELECT", collection="merchants", sql=_DETAIL.format(condition="m.id = $1"))
_MERCHANTS = Statement(
    operation="SELECT", collection="merchants", sql=_DETAIL.format(condition="m.id = ANY($1::integer[])")
)
_TOTALS = Statement(
    operation="SELECT",
    collection="merchant_daily_totals",
    sql="""
        SELECT m.name,
               coalesce(sum(t.payments), 0)::bigint AS payments,
               coalesce(sum(t.amount_minor), 0)::bigint AS amount_minor,
               coalesce(sum(t.refunds), 0)::bigint AS refunds,
               coalesce(sum(t.refunded_minor), 0)::bigint AS refunded_minor
        FROM merchants m LEFT JOIN merchant_daily_totals t
            ON t.merchant_id = m.id AND t.business_date > (now() AT TIME ZONE 'UTC')::date - $2::integer
        WHERE m.id = $1 GROUP BY m.id
    """,
)
_MINOR = 100
_DAY = timedelta(days=1)


class Settlement:
    """Settlement runs and reports.

    Args:
        live: Settings that change while the service runs.
        database: Where everything is.
    """

    def __init__(self, live: LiveSettings, database: Database) -> None:
        self._live = live
        self._database = database

    async def settle(self, merchant_id: int, day: date) -> dict[str, Any]:
        """Book what a merchant took on a day and was not booked yet. Repeating it books nothing twice.

        Args:
            merchant_id: Whose.
            day: The business day.

        Raises:
            Problem: There is no such merchant.
        """
        start = datetime.combine(day, time(), UTC)

        async def attempt(session: Session) -> tuple[int, Record | None]:
            async with session.transaction():
                if await session.fetchval(LOCK_ACCOUNT, merchant_id) is None:
                    raise not_found("There is no such merchant.")
                settled = await session.fetchval(_SETTLE, merchant_id, day, start, start + _DAY)
                return settled, await session.fetchrow(_RUN, day, merchant_id)

        settled, run = await self._database.run(attempt)
        totals = (run["payments"], run["gross_minor"], run["fees_minor"]) if run is not None else (0, 0, 0)
        return {
            "settlement_run_id": None if run is None else run["id"],
            "merchant_id": merchant_id,
            "business_date": day,
            "settled_now": settled,
            "payments": totals[0],
            "gross": totals[1] / _MINOR,
            "fees": totals[2] / _MINOR,
        }

    async def report(self, day: date) -> dict[str, Any]:
        """What was settled on a day, merchant by merchant.

        Args:
            day: The business day.
        """

        async def read(session: Session) -> list[dict[str, Any]]:
            runs = await session.fetch(_RUNS, day)
            merchants = await self._read_merchants(session, [run["merchant_id"] for run in runs], day)
            return [_report_row(run, merchants[run["merchant_id"]]) for run in runs]

        rows = await self._database.run(read)
        return {
            "business_date": day,
            "merchants": rows,
            "payments": sum(row["payments"] for row in rows),
            "gross": sum(round(row["gross"] * _MINOR) for row in rows) / _MINOR,
            "fees": sum(round(row["fees"] * _MINOR) for row in rows) / _MINOR,
        }

    async def _read_merchants(self, session: Session, ids: list[int], day: date) -> dict[int, Record]:
        size = self._live.current.report_batch_size
        found: list[Record] = []
        if size > 1:
            for first in range(0, len(ids), size):
                found += await session.fetch(_MERCHANTS, ids[first : first + size], day)
        else:
            for merchant_id in ids:
                found += await session.fetch(_MERCHANT, merchant_id, day)
        return {row["id"]: row for row in found}

    async def totals(self, merchant_id: int, days: int) -> dict[str, Any]:
        """What a merchant took and gave back in the last days.

        Args:
            merchant_id: Whose.
            days: How many days, today included.

        Raises:
            Problem: There is no such merchant.
        """
        row = await self._database.run(lambda session: session.fetchrow(_TOTALS, merchant_id, days))
        if row is None:
            raise not_found("There is no such merchant.")
        return {
            "merchant_id": merchant_id,
            "name": row["name"],
            "days": days,
            "payments": row["payments"],
            "amount": row["amount_minor"] / _MINOR,
            "refunds": row["refunds"],
            "refunded": row["refunded_minor"] / _MINOR,
        }


def _report_row(run: Record, merchant: Record) -> dict[str, Any]:
    return {
        "settlement_run_id": run["id"],
        "merchant_id": run["merchant_id"],
        "name": merchant["name"],
        "category": merchant["category"],
        "payments": run["payments"],
        "gross": run["gross_minor"] / _MINOR,
        "fees": run["fees_minor"] / _MINOR,
        "refunds": merchant["refunds"],
        "refunded": merchant["refunded_minor"] / _MINOR,
    }
