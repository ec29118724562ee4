"""Data that changes rarely and that every payment needs: the merchants and their share of the business."""

import random
from bisect import bisect_right
from dataclasses import dataclass
from itertools import accumulate

from payment_service.store.database import Database
from payment_service.store.session import Session
from payment_service.store.statements import Statement

_MERCHANTS = Statement(
    operation="SELECT",
    collection="merchants",
    sql="""
        SELECT m.id, m.weight, a.name, a.capture_ms
        FROM merchants m JOIN acquirers a ON a.id = m.acquirer_id ORDER BY m.id
    """,
)
_SEED = Statement(
    operation="SELECT",
    collection="seed_info",
    sql="SELECT customers FROM seed_info",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Snapshot:
    merchant_ids: tuple[int, ...]
    cumulative_weights: tuple[int, ...]
    captures: dict[int, tuple[str, float]]
    customers: int


class ReferenceData:
    """A snapshot of it, taken every few seconds in the background.

    Args:
        database: Where it is read from.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._snapshot: _Snapshot | None = None

    @property
    def loaded(self) -> bool:
        """Whether it has ever been read."""
        return self._snapshot is not None

    async def refresh(self) -> None:
        """Read it again."""

        async def read(session: Session) -> _Snapshot:
            merchants = await session.fetch(_MERCHANTS)
            seed = await session.fetchrow(_SEED)
            if seed is None or not merchants:
                raise LookupError("the database has no seed yet")
            return _Snapshot(
                merchant_ids=tuple(row["id"] for row in merchants),
                cumulative_weights=tuple(accumulate(row["weight"] for row in merchants)),
                captures={row["id"]: (row["name"], row["capture_ms"] / 1000) for row in merchants if row["capture_ms"]},
                customers=seed["customers"],
            )

        self._snapshot = await self._database.run(read)

    def pick_merchant(self) -> int:
        """A merchant for a payment that names none: by weight."""
        snapshot = self._require()
        total = snapshot.cumulative_weights[-1]
        if total == 0:
            return random.choice(snapshot.merchant_ids)  # noqa: S311  # spreads load, protects nothing
        draw = random.randrange(total)  # noqa: S311  # as above
        return snapshot.merchant_ids[bisect_right(snapshot.cumulative_weights, draw)]

    def pick_customer(self) -> int:
        """A customer for a payment that names none."""
        return random.randint(1, self._require().customers)  # noqa: S311  # as above

    def capture(self, merchant_id: int) -> tuple[str, float] | None:
        """The merchant's acquirer and the seconds it takes to capture a payment; None if it captures later.

        Args:
            merchant_id: The merchant.
        """
        return self._require().captures.get(merchant_id)

    def _require(self) -> _Snapshot:
        if self._snapshot is None:
            raise ConnectionError("merchants and customers were not read yet")
        return self._snapshot
