"""Taking a payment."""

import hashlib
import random
import uuid
from dataclasses import dataclass
from http import HTTPStatus

import asyncpg  # pyright: ignore[reportMissingTypeStubs]  # asyncpg ships no type information

from payment_service.domain.acquirer import Acquirers
from payment_service.domain.lookup import COLUMNS, Json, RecentPayments, to_json
from payment_service.domain.reference import ReferenceData
from payment_service.live_settings import LiveSettings
from payment_service.problems import Problem, invalid
from payment_service.settings import ServiceSettings
from payment_service.store.database import Database
from payment_service.store.session import Session
from payment_service.store.statements import Statement

_VELOCITY = Statement(
    operation="SELECT",
    collection="payments",
    sql="""
        SELECT count(*) FILTER (WHERE created_at > now() - interval '1 hour') AS hourly,
               coalesce(sum(amount_minor), 0)::bigint AS total
        FROM payments WHERE customer_id = $1 AND created_at > now() - interval '90 days' AND status = 'completed'
    """,
)
_INSERT = Statement(
    operation="INSERT",
    collection="payments",
    sql="""
        WITH payment AS (
            INSERT INTO payments (reference, request_hash, amount_minor, customer_id, merchant_id, currency, status)
            VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (reference) DO NOTHING
            RETURNING id, created_at
        ), entries AS (
            INSERT INTO ledger_entries (payment_id, line, account_id, amount_minor)
            SELECT p.id, 1, a.id, -$3 FROM payment p, accounts a WHERE a.customer_id = $4 AND $7 = 'completed'
            UNION ALL
            SELECT p.id, 2, a.id, $3 FROM payment p, accounts a WHERE a.merchant_id = $5 AND $7 = 'completed'
        ), balance AS (
            UPDATE accounts SET balance_minor = balance_minor - $3 FROM payment
            WHERE customer_id = $4 AND $7 = 'completed'
        )
        SELECT id, created_at FROM payment
    """,
)
_COUNT = Statement(
    operation="INSERT",
    collection="merchant_daily_totals",
    sql="""
        INSERT INTO merchant_daily_totals AS t (merchant_id, business_date, shard, payments, amount_minor)
        VALUES ($1, (now() AT TIME ZONE 'UTC')::date, $2, 1, $3)
        ON CONFLICT (merchant_id, business_date, shard)
        DO UPDATE SET payments = t.payments + 1, amount_minor = t.amount_minor + excluded.amount_minor
    """,
)
_BY_REFERENCE = Statement(
    operation="SELECT",
    collection="payments",
    sql=f"SELECT {COLUMNS}, request_hash FROM payments WHERE reference = $1",  # noqa: S608  # a constant
)
_ANSWER = frozenset({"payment_id", "status", "amount", "currency", "customer_id", "merchant_id"})
_MINOR = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentRequest:
    """What a client asks for.

    Attributes:
        amount_minor: Amount in cents.
        currency: ISO 4217 code.
        customer_id: Who pays; None: somebody.
        merchant_id: Who gets it; None: somebody, by the merchants' weights.
        key: The client's idempotency key.
    """

    amount_minor: int
    currency: str
    customer_id: int | None
    merchant_id: int | None
    key: str | None

    def reference(self) -> uuid.UUID:
        """The payment's reference: the same for every repetition under one key."""
        if self.key is None:
            return uuid.uuid4()
        return uuid.UUID(bytes=hashlib.blake2b(self.key.encode(), digest_size=16, person=b"payment").digest())

    def hash(self) -> uuid.UUID | None:
        """What was asked under the key."""
        if self.key is None:
            return None
        asked = f"{self.amount_minor} {self.currency} {self.customer_id} {self.merchant_id}"
        return uuid.UUID(bytes=hashlib.blake2b(asked.encode(), digest_size=16).digest())


@dataclass(frozen=True, slots=True)
class PaymentResult:
    """A payment as the client is told of it.

    Attributes:
        body: The answer.
        outcome: ``completed``, ``declined`` or ``replayed``.
    """

    body: Json
    outcome: str


class Payments:
    """Takes payments.

    Args:
        settings: The service's settings.
        live: Settings that change while it runs.
        database: Where payments are.
        reference: Merchants and customers.
        acquirers: The banks.
        recent: Is told of each payment.
    """

    def __init__(
        self,
        settings: ServiceSettings,
        live: LiveSettings,
        database: Database,
        reference: ReferenceData,
        acquirers: Acquirers,
        recent: RecentPayments,
    ) -> None:
        self._settings = settings
        self._live = live
        self._database = database
        self._reference = reference
        self._acquirers = acquirers
        self._recent = recent

    async def pay(self, request: PaymentRequest) -> PaymentResult:
        """Take a payment, once, however often it has to be tried.

        The reference is unique, so an attempt whose outcome is not known (the connection was lost while it committed)
        is simply repeated: if it had been recorded, the repetition finds it.

        Args:
            request: What is asked for.

        Raises:
            Problem: The customer or the merchant does not exist, or the key was used for another payment.
        """
        reference, request_hash = request.reference(), request.hash()
        customer_id = request.customer_id or self._reference.pick_customer()
        merchant_id = request.merchant_id or self._reference.pick_merchant()

        async def attempt(session: Session) -> PaymentResult:
            status = await self._check_velocity(session, customer_id, request.amount_minor)
            async with session.transaction():
                row = await session.fetchrow(
                    _INSERT,
                    reference,
                    request_hash,
                    request.amount_minor,
                    customer_id,
                    merchant_id,
                    request.currency,
                    status,
                )
                if row is not None and status == "completed":
                    await session.execute(_COUNT, merchant_id, self._pick_shard(), request.amount_minor)
                    capture = self._reference.capture(merchant_id)
                    if capture is not None:
                        await self._acquirers.ask("capture", *capture)
            if row is None:
                return await self._replay(session, reference, request_hash)
            body = {
                "payment_id": row["id"],
                "status": status,
                "amount": request.amount_minor / _MINOR,
                "currency": request.currency,
            }
            body |= {"customer_id": customer_id, "merchant_id": merchant_id}
            self._recent.remember(body | {"created_at": row["created_at"], "settlement_run_id": None})
            return PaymentResult(body, status)

        try:
            return await self._database.run(attempt)
        except asyncpg.ForeignKeyViolationError as error:
            which = "merchant" if "merchant" in str(error) else "customer"
            raise invalid(f"There is no such {which}.") from None

    async def _check_velocity(self, session: Session, customer_id: int, amount_minor: int) -> str:
        """The rule against stolen cards: not too often an hour, not too much in 90 days."""
        row = await session.fetchrow(_VELOCITY, customer_id)
        if row is None:
            raise LookupError("an aggregate has one row")
        settings = self._settings
        often = row["hourly"] >= settings.velocity_max_hourly
        return "declined" if often or row["total"] + amount_minor > settings.velocity_max_minor else "completed"

    async def _replay(self, session: Session, reference: uuid.UUID, request_hash: uuid.UUID | None) -> PaymentResult:
        row = await session.fetchrow(_BY_REFERENCE, reference)
        if row is None:
            raise Problem(HTTPStatus.CONFLICT, "The payment of this Idempotency-Key is gone.")
        if row["request_hash"] != request_hash:
            raise invalid("This Idempotency-Key was used for another payment.")
        body = {key: value for key, value in to_json(row).items() if key in _ANSWER}
        # The answer of the first time, whatever has become of the payment since.
        body["status"] = "declined" if row["status"] == "declined" else "completed"
        return PaymentResult(body, "replayed")

    def _pick_shard(self) -> int:
        shards = self._live.current.counter_shards
        return 0 if shards == 1 else random.randrange(shards)  # noqa: S311  # spreads load, protects nothing
