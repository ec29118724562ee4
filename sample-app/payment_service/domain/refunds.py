"""Refunds: the acquirer is asked while the payment is locked, so that it is never asked twice for one payment."""

import hashlib
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

from payment_service.domain.acquirer import Acquirers
from payment_service.live_settings import LiveSettings
from payment_service.problems import conflict, not_found
from payment_service.settings import ServiceSettings
from payment_service.store.database import Database
from payment_service.store.driver import Record
from payment_service.store.session import Session
from payment_service.store.statements import Statement

_MERCHANT_OF = Statement(
    operation="SELECT", collection="payments", sql="SELECT merchant_id FROM payments WHERE id = $1"
)
_LOCK_PAYMENT = Statement(
    operation="SELECT",
    collection="payments",
    sql="""
        SELECT p.merchant_id, p.customer_id, p.amount_minor, p.status, p.created_at, r.reference
        FROM payments p LEFT JOIN refunds r ON r.payment_id = p.id WHERE p.id = $1 FOR UPDATE OF p
    """,
)
# Its key stays as it is: a plain FOR UPDATE would wait for every payment under way to the merchant, whose ledger
# entries refer to the account, and would never get its turn with a busy one.
LOCK_ACCOUNT = Statement(
    operation="SELECT", collection="accounts", sql="SELECT id FROM accounts WHERE merchant_id = $1 FOR NO KEY UPDATE"
)
_ACQUIRER = Statement(
    operation="SELECT",
    collection="acquirers",
    sql="SELECT a.name, a.response_ms FROM merchants m JOIN acquirers a ON a.id = m.acquirer_id WHERE m.id = $1",
)
_REFUND = Statement(
    operation="INSERT",
    collection="refunds",
    sql="""
        WITH payment AS (
            UPDATE payments SET status = 'refunded' WHERE id = $1
            RETURNING id, amount_minor, customer_id, merchant_id, settlement_run_id IS NOT NULL AS settled
        ), refund AS (
            INSERT INTO refunds (payment_id, reference, amount_minor, reason)
            SELECT id, $2, amount_minor, $3 FROM payment
        ), entries AS (
            INSERT INTO ledger_entries (payment_id, line, account_id, amount_minor)
            SELECT p.id, 3, a.id, -p.amount_minor FROM payment p JOIN accounts a ON a.merchant_id = p.merchant_id
            UNION ALL
            SELECT p.id, 4, a.id, p.amount_minor FROM payment p JOIN accounts a ON a.customer_id = p.customer_id
        ), customer AS (
            UPDATE accounts a SET balance_minor = a.balance_minor + p.amount_minor FROM payment p
            WHERE a.customer_id = p.customer_id
        )
        UPDATE accounts a SET balance_minor = a.balance_minor - p.amount_minor FROM payment p
        WHERE a.merchant_id = p.merchant_id AND p.settled
    """,
)
_COUNT = Statement(
    operation="INSERT",
    collection="merchant_daily_totals",
    sql="""
        INSERT INTO merchant_daily_totals AS t (merchant_id, business_date, shard, refunds, refunded_minor)
        VALUES ($1, (now() AT TIME ZONE 'UTC')::date, 0, 1, $2)
        ON CONFLICT (merchant_id, business_date, shard)
        DO UPDATE SET refunds = t.refunds + 1, refunded_minor = t.refunded_minor + excluded.refunded_minor
    """,
)
_MINOR = 100


class Refunds:
    """Gives payments back.

    Args:
        settings: The service's settings.
        live: Settings that change while it runs.
        database: Where payments are.
        acquirers: The banks.
    """

    def __init__(self, settings: ServiceSettings, live: LiveSettings, database: Database, acquirers: Acquirers) -> None:
        self._window = timedelta(hours=settings.refund_window_hours)
        self._live = live
        self._database = database
        self._acquirers = acquirers

    async def refund(self, payment_id: int, reason: str, key: str | None) -> dict[str, Any]:
        """Give a payment back, in full and once.

        Args:
            payment_id: Which.
            reason: Why.
            key: The client's idempotency key; a repetition under it is answered like the first time.

        Raises:
            Problem: There is no such payment, or it cannot be refunded (any more).
        """
        reference = (
            uuid.uuid4()
            if key is None
            else uuid.UUID(bytes=hashlib.blake2b(key.encode(), digest_size=16, person=b"refund").digest())
        )

        async def attempt(session: Session) -> int:
            async with session.transaction():
                payment = await self._lock(session, payment_id)
                if payment["status"] == "refunded" and payment["reference"] == reference:
                    return payment["amount_minor"]
                self._check(payment)
                acquirer = await session.fetchrow(_ACQUIRER, payment["merchant_id"])
                if acquirer is None:
                    raise LookupError("every merchant has an acquirer")
                await self._acquirers.ask("authorise", acquirer["name"], acquirer["response_ms"] / 1000)
                if self._live.current.lock_order == "per_route":
                    await session.fetchval(LOCK_ACCOUNT, payment["merchant_id"])
                await session.execute(_REFUND, payment_id, reference, reason)
                await session.execute(_COUNT, payment["merchant_id"], payment["amount_minor"])
                return payment["amount_minor"]

        amount_minor = await self._database.run(attempt)
        return {"payment_id": payment_id, "status": "refunded", "amount": amount_minor / _MINOR, "reason": reason}

    async def _lock(self, session: Session, payment_id: int) -> Record:
        """Lock the payment; in canonical order the merchant's account before it, as settlement runs do."""
        if self._live.current.lock_order == "canonical":
            merchant_id = await session.fetchval(_MERCHANT_OF, payment_id)
            await session.fetchval(LOCK_ACCOUNT, merchant_id)
        payment = await session.fetchrow(_LOCK_PAYMENT, payment_id)
        if payment is None:
            raise not_found("There is no such payment.")
        return payment

    def _check(self, payment: Record) -> None:
        if payment["status"] == "refunded":
            raise conflict("The payment was refunded already.")
        if payment["status"] == "declined":
            raise conflict("The payment was declined; there is nothing to refund.")
        if payment["created_at"] < datetime.now(UTC) - self._window:
            raise conflict("The payment is too old to be refunded.")
