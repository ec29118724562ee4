"""Puts the service together."""

import asyncio
import socket
from collections.abc import Awaitable, Callable

import structlog
from prometheus_client import disable_created_metrics
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.routing import Route
from starlette.types import ASGIApp

from payment_service import __version__
from payment_service.background import repeat
from payment_service.credential import Credential
from payment_service.domain.acquirer import Acquirers
from payment_service.domain.lookup import PaymentLookup, RecentPayments
from payment_service.domain.payments import Payments
from payment_service.domain.reference import ReferenceData
from payment_service.domain.refunds import Refunds
from payment_service.domain.settlement import Settlement
from payment_service.health import Health
from payment_service.live_changes import LiveChanges
from payment_service.live_settings import LiveSettings
from payment_service.peers import Peers
from payment_service.problems import Problem, answer_exception, answer_http_exception, answer_problem
from payment_service.retention import Retention
from payment_service.routes import trigger
from payment_service.routes.admin import AdminRoutes
from payment_service.routes.business import BusinessRoutes
from payment_service.routes.operations import OperationRoutes
from payment_service.settings import ServiceSettings
from payment_service.store.database import Database
from payment_service.store.pool import ConnectionPool
from payment_service.telemetry.export import OtlpExporter
from payment_service.telemetry.logs import configure_logging
from payment_service.telemetry.metrics import SERVICE, Metrics
from payment_service.telemetry.middleware import TelemetryMiddleware
from payment_service.telemetry.spans import Tracer

log = structlog.get_logger("payment_service")

_BACKGROUND_POOL = 3
_BACKGROUND_ACQUIRE = 5.0
_REFERENCE_INTERVAL = 5.0
_DAYS_INTERVAL = 300.0
_PEERS_INTERVAL = 1.0
_FLUSH_TIMEOUT = 3.0


class Service:
    """The whole service, but for its sockets.

    Args:
        settings: Its settings.
    """

    def __init__(self, settings: ServiceSettings) -> None:
        self.settings = settings
        self.draining = False
        disable_created_metrics()
        self.metrics = Metrics()
        self.exporter = self._make_exporter()
        configure_logging(settings.log_level, None if self.exporter is None else self.exporter.put_log)
        traced = settings.traces_enabled and self.exporter is not None
        self.tracer = Tracer(self.exporter.put_span if traced and self.exporter is not None else None)
        self.live = LiveSettings(settings)
        self.credential = Credential(settings.app_password_file, settings.credential_version)
        self.pool = ConnectionPool(
            settings,
            self.credential.read,
            max_size=settings.pool_max_size,
            acquire_timeout=settings.pool_acquire_timeout,
        )
        self._background_pool = ConnectionPool(
            settings, self.credential.read, max_size=_BACKGROUND_POOL, acquire_timeout=_BACKGROUND_ACQUIRE
        )
        self._changes = LiveChanges(self.live, self.credential, [self.pool, self._background_pool])
        self._peers = Peers(settings.peers, self._changes) if settings.peers else None
        self.database = Database(settings, self.pool, self.tracer, self.metrics, settings.db_name)
        # What the background does must not colour the metrics of requests.
        background = Database(settings, self._background_pool, self.tracer, Metrics(), f"{settings.db_name} background")
        self.reference = ReferenceData(background)
        self.retention = Retention(settings, background, self.metrics)
        acquirers = Acquirers(self.tracer, settings.acquirer_timeout)
        recent = RecentPayments()
        self._payments = Payments(settings, self.live, self.database, self.reference, acquirers, recent)
        self._lookup = PaymentLookup(self.database, recent)
        self._refunds = Refunds(settings, self.live, self.database, acquirers)
        self._settlement = Settlement(self.live, self.database)
        self._health = Health(self.database, background)
        self._jobs: list[asyncio.Task[None]] = []
        self.metrics.watch_pool(
            size=lambda: self.pool.size,
            idle=lambda: self.pool.idle,
            in_use=lambda: self.pool.in_use,
            limit=lambda: self.pool.max_size,
            pending=lambda: self.pool.waiting,
        )

    @property
    def ready(self) -> bool:
        """Whether new requests are welcome."""
        agreed = self._peers is None or self._peers.asked
        return self.reference.loaded and agreed and not self.draining

    def public_app(self) -> ASGIApp:
        """What the public port serves."""
        settings = self.settings
        measured = self.metrics if settings.metrics_enabled else None
        business = BusinessRoutes(self._payments, self._lookup, self._refunds, self._settlement, measured)
        operations = OperationRoutes(self._health, self.metrics, lambda: self.ready)
        handed_on = trigger.TriggerRoutes(settings.incident_runner_url, settings.incident_runner_token_file)
        app = _starlette([*business.routes(), *operations.routes(), *handed_on.routes()])
        return self._wrap(app, measured, silent_path=trigger.PATH)

    def admin_app(self) -> ASGIApp:
        """What the internal port serves."""
        return _starlette(AdminRoutes(self._changes, self._peers).routes())

    async def start(self) -> None:
        """Start everything that runs beside requests. Needs no database."""
        if self.exporter is not None:
            self.exporter.start()
        await self.pool.open()
        await self._background_pool.open()
        if self._peers is not None:
            self._begin_job("settings of replicas", _PEERS_INTERVAL, self._peers.pull)
        self._begin_job("reference data", _REFERENCE_INTERVAL, self.reference.refresh)
        self._begin_job("warm up", float("inf"), lambda: self.pool.warm_up(self.settings.pool_min_size))
        if self.settings.retention_enabled:
            self._begin_job("retention", self.settings.retention_interval, self.retention.prune)
            self._begin_job("retention of days", _DAYS_INTERVAL, self.retention.prune_days)
        log.info("service started", version=__version__, port=self.settings.port, admin_port=self.settings.admin_port)

    async def stop(self) -> None:
        """Stop it again, in the reverse order: the last lines have to leave too."""
        for job in self._jobs:
            job.cancel()
        await asyncio.gather(*self._jobs, return_exceptions=True)
        await self.pool.close(_FLUSH_TIMEOUT)
        await self._background_pool.close(_FLUSH_TIMEOUT)
        log.info("service stopped")
        if self.exporter is not None:
            await asyncio.to_thread(self.exporter.close, _FLUSH_TIMEOUT)

    def _begin_job(self, name: str, interval: float, job: Callable[[], Awaitable[object]]) -> None:
        self._jobs.append(asyncio.create_task(repeat(name, interval, job), name=name))

    def _make_exporter(self) -> OtlpExporter | None:
        settings = self.settings
        if settings.otlp_endpoint is None:
            return None
        resource = {
            "service.name": SERVICE,
            "service.version": __version__,
            "service.instance.id": settings.instance_id or socket.gethostname(),
            "deployment.environment.name": settings.environment,
            "telemetry.sdk.language": "python",
        }
        return OtlpExporter(settings.otlp_endpoint, resource, settings.otlp_interval, self.metrics.count_dropped)

    def _wrap(self, app: ASGIApp, metrics: Metrics | None, *, silent_path: str) -> ASGIApp:
        return TelemetryMiddleware(
            app,
            tracer=self.tracer,
            metrics=metrics,
            timeout=self.settings.request_timeout,
            is_draining=lambda: self.draining,
            silent_path=silent_path,
        )


def _starlette(routes: list[Route]) -> Starlette:
    handlers = {Problem: answer_problem, HTTPException: answer_http_exception, Exception: answer_exception}
    app = Starlette(routes=routes, exception_handlers=handlers)
    # A redirect would lead to whatever host the client says it asked.
    app.router.redirect_slashes = False
    return app
