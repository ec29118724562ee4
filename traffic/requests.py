"""From an arrival to the request that is sent: ids come from what earlier answers told."""

from __future__ import annotations

import uuid
from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from traffic.mix import ROUTES, Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from traffic.plan import Arrival

_REMEMBERED = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is sent.

    Attributes:
        route: label of the metrics.
        method: HTTP method.
        path: path and query.
        body: JSON body, None for none.
        headers: headers beside the usual ones.
    """

    route: str
    method: str
    path: str
    body: Mapping[str, object] | None = None
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


def _ids(most: int = _REMEMBERED) -> deque[int]:
    return deque(maxlen=most)


@dataclass(slots=True)
class Known:
    """Ids that exist, newest last.

    Attributes:
        customers: from answers, or 1 to n where the settings say so.
        merchants: the same.
        payments: that were taken.
        refundable: that were completed and nobody asked to refund yet.
    """

    customers: Sequence[int] = field(default_factory=_ids)
    merchants: Sequence[int] = field(default_factory=_ids)
    payments: deque[int] = field(default_factory=_ids)
    refundable: deque[int] = field(default_factory=_ids)

    def learn(self, payment: Mapping[str, object]) -> None:
        """Remember the ids of an answer to a payment."""
        payment_id = payment.get("payment_id")
        if isinstance(payment_id, int):
            self.payments.append(payment_id)
            if payment.get("status") == "completed":
                self.refundable.append(payment_id)
        for name, ids in (("customer_id", self.customers), ("merchant_id", self.merchants)):
            value = payment.get(name)
            if isinstance(value, int) and isinstance(ids, deque):
                ids.append(value)


class RequestMaker:
    """Makes requests.

    Args:
        known: ids that exist.
        today: the present day, UTC; for tests.
    """

    def __init__(self, known: Known, *, today: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._known = known
        self._today = today
        # Not from the seed: after a restart the same keys would name the payments of the run before, and the service
        # would rightly answer with those instead of taking new ones.
        self._run = uuid.uuid4()
        self._number = 0

    def make(self, arrival: Arrival) -> Request:
        """Return the request of an arrival; one that needs an id when none is known yet pays instead."""
        request = self._read(arrival)
        if request is not None:
            return request
        known = self._known
        if arrival.kind is Kind.SETTLE and known.merchants:
            return _post(Kind.SETTLE, {"merchant_id": _newest(known.merchants, arrival.pick)})
        key = {"Idempotency-Key": self._key()}
        if arrival.kind is Kind.REFUND and known.refundable:
            payment_id = _newest(known.refundable, arrival.pick)
            known.refundable.remove(payment_id)
            return _post(Kind.REFUND, {"reason": "returned"}, key, payment_id=payment_id)
        return _post(Kind.PAY, {"amount": arrival.amount}, key)

    def _read(self, arrival: Arrival) -> Request | None:
        known, pick = self._known, arrival.pick
        match arrival.kind:
            case Kind.STATUS if known.payments:
                return _get(Kind.STATUS, payment_id=_newest(known.payments, pick))
            case Kind.HISTORY if known.customers:
                return _get(Kind.HISTORY, f"?limit={arrival.page}", customer_id=_newest(known.customers, pick))
            case Kind.TOTALS if known.merchants:
                return _get(Kind.TOTALS, merchant_id=_newest(known.merchants, pick))
            case Kind.REPORT:
                day = (self._today() - timedelta(days=arrival.days_ago)).date()
                return _get(Kind.REPORT, f"?date={day}")
            case _:
                return None

    def _key(self) -> str:
        self._number += 1
        return str(uuid.uuid5(self._run, str(self._number)))


def _newest(ids: Sequence[int], pick: float) -> int:
    """Return the id at this place, counted from the newest."""
    return ids[len(ids) - 1 - int(pick * len(ids))]


def _get(kind: Kind, query: str = "", **parameters: int) -> Request:
    route = ROUTES[kind]
    return Request(route=route.label, method=route.method, path=route.template.format(**parameters) + query)


def _post(
    kind: Kind, body: Mapping[str, object], headers: Mapping[str, str] | None = None, **parameters: int
) -> Request:
    route = ROUTES[kind]
    path = route.template.format(**parameters)
    return Request(route=route.label, method=route.method, path=path, body=body, headers=headers or {})
