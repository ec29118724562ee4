"""Puts the gateway together: back ends, fronts, and what they share."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from starlette.routing import Route, Router

from gateway.agents.bounds import Bounds
from gateway.agents.compass import Compass
from gateway.agents.dashboards import Dashboards
from gateway.agents.either import Either
from gateway.agents.grafana_lists import ListDatasources, listing_tools
from gateway.agents.grafana_queries import QueryLokiLogs, QueryPrometheus
from gateway.agents.large import LargeAnswers
from gateway.agents.logql import LogQL
from gateway.agents.mcp import Mcp
from gateway.agents.post import JsonPost
from gateway.agents.promql import PromQL
from gateway.agents.search_http import SearchHttp
from gateway.agents.tempo import TempoStore
from gateway.agents.traceql_search import TraceQLSearch
from gateway.agents.traces import TraceSearch
from gateway.agents.upstream import Upstream
from gateway.alerts import AlertLog
from gateway.allowlists import GRAFANA, JAEGER, LOKI, PROMETHEUS, TEMPO
from gateway.backend import Backend
from gateway.endpoints import Endpoints
from gateway.forward import Forward
from gateway.guard import READY, Guard, Policy, Token
from gateway.jaeger.search import JaegerStore
from gateway.metrics import Metrics
from gateway.probes import Probes
from gateway.problems import Refused
from gateway.status.collect import Collector
from gateway.tracing import Tracing

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from starlette.types import ASGIApp, Receive, Scope, Send

    from gateway.config import BackendSettings, Config
    from gateway.rules import AllowList

# Grafana's default name of the auth proxy's header.
_IDENTITY = "X-WEBAUTH-USER"


@asynccontextmanager
async def open_gateway(config: Config, token: str | None) -> AsyncGenerator[dict[str, ASGIApp]]:
    """Open the back ends and hand out one ASGI application for each front.

    Args:
        config: the validated configuration.
        token: the secret that opens the fronts; None opens them to everybody.
    """
    metrics = Metrics()
    tracing = Tracing(config.telemetry.otlp_endpoint, version=config.version, environment=config.stack)
    async with AsyncExitStack() as stack:
        stack.callback(tracing.shutdown)

        def backend(name: str, settings: BackendSettings) -> Backend:
            opened = Backend(name, settings, metrics)
            stack.push_async_callback(opened.close)
            return opened

        backends = config.backends
        prometheus = backend("prometheus", backends.prometheus)
        loki = backend("loki", backends.loki)
        traces = backend(backends.traces.kind, backends.traces)
        alertmanager = backends.alertmanager and backend("alertmanager", backends.alertmanager)

        probes = Probes(config.probes, metrics)
        stack.push_async_callback(probes.close)
        alerts = AlertLog(metrics)
        collector = Collector(
            prometheus=prometheus,
            loki=loki,
            traces=traces,
            traces_kind=backends.traces.kind,
            alertmanager=alertmanager,
            probes=probes,
        )
        endpoints = Endpoints(config, probes=probes, alerts=alerts, collector=collector, metrics=metrics)
        stack.push_async_callback(endpoints.close)

        def forward(to: Backend, allow: AllowList, *, user: str | None = None) -> Forward:
            identity = None if user is None else {_IDENTITY: user}
            return Forward(to, allow, tracing, body_bytes=config.limits.body_bytes, identity=identity)

        large = LargeAnswers()

        def upstream(to: Backend, *, user: str | None = None) -> Upstream:
            identity = None if user is None else {_IDENTITY: user}
            return Upstream(to, tracing, large, answer_bytes=config.limits.agents.answer_bytes, identity=identity)

        rest: ASGIApp = _not_found
        dashboards = Dashboards(None)
        if backends.grafana is not None:
            grafana, user = backend("grafana", backends.grafana), backends.grafana.user
            rest = forward(grafana, GRAFANA, user=user)
            dashboards = Dashboards(upstream(grafana, user=user))

        bounds = Bounds(config.limits.agents)
        asked_prometheus, asked_loki = upstream(prometheus), upstream(loki)
        promql, logql = PromQL(asked_prometheus, bounds), LogQL(asked_loki, bounds)
        compass = Compass([promql, logql, dashboards], metrics)
        grafana_mcp = Mcp(
            [
                QueryPrometheus(promql),
                QueryLokiLogs(logql),
                ListDatasources(),
                *listing_tools(asked_prometheus, asked_loki, bounds),
            ],
            metrics,
            version=config.version,
        )
        either = Either(compass, grafana_mcp)
        call_tool = Route("/mcp", JsonPost(either.answer, tracing, body_bytes=config.limits.body_bytes))

        tempo = backends.traces.kind == "tempo"
        passing = forward(traces, TEMPO if tempo else JAEGER)
        if tempo:
            store = TempoStore(upstream(traces))
        else:
            store = JaegerStore(upstream(traces))
            stack.callback(store.close)
        search = TraceSearch(store, bounds)
        mcp = Mcp([TraceQLSearch(search)], metrics, version=config.version)
        trace_routes = [
            Route("/api/mcp", JsonPost(mcp.answer, tracing, body_bytes=config.limits.body_bytes)),
            Route("/api/search", SearchHttp(search, tracing, metrics, passing=passing if tempo else None)),
        ]

        def guard(front: str, app: ASGIApp, *, secret: str | None, open_paths: frozenset[str] = frozenset()) -> Guard:
            policy = Policy(
                front=front,
                token=Token(secret),
                realm=f"{config.stack} gateway",
                browsers=config.browsers,
                limits=config.limits,
                open_paths=open_paths,
            )
            return Guard(app, policy, metrics)

        yield {
            "main": guard(
                "main",
                Router([*endpoints.main(), call_tool], redirect_slashes=False, default=rest),
                secret=token,
                open_paths=READY | {"/api/health"},
            ),
            "prometheus": guard("prometheus", forward(prometheus, PROMETHEUS), secret=token),
            "loki": guard("loki", forward(loki, LOKI), secret=token),
            "traces": guard("traces", Router(trace_routes, redirect_slashes=False, default=passing), secret=token),
            # Reached from inside the network only, by Alertmanager, Prometheus and health checks; none of them holds
            # the token.
            "internal": guard(
                "internal",
                Router(endpoints.internal(), redirect_slashes=False, default=_not_found),
                secret=None,
                open_paths=READY | {"/metrics"},
            ),
        }


async def _not_found(scope: Scope, _receive: Receive, _send: Send) -> None:
    raise Refused(404, "not_found", f"the gateway has nothing at {scope['path'][:200]}")
