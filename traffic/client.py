"""Sends one request and records what the client saw. Never retries: a retry would hide what is measured."""

from __future__ import annotations

import asyncio
import json
import ssl
from typing import TYPE_CHECKING, cast

import httpx2

from traffic.mix import ROUTES, Kind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from traffic.metrics import Metrics, Outcome
    from traffic.requests import Known, Request
    from traffic.settings import Settings
    from traffic.summary import Summary

_PAYMENT = ROUTES[Kind.PAY].label
_SUCCESS = range(200, 400)
# Shorter than a server keeps an idle connection (uvicorn: 5 s), so that no request meets one that is just being closed.
_KEEPALIVE_SECONDS = 3.0
# Each request looks through the kept connections, and at twenty a second a few are enough.
_KEPT = 8
_READY_SECONDS = 2.0


class Client:
    """The clients of the payment service. Close it at the end.

    Args:
        settings: where to send and how long to wait.
        metrics: where the outcome is counted.
        summary: the same, for the log.
        known: learns the ids of answers.
    """

    def __init__(self, settings: Settings, metrics: Metrics, summary: Summary, known: Known) -> None:
        self._settings = settings
        self._metrics = metrics
        self._summary = summary
        self._known = known
        # Loading the certificate authorities costs memory; without them no certificate is accepted.
        tls = True if settings.target.startswith("https:") else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._http = httpx2.AsyncClient(
            base_url=settings.target,
            timeout=settings.timeout_seconds,
            verify=tls,
            trust_env=False,
            headers={"User-Agent": "payment-clients"},
            limits=httpx2.Limits(
                max_connections=settings.max_in_flight,
                max_keepalive_connections=_KEPT,
                keepalive_expiry=_KEEPALIVE_SECONDS,
            ),
        )

    async def close(self) -> None:
        """Close all connections."""
        await self._http.aclose()

    async def is_ready(self) -> bool:
        """Return whether the service says that requests are welcome."""
        try:
            return (await self._http.get(self._settings.ready_path, timeout=_READY_SECONDS)).is_success
        except httpx2.HTTPError:
            return False

    async def send(self, request: Request, scheduled: float) -> None:
        """Send a request and record its outcome.

        Args:
            request: what to send.
            scheduled: when the client arrived, in the event loop's time; the duration counts from here, so that a
                delay in sending is not hidden.
        """
        loop = asyncio.get_running_loop()
        outcome: Outcome = "error"
        status = "none"
        try:
            async with asyncio.timeout_at(scheduled + self._settings.timeout_seconds):
                response = await self._http.request(
                    request.method, request.path, json=request.body, headers=request.headers
                )
            status = str(response.status_code)
            if response.status_code in _SUCCESS:
                outcome = "success"
                if request.route == _PAYMENT:
                    self._learn(response.content)
        except (TimeoutError, httpx2.TimeoutException):
            outcome = "timeout"
        except httpx2.HTTPError:
            # Refused, reset, not HTTP: an error without a status.
            pass
        seconds = loop.time() - scheduled
        self._metrics.record(request.route, outcome, status, seconds)
        self._summary.record(request.route, outcome, seconds)

    def _learn(self, body: bytes) -> None:
        try:
            answer: object = json.loads(body)
        except ValueError:
            return
        if isinstance(answer, dict):
            self._known.learn(cast("Mapping[str, object]", answer))
