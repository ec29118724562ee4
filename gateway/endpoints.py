"""What the gateway answers itself: readiness, Grafana's small read API, alerts, metrics, the status page."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route

from gateway.agents.sources import SOURCES
from gateway.guard import read_body
from gateway.peers import KEPT_PATH
from gateway.problems import json_response
from gateway.shared_round import SharedRound
from gateway.status.page import StatusPage

if TYPE_CHECKING:
    from starlette.requests import Request

    from gateway.alerts import AlertLog
    from gateway.config import Config
    from gateway.metrics import Metrics
    from gateway.peers import Peers
    from gateway.probes import Probes
    from gateway.status.collect import Collector

# Several people watching the page cost the back ends one round of queries.
_SNAPSHOT_SECONDS = 2.0


class Endpoints:
    """The gateway's own resources.

    Args:
        config: names, addresses, settings to show.
        probes: asks the services.
        alerts: the alerts that came in.
        peers: the other replicas, which may know of more.
        stopping: set once the gateway was told to stop.
        collector: collects the status page's data.
        metrics: the gateway's own.
    """

    def __init__(
        self,
        config: Config,
        *,
        probes: Probes,
        alerts: AlertLog,
        peers: Peers,
        collector: Collector,
        metrics: Metrics,
        stopping: asyncio.Event,
    ) -> None:
        self._config = config
        self._probes = probes
        self._alerts = alerts
        self._peers = peers
        self._stopping = stopping
        self._metrics = metrics
        self._page = StatusPage(config)
        self._snapshots = SharedRound(collector.snapshot, max_age=_SNAPSHOT_SECONDS)

    def readiness(self) -> list[Route]:
        """Return the routes that orchestrators ask without a token."""
        return [Route("/ready", self._ready), Route("/ready/stack", self._ready_stack)]

    def main(self) -> list[Route]:
        """Return the routes of the main front."""
        routes = [
            *self.readiness(),
            Route("/api/health", self._grafana_health),
            Route("/api/datasources", self._datasources),
            Route("/api/alerts/received", self._alerts_received),
            Route("/status", self._status),
        ]
        if self._config.distribution == "packages":
            routes.append(Route("/", self._status))
        return routes

    def internal(self) -> list[Route]:
        """Return the routes of the internal listener."""
        return [
            *self.readiness(),
            Route("/metrics", self._expose),
            Route("/alerts", self._receive_alerts, methods=["POST"]),
            Route(KEPT_PATH, self._kept_alerts),
        ]

    async def close(self) -> None:
        """End what is under way."""
        await self._snapshots.close()

    async def _ready(self, _request: Request) -> Response:
        ready = not self._stopping.is_set()
        return PlainTextResponse(
            "ready\n" if ready else "stopping\n", 200 if ready else 503, headers={"Cache-Control": "no-store"}
        )

    async def _ready_stack(self, _request: Request) -> Response:
        services = await self._probes.ask()
        return json_response(services.as_json(), status=200 if services.ready else 503)

    async def _grafana_health(self, _request: Request) -> Response:
        return json_response({"database": "ok", "version": self._config.version, "commit": ""})

    async def _datasources(self, _request: Request) -> Response:
        backends = self._config.backends
        urls = (backends.prometheus.url, backends.loki.url, backends.traces.url)
        sources = [(*source, url) for source, url in zip(SOURCES, urls, strict=True)]
        body: list[dict[str, object]] = [
            {
                "id": number,
                "uid": uid,
                "orgId": 1,
                "name": name,
                "type": kind,
                "typeName": name,
                "access": "proxy",
                "url": url,
                "user": "",
                "database": "",
                "basicAuth": False,
                "isDefault": uid == "prometheus",
                "jsonData": {},
                "readOnly": True,
            }
            for number, (uid, name, kind, url) in enumerate(sources, start=1)
        ]
        return json_response(body)

    async def _alerts_received(self, _request: Request) -> Response:
        await self._peers.ask()
        alerts = [received.as_json() for received in self._alerts.latest()]
        return json_response({"alerts": alerts, "total": self._alerts.total})

    async def _receive_alerts(self, request: Request) -> Response:
        body = await read_body(request.receive, self._config.limits.body_bytes)
        return json_response({"received": self._alerts.receive(body)})

    async def _kept_alerts(self, _request: Request) -> Response:
        return Response(self._alerts.kept().model_dump_json(by_alias=True), media_type="application/json")

    async def _expose(self, request: Request) -> Response:
        # Where no health check polls /ready/stack, the scrape keeps gateway_probe_up fresh.
        await self._probes.ask()
        body, content_type = self._metrics.render(request.headers.get("accept", ""))
        return Response(body, headers={"Content-Type": content_type})

    async def _status(self, _request: Request) -> Response:
        snapshot, _ = await asyncio.gather(self._snapshots.get(), self._peers.ask())
        return HTMLResponse(self._page.render(snapshot, self._alerts.latest()), headers=self._page.headers)
