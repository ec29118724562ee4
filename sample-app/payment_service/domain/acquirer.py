"""The acquirers.

The banks that a merchant's card business goes through. Simulated: they answer as their profile says.
"""

import asyncio
import random
import time
from http import HTTPStatus

from payment_service.problems import Problem
from payment_service.telemetry.context import current_request
from payment_service.telemetry.spans import CLIENT, SpanTemplate, Tracer


class Acquirers:
    """Talks to acquirers.

    Args:
        tracer: Records spans.
        timeout: Seconds after which an answer is no longer waited for.
    """

    def __init__(self, tracer: Tracer, timeout: float) -> None:
        self._tracer = tracer
        self._timeout = timeout
        self._templates: dict[tuple[str, str], SpanTemplate] = {}

    async def ask(self, operation: str, acquirer: str, seconds: float) -> None:
        """Wait for an acquirer's consent.

        Args:
            operation: ``authorise`` or ``capture``.
            acquirer: Its name.
            seconds: How long it takes, give or take a fifth.

        Raises:
            Problem: It took too long.
        """
        start = time.time_ns()
        error: BaseException | None = None
        try:
            async with asyncio.timeout(self._timeout):
                await asyncio.sleep(seconds * random.uniform(0.8, 1.2))  # noqa: S311  # simulates, protects nothing
        except TimeoutError as late:
            error = late
            raise Problem(
                HTTPStatus.GATEWAY_TIMEOUT, "The acquirer did not answer in time; nothing was changed."
            ) from None
        finally:
            request = current_request.get()
            if request is not None:
                template = self._templates.get((operation, acquirer)) or self._make(operation, acquirer)
                self._tracer.record(template, request, start, time.time_ns(), error=error)

    def _make(self, operation: str, acquirer: str) -> SpanTemplate:
        template = SpanTemplate(f"acquirer {operation}", CLIENT, {"peer.service": acquirer})
        self._templates[operation, acquirer] = template
        return template
