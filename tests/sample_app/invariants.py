"""What must be true of the rows at any time."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from payment_service.store.driver import Connection

# Each finds the rows that break a rule; none may.
INVARIANTS = {
    "the entries of a payment sum to zero": """
        SELECT payment_id FROM ledger_entries GROUP BY payment_id HAVING sum(amount_minor) <> 0
    """,
    "a payment has two entries, four if it was refunded, none if it was declined": """
        SELECT p.id FROM payments p LEFT JOIN ledger_entries e ON e.payment_id = p.id GROUP BY p.id
        HAVING count(e.line) <> CASE p.status WHEN 'completed' THEN 2 WHEN 'refunded' THEN 4 ELSE 0 END
    """,
    "entries are of the payment's amount, customer and merchant": """
        SELECT p.id FROM payments p JOIN ledger_entries e ON e.payment_id = p.id JOIN accounts a ON a.id = e.account_id
        WHERE abs(e.amount_minor) <> p.amount_minor
           OR coalesce(a.customer_id <> p.customer_id, a.merchant_id <> p.merchant_id)
           OR (e.amount_minor < 0) <> (e.line IN (1, 3)) OR (a.customer_id IS NOT NULL) <> (e.line IN (1, 4))
    """,
    "a customer's balance is the sum of its entries": """
        SELECT a.id FROM accounts a LEFT JOIN archived_entries r ON r.account_id = a.id
        LEFT JOIN (SELECT account_id, sum(amount_minor) AS sum FROM ledger_entries GROUP BY account_id) e
            ON e.account_id = a.id
        WHERE a.customer_id IS NOT NULL AND a.balance_minor <> coalesce(r.amount_minor, 0) + coalesce(e.sum, 0)
    """,
    "a merchant's balance is the sum of its entries that were settled": """
        SELECT a.id FROM accounts a LEFT JOIN archived_entries r ON r.account_id = a.id LEFT JOIN (
            SELECT e.account_id, sum(e.amount_minor) AS sum FROM ledger_entries e JOIN payments p ON p.id = e.payment_id
            WHERE p.settlement_run_id IS NOT NULL GROUP BY e.account_id
        ) e ON e.account_id = a.id
        WHERE a.merchant_id IS NOT NULL AND a.balance_minor <> coalesce(r.amount_minor, 0) + coalesce(e.sum, 0)
    """,
    "totals count the payments and refunds of a day": """
        SELECT merchant_id, business_date FROM (
            SELECT merchant_id, business_date,
                   sum(payments) AS payments, sum(amount_minor) AS amount, sum(refunds) AS refunds
            FROM merchant_daily_totals GROUP BY 1, 2
        ) t FULL JOIN (
            SELECT merchant_id, (created_at AT TIME ZONE 'UTC')::date AS business_date, count(*) AS payments,
                   sum(amount_minor) AS amount
            FROM payments WHERE status <> 'declined' GROUP BY 1, 2
        ) p USING (merchant_id, business_date) FULL JOIN (
            SELECT p.merchant_id, (r.created_at AT TIME ZONE 'UTC')::date AS business_date, count(*) AS refunds
            FROM refunds r JOIN payments p ON p.id = r.payment_id GROUP BY 1, 2
        ) r USING (merchant_id, business_date)
        WHERE coalesce(t.payments, 0) <> coalesce(p.payments, 0) OR coalesce(t.amount, 0) <> coalesce(p.amount, 0)
           OR coalesce(t.refunds, 0) <> coalesce(r.refunds, 0)
    """,
    "a settlement run counts its payments": """
        SELECT r.id FROM settlement_runs r LEFT JOIN (
            SELECT settlement_run_id, count(*) AS payments, sum(amount_minor) AS gross FROM payments GROUP BY 1
        ) p ON p.settlement_run_id = r.id
        WHERE r.payments <> p.payments OR r.gross_minor <> p.gross OR p.payments IS NULL
    """,
    "a payment is settled in a run of its merchant and day": """
        SELECT p.id FROM payments p LEFT JOIN settlement_runs r ON r.id = p.settlement_run_id
        WHERE p.settlement_run_id IS NOT NULL AND (r.id IS NULL OR r.merchant_id <> p.merchant_id
           OR r.business_date <> (p.created_at AT TIME ZONE 'UTC')::date)
    """,
    "all completed payments of past days are settled": """
        SELECT p.id FROM payments p, seed_info s WHERE p.status = 'completed' AND p.settlement_run_id IS NULL
           AND p.id <= s.last_payment_id
           AND (p.created_at AT TIME ZONE 'UTC')::date < (s.history_end AT TIME ZONE 'UTC')::date
    """,
    "a refund is of a refunded payment": """
        SELECT coalesce(p.id, r.payment_id) FROM (SELECT id, amount_minor FROM payments WHERE status = 'refunded') p
        FULL JOIN refunds r ON r.payment_id = p.id WHERE p.amount_minor IS DISTINCT FROM r.amount_minor
    """,
}


async def broken_invariants(connection: Connection) -> list[str]:
    """The rules that the rows of a database break."""
    return [rule for rule, query in INVARIANTS.items() if await connection.fetch(f"{query} LIMIT 1")]


async def checksum(connection: Connection, table: str, order: str) -> str:
    """A hash of all rows of a table."""
    query = f"SELECT md5(string_agg(t::text, '|' ORDER BY {order})) FROM {table} t"  # noqa: S608 - a test's own words
    return await connection.fetchval(query)
