"""The routes that clients pay for: payments, refunds, settlement, reports."""

import time
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from payment_service.domain.lookup import PaymentLookup, parse_cursor
from payment_service.domain.payments import PaymentRequest, Payments
from payment_service.domain.refunds import Refunds
from payment_service.domain.settlement import Settlement
from payment_service.inputs import (
    MAX_BIGINT,
    PaymentBody,
    RefundBody,
    SettlementBody,
    idempotency_key,
    parse_body,
    parse_date,
    path_id,
    query_int,
    today,
)
from payment_service.problems import Problem
from payment_service.routes.answers import json
from payment_service.telemetry.context import current_request
from payment_service.telemetry.logs import redact_text
from payment_service.telemetry.metrics import SERVICE, Metrics, exemplar


class BusinessRoutes:
    """The routes.

    Args:
        payments: Takes payments.
        lookup: Finds them.
        refunds: Gives them back.
        settlement: Settles and reports.
        metrics: Counts; None counts nothing.
    """

    def __init__(
        self,
        payments: Payments,
        lookup: PaymentLookup,
        refunds: Refunds,
        settlement: Settlement,
        metrics: Metrics | None,
    ) -> None:
        self._payments = payments
        self._lookup = lookup
        self._refunds = refunds
        self._settlement = settlement
        self._metrics = metrics

    def routes(self) -> list[Route]:
        """Starlette's routes, the busiest first."""
        return [
            Route("/payment", self.pay, methods=["POST"]),
            Route("/payment/{payment_id}", self.show_payment, methods=["GET"]),
            Route("/payment/{payment_id}/refund", self.refund, methods=["POST"]),
            Route("/customers/{customer_id}/payments", self.list_payments, methods=["GET"]),
            Route("/settlement-runs", self.settle, methods=["POST"]),
            Route("/reports/settlement", self.report, methods=["GET"]),
            Route("/merchants/{merchant_id}/totals", self.show_totals, methods=["GET"]),
        ]

    async def pay(self, request: Request) -> Response:
        """``POST /payment``."""
        started = time.perf_counter()
        outcome = "failed"
        amount_minor = 0
        try:
            body = await parse_body(request, PaymentBody)
            amount_minor = round(body.amount * 100)
            asked = PaymentRequest(
                amount_minor=amount_minor,
                currency=body.currency,
                customer_id=body.customer_id,
                merchant_id=body.merchant_id,
                key=idempotency_key(request),
            )
            result = await self._payments.pay(asked)
            outcome = result.outcome
        except Problem as problem:
            outcome = "rejected" if problem.status < HTTPStatus.INTERNAL_SERVER_ERROR else "failed"
            raise
        finally:
            self._count(outcome, amount_minor, time.perf_counter() - started)
        return json(result.body, headers={"Idempotent-Replayed": "true"} if outcome == "replayed" else None)

    async def show_payment(self, request: Request) -> Response:
        """``GET /payment/{payment_id}``."""
        return json(await self._lookup.find(path_id(request, "payment_id", most=MAX_BIGINT)))

    async def refund(self, request: Request) -> Response:
        """``POST /payment/{payment_id}/refund``."""
        payment_id = path_id(request, "payment_id", most=MAX_BIGINT)
        body = await parse_body(request, RefundBody, optional=True)
        # People write into it what they should not, and the database logs the values of statements that are slow.
        reason = redact_text(body.reason)
        return json(await self._refunds.refund(payment_id, reason, idempotency_key(request)))

    async def list_payments(self, request: Request) -> Response:
        """``GET /customers/{customer_id}/payments?limit=&cursor=``."""
        customer_id = path_id(request, "customer_id")
        limit = query_int(request, "limit", default=20, most=100)
        cursor = request.query_params.get("cursor")
        return json(await self._lookup.history(customer_id, None if cursor is None else parse_cursor(cursor), limit))

    async def settle(self, request: Request) -> Response:
        """``POST /settlement-runs``."""
        body = await parse_body(request, SettlementBody)
        return json(
            await self._settlement.settle(body.merchant_id, parse_date(body.business_date, "business_date", today()))
        )

    async def report(self, request: Request) -> Response:
        """``GET /reports/settlement?date=``: of yesterday, the last whole business day, if no date is given."""
        return json(
            await self._settlement.report(parse_date(request.query_params.get("date"), "date", today(days_ago=1)))
        )

    async def show_totals(self, request: Request) -> Response:
        """``GET /merchants/{merchant_id}/totals?days=``."""
        merchant_id = path_id(request, "merchant_id")
        return json(await self._settlement.totals(merchant_id, query_int(request, "days", default=30, most=365)))

    def _count(self, outcome: str, amount_minor: int, seconds: float) -> None:
        metrics = self._metrics
        if metrics is None:
            return
        trace = exemplar(current_request.get())
        metrics.payments.labels(SERVICE, outcome).inc(1, trace)
        metrics.payment_duration.observe(seconds, trace)
        if outcome == "completed":
            metrics.payment_amount.labels("EUR").inc(amount_minor)
