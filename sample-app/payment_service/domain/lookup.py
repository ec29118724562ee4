"""Looking payments up: one, or a customer's history."""

import re
from collections import OrderedDict
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

import asyncpg  # pyright: ignore[reportMissingTypeStubs]  # asyncpg ships no type information

from payment_service.problems import invalid, not_found
from payment_service.store.database import Database
from payment_service.store.driver import Record
from payment_service.store.errors import DatabaseError, Failure, classify
from payment_service.store.session import Session
from payment_service.store.statements import Statement

Json: TypeAlias = dict[str, Any]

COLUMNS = "id, status, amount_minor, currency, customer_id, merchant_id, created_at, settlement_run_id"
_BY_ID = Statement(
    operation="SELECT",
    collection="payments",
    sql=f"SELECT {COLUMNS} FROM payments WHERE id = $1",  # noqa: S608  # a constant
)
_HISTORY = Statement(
    operation="SELECT",
    collection="payments",
    sql=f"""
        SELECT {COLUMNS} FROM payments WHERE customer_id = $1 AND (created_at, id) < ($2, $3)
        ORDER BY created_at DESC, id DESC LIMIT $4
    """,  # noqa: S608  # a constant
)
_CUSTOMER = Statement(operation="SELECT", collection="customers", sql="SELECT true FROM customers WHERE id = $1")

_REMEMBERED = 2000
_MINOR = 100
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_END_OF_TIME = datetime(9999, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_CURSOR = re.compile(r"([0-9]{1,17})_([0-9]{1,18})")
_GONE = frozenset({Failure.UNREACHABLE, Failure.CIRCUIT, Failure.TIMEOUT})


class RecentPayments:
    """The last payments that went through this process, for when the database is gone."""

    def __init__(self) -> None:
        self._payments: OrderedDict[int, Json] = OrderedDict()

    def remember(self, payment: Json) -> None:
        """Keep a payment's present state.

        Args:
            payment: As a client is told of it.
        """
        self._payments[payment["payment_id"]] = payment
        self._payments.move_to_end(payment["payment_id"])
        if len(self._payments) > _REMEMBERED:
            self._payments.popitem(last=False)

    def recall(self, payment_id: int) -> Json | None:
        """What was last known of a payment.

        Args:
            payment_id: Which.
        """
        return self._payments.get(payment_id)


class PaymentLookup:
    """Finds payments.

    Args:
        database: Where payments are.
        recent: Answers while it is gone.
    """

    def __init__(self, database: Database, recent: RecentPayments) -> None:
        self._database = database
        self._recent = recent

    async def find(self, payment_id: int) -> Json:
        """A payment's state; from memory, marked stale, if the database cannot be reached.

        Args:
            payment_id: Which.

        Raises:
            Problem: There is none.
        """
        try:
            row = await self._database.run(lambda session: session.fetchrow(_BY_ID, payment_id))
        except (OSError, DatabaseError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            known = self._recent.recall(payment_id)
            if known is None or classify(error) not in _GONE:
                raise
            return known | {"stale": True}
        if row is None:
            raise not_found("There is no such payment.")
        payment = to_json(row)
        self._recent.remember(payment)
        return payment

    async def history(self, customer_id: int, cursor: tuple[datetime, int] | None, limit: int) -> Json:
        """A page of a customer's payments, newest first.

        Args:
            customer_id: Whose.
            cursor: Creation time and id of the last payment of the page before.
            limit: Most payments.

        Raises:
            Problem: There is no such customer.
        """
        before, before_id = cursor or (_END_OF_TIME, 0)

        async def read(session: Session) -> list[Record]:
            rows = await session.fetch(_HISTORY, customer_id, before, before_id, limit + 1)
            if not rows and not await session.fetchval(_CUSTOMER, customer_id):
                raise not_found("There is no such customer.")
            return rows

        rows = await self._database.run(read)
        page = [to_json(row) for row in rows[:limit]]
        following = make_cursor(rows[limit - 1]) if len(rows) > limit else None
        return {"customer_id": customer_id, "payments": page, "next_cursor": following}


def make_cursor(row: Record) -> str:
    """The cursor that continues after a payment: its creation time in microseconds, and its id.

    Args:
        row: The payment.
    """
    return f"{(row['created_at'] - _EPOCH) // _MICROSECOND}_{row['id']}"


def parse_cursor(text: str) -> tuple[datetime, int]:
    """What `make_cursor` made.

    Args:
        text: ``next_cursor`` of the page before.

    Raises:
        Problem: It is none.
    """
    match = _CURSOR.fullmatch(text)
    if match is None:
        raise invalid("cursor must be the next_cursor of the page before.")
    return _EPOCH + int(match[1]) * _MICROSECOND, int(match[2])


def to_json(row: Record) -> Json:
    """A payment as a client is told of it.

    Args:
        row: Its `COLUMNS`.
    """
    return {
        "payment_id": row["id"],
        "status": row["status"],
        "amount": row["amount_minor"] / _MINOR,
        "currency": row["currency"],
        "customer_id": row["customer_id"],
        "merchant_id": row["merchant_id"],
        "created_at": row["created_at"],
        "settlement_run_id": row["settlement_run_id"],
    }
