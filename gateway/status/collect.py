"""Collects the status page's data: all back ends asked at once, each for itself, with a short time limit."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar

from pydantic import BaseModel, ValidationError

from gateway.backend import BackendError
from gateway.status.answers import HeldAlerts, Instant, JaegerTraces, Range, Streams, TempoTraces
from gateway.status.model import (
    P95_OBJECTIVE_SECONDS,
    SUCCESS_OBJECTIVE,
    ActiveAlert,
    Chart,
    ChartSpec,
    Fault,
    LogLine,
    ServiceLevel,
    Snapshot,
    TraceRow,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Sequence

    from gateway.backend import Backend
    from gateway.probes import Probes

T = TypeVar("T")
M = TypeVar("M", bound=BaseModel)

_WINDOW_SECONDS = 15 * 60
_STEP_SECONDS = 15
_POINTS = _WINDOW_SECONDS // _STEP_SECONDS + 1
_LOG_LINES = 10
_TRACES = 8
# A search returns the newest traces, not the slowest, so it is asked for more, and only for those worth a look.
# Payments only: Jaeger answers with whole traces, and a report's may have a thousand spans.
_TRACES_ASKED = 30
_OPERATION = "POST /payment"
SLOW_MS = 50

_PAYMENTS = 'route="POST /payment"'
_PAYMENT_RATE = f"sum(rate(client_requests_total{{{_PAYMENTS}}}[30s]))"
_SUCCESS = f'sum(rate(client_requests_total{{{_PAYMENTS},outcome="success"}}[30s])) or vector(0)'
_FAILED = f'sum(rate(client_requests_total{{{_PAYMENTS},outcome!="success"}}[30s])) or vector(0)'
_P95 = f"histogram_quantile(0.95, sum by (le) (rate(client_request_duration_seconds_bucket{{{_PAYMENTS}}}[30s])))"

CHARTS = (
    ChartSpec(title="Requests, all routes", query="sum(rate(client_requests_total[30s]))", unit="per_second"),
    ChartSpec(
        title="Failed payments",
        query=f"({_FAILED}) / ({_PAYMENT_RATE} > 0)",
        unit="share",
        objective=1 - SUCCESS_OBJECTIVE,
    ),
    ChartSpec(title="Payments, p95", query=_P95, unit="seconds", objective=P95_OBJECTIVE_SECONDS),
    ChartSpec(title="Database connections", query="sum(db_connections)", unit="count"),
    ChartSpec(title="Pool: connections in use", query="sum(db_pool_in_use)", unit="count"),
    ChartSpec(title="Pool: waiting for a connection", query="sum(db_pool_pending_acquires)", unit="count"),
)
LOGS = '{service="payment-service"} | detected_level=~"(?i)(warn|warning|error|critical|fatal)"'


class Collector:
    """Makes snapshots.

    Args:
        prometheus: as ``loki``, ``traces`` and ``alertmanager`` the back end that is asked.
        loki: see there.
        traces: see there.
        traces_kind: the dialect of ``traces``.
        alertmanager: see there; None where the stack has none.
        probes: the services.
    """

    def __init__(
        self,
        *,
        prometheus: Backend,
        loki: Backend,
        traces: Backend,
        traces_kind: str,
        alertmanager: Backend | None,
        probes: Probes,
    ) -> None:
        self._prometheus = prometheus
        self._loki = loki
        self._traces = traces
        self._traces_kind = traces_kind
        self._alertmanager = alertmanager
        self._probes = probes

    async def snapshot(self) -> Snapshot:
        """Ask everybody and return what came; never fails because a back end does."""
        now = time.time()
        async with asyncio.TaskGroup() as tasks:
            services = tasks.create_task(self._probes.ask())
            level = tasks.create_task(_or_fault(self._level()))
            charts = [tasks.create_task(_or_fault(self._chart(spec, now))) for spec in CHARTS]
            logs = tasks.create_task(_or_fault(self._log_lines(now)))
            traces = tasks.create_task(_or_fault(self._slow_traces(now)))
            alerts = tasks.create_task(_or_fault(self._active_alerts()))
        return Snapshot(
            at=datetime.fromtimestamp(now, UTC),
            services=services.result(),
            level=level.result(),
            charts=[(spec, chart.result()) for spec, chart in zip(CHARTS, charts, strict=True)],
            logs=logs.result(),
            traces=traces.result(),
            alerts=alerts.result(),
        )

    async def _level(self) -> ServiceLevel:
        success, p95 = await asyncio.gather(
            *(
                _get(self._prometheus, "/api/v1/query", {"query": query}, Instant)
                for query in (f"({_SUCCESS}) / ({_PAYMENT_RATE} > 0)", _P95)
            )
        )
        return ServiceLevel(success=success.value(), p95=p95.value())

    async def _chart(self, spec: ChartSpec, now: float) -> Chart:
        # Aligned to the step, so that a refresh moves the line instead of redrawing it.
        end = now // _STEP_SECONDS * _STEP_SECONDS
        start = end - _WINDOW_SECONDS
        parameters = {"query": spec.query, "start": f"{start:.0f}", "end": f"{end:.0f}", "step": str(_STEP_SECONDS)}
        answer = await _get(self._prometheus, "/api/v1/query_range", parameters, Range)
        return Chart(spec=spec, values=answer.values(start=start, step=_STEP_SECONDS, count=_POINTS))

    async def _log_lines(self, now: float) -> Sequence[LogLine]:
        parameters = {
            "query": LOGS,
            "start": f"{(now - _WINDOW_SECONDS) * 1e9:.0f}",
            "end": f"{now * 1e9:.0f}",
            "limit": str(_LOG_LINES),
            "direction": "backward",
        }
        return (await _get(self._loki, "/loki/api/v1/query_range", parameters, Streams)).lines()[:_LOG_LINES]

    async def _slow_traces(self, now: float) -> Sequence[TraceRow]:
        start = now - _WINDOW_SECONDS
        rows: list[TraceRow]
        if self._traces_kind == "jaeger":
            parameters = {
                "service": "payment-service",
                "operation": _OPERATION,
                "minDuration": f"{SLOW_MS}ms",
                "start": f"{start * 1e6:.0f}",
                "end": f"{now * 1e6:.0f}",
                "limit": str(_TRACES_ASKED),
            }
            rows = (await _get(self._traces, "/api/traces", parameters, JaegerTraces)).rows()
        else:
            parameters = {
                "q": f'{{resource.service.name="payment-service" && name="{_OPERATION}" && duration > {SLOW_MS}ms}}',
                "start": f"{start:.0f}",
                "end": f"{now:.0f}",
                "limit": str(_TRACES_ASKED),
            }
            rows = (await _get(self._traces, "/api/search", parameters, TempoTraces)).rows()
        return sorted(rows, key=lambda row: row.milliseconds, reverse=True)[:_TRACES]

    async def _active_alerts(self) -> Sequence[ActiveAlert]:
        if self._alertmanager is None:
            return ()
        parameters = {"active": "true", "silenced": "false"}
        return (await _get(self._alertmanager, "/api/v2/alerts", parameters, HeldAlerts)).rows()


async def _get(backend: Backend, path: str, parameters: dict[str, str], shape: type[M]) -> M:
    try:
        return shape.model_validate(await backend.get_json(path, parameters))
    except ValidationError:
        raise backend.error(502, "bad_gateway", "content", f"{backend.name} answered in an unknown form") from None


async def _or_fault(work: Awaitable[T]) -> T | Fault:
    try:
        return await work
    except BackendError as error:
        return Fault(error.sentence)
