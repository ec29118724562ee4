"""The routes that operators and their tools use: health and metrics."""

from collections.abc import Callable
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from payment_service.health import Health, Status
from payment_service.routes.answers import json
from payment_service.telemetry.metrics import Metrics


class OperationRoutes:
    """The routes.

    Args:
        health: Looks at the components.
        metrics: All metrics.
        is_ready: Whether new requests are welcome.
    """

    def __init__(self, health: Health, metrics: Metrics, is_ready: Callable[[], bool]) -> None:
        self._health = health
        self._metrics = metrics
        self._is_ready = is_ready

    def routes(self) -> list[Route]:
        """Starlette's routes."""
        return [
            Route("/health", self.health, methods=["GET"]),
            Route("/health/live", self.live, methods=["GET"]),
            Route("/health/ready", self.ready, methods=["GET"]),
            Route("/metrics", self.metrics, methods=["GET"]),
        ]

    async def health(self, _request: Request) -> Response:
        """``GET /health``: 503 only if the service cannot do its work at all."""
        status, body = await self._health.check()
        return json(body, status=HTTPStatus.SERVICE_UNAVAILABLE if status is Status.UNHEALTHY else HTTPStatus.OK)

    async def live(self, _request: Request) -> Response:
        """``GET /health/live``: the process answers."""
        return json({"status": "alive"})

    async def ready(self, _request: Request) -> Response:
        """``GET /health/ready``: send requests here. Says nothing about whether payments go well."""
        ready = self._is_ready()
        body = {"status": "ready" if ready else "not ready"}
        return json(body, status=HTTPStatus.OK if ready else HTTPStatus.SERVICE_UNAVAILABLE)

    async def metrics(self, request: Request) -> Response:
        """``GET /metrics``."""
        text, content_type = self._metrics.render(request.headers.get("accept", ""))
        return Response(text, media_type=content_type)
