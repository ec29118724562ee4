"""Puts the gateway together: back ends, fronts, and what they share."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
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
from gateway.agents.passed_mcp import MCP_GRAFANA, MCP_HEADERS, PassedMcp
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
from gateway.credentials import OperatorsToken, Token
from gateway.endpoints import Endpoints
from gateway.forward import Forward
from gateway.guard import READY, Guard, Policy
from gateway.jaeger.search import JaegerStore
from gateway.live import Live
from gateway.login import Login
from gateway.metrics import Metrics
from gateway.peers import Peers
from gateway.probes import Probes
from gateway.problems import Refused
from gateway.query_limits import QueryLimits
from gateway.status.collect import Collector
from gateway.tracing import Tracing

if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncGenerator, Awaitable, Callable

    from starlette.responses import Response
    from starlette.types import ASGIApp, Receive, Scope, Send

    from gateway.agents.post import Posted
    from gateway.agents.traces import TraceStore
    from gateway.config import BackendSettings, Config
    from gateway.rules import AllowList

# Grafana's default name of the auth proxy's header.
_IDENTITY = "X-WEBAUTH-USER"
# COMPASS's agents call these by asyncio.run() with one client for all calls: each call has its own event loop, and a
# connection that outlives the loop it was opened in fails the next call ("Event loop is closed").
_LONE = frozenset({"/mcp", "/api/mcp", "/api/datasources"})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shared:
    """What the fronts have in common."""

    config: Config
    metrics: Metrics
    tracing: Tracing
    large: LargeAnswers
    bounds: Bounds

    def forward(
        self, to: Backend, allow: AllowList, *, user: str | None = None, also: frozenset[bytes] = frozenset()
    ) -> Forward:
        limits = self.config.limits
        return Forward(
            to,
            allow,
            self.tracing,
            body_bytes=limits.body_bytes,
            limits=QueryLimits(self.bounds),
            identity=None if user is None else {_IDENTITY: user},
            also=also,
        )

    def upstream(self, to: Backend, *, user: str | None = None) -> Upstream:
        identity = None if user is None else {_IDENTITY: user}
        answer_bytes = self.config.limits.agents.answer_bytes
        return Upstream(to, self.tracing, self.large, answer_bytes=answer_bytes, identity=identity)

    def post(self, answer: Callable[[Posted], Awaitable[Response]]) -> JsonPost:
        return JsonPost(answer, self.tracing, body_bytes=self.config.limits.body_bytes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Front:
    """What one listener serves.

    Attributes:
        app: the ASGI application.
        websocket: takes over connections that want to become WebSockets; None: no such thing.
    """

    app: ASGIApp
    websocket: type[asyncio.Protocol] | None = None


@asynccontextmanager
async def open_gateway(
    config: Config, token: str | None, operators_token: str | None = None, *, stopping: asyncio.Event
) -> AsyncGenerator[dict[str, Front]]:
    """Open the back ends and hand out one front for each listener.

    Args:
        config: the validated configuration.
        token: the secret that opens the fronts; None opens them to everybody.
        operators_token: the secret that opens them without a record; None: there is none.
        stopping: set when no new requests are welcome; those that come are served.
    """
    metrics = Metrics()
    tracing = Tracing(config.telemetry.otlp_endpoint, version=config.version, environment=config.stack)
    shared = _Shared(
        config=config,
        metrics=metrics,
        tracing=tracing,
        large=LargeAnswers(),
        bounds=Bounds(config.limits.agents),
    )
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
        peers = Peers(config.alerts.peers, alerts)
        peers.start()
        stack.push_async_callback(peers.close)
        collector = Collector(
            prometheus=prometheus,
            loki=loki,
            traces=traces,
            traces_kind=backends.traces.kind,
            alertmanager=alertmanager,
            probes=probes,
        )
        endpoints = Endpoints(
            config,
            probes=probes,
            alerts=alerts,
            peers=peers,
            collector=collector,
            metrics=metrics,
            stopping=stopping,
        )
        stack.push_async_callback(endpoints.close)

        rest: ASGIApp = _not_found
        grafana: Backend | None = None
        user = ""
        dashboards = Dashboards(None)
        if backends.grafana is not None:
            grafana, user = backend("grafana", backends.grafana), backends.grafana.user
            rest = shared.forward(grafana, GRAFANA, user=user)
            dashboards = Dashboards(shared.upstream(grafana, user=user))
        mcp_grafana = backends.mcp_grafana and backend("mcp-grafana", backends.mcp_grafana)
        call_tool = Route("/mcp", _tools(shared, prometheus, loki, dashboards, mcp_grafana))

        if backends.traces.kind == "tempo":
            traces_front = _traces_front(shared, TempoStore(shared.upstream(traces)), shared.forward(traces, TEMPO))
        else:
            store = JaegerStore(shared.upstream(traces))
            stack.callback(store.close)
            traces_front = _traces_front(shared, store, shared.forward(traces, JAEGER))

        secret = Token(token, cookie=f"{config.stack}-gateway")
        operators = OperatorsToken(operators_token)
        login = Login(config.stack, secret) if secret.required else None

        def guard(front: str, app: ASGIApp, *, open_paths: frozenset[str] = frozenset(), inside: bool = False) -> Guard:
            policy = Policy(
                front=front,
                token=Token(None, cookie="") if inside else secret,
                operators=operators,
                realm=f"{config.stack} gateway",
                browsers=config.browsers,
                limits=config.limits,
                open_paths=open_paths,
                login=None if inside else login,
                lone_paths=_LONE,
            )
            return Guard(app, policy, metrics, stopping)

        main = guard(
            "main",
            Router([*endpoints.main(), call_tool], redirect_slashes=False, default=rest),
            open_paths=READY | {"/api/health"},
        )
        live = grafana and Live(main, grafana, user=user, identity_header=_IDENTITY, metrics=metrics)
        yield {
            "main": Front(app=main, websocket=live.protocol() if live is not None else None),
            "prometheus": Front(app=guard("prometheus", shared.forward(prometheus, PROMETHEUS))),
            "loki": Front(app=guard("loki", shared.forward(loki, LOKI))),
            "traces": Front(app=guard("traces", traces_front)),
            # Reached from inside the network only, by Alertmanager, Prometheus, other replicas and health checks; none
            # of them holds the token.
            "internal": Front(
                app=guard(
                    "internal",
                    Router(endpoints.internal(), redirect_slashes=False, default=_not_found),
                    open_paths=READY | {"/metrics"},
                    inside=True,
                )
            ),
        }


def _tools(
    shared: _Shared, prometheus: Backend, loki: Backend, dashboards: Dashboards, mcp_grafana: Backend | None
) -> ASGIApp:
    """What the main front offers to agents: COMPASS's dialect, and MCP by Grafana's own server where there is one."""
    bounds = shared.bounds
    asked_prometheus, asked_loki = shared.upstream(prometheus), shared.upstream(loki)
    promql, logql = PromQL(asked_prometheus, bounds), LogQL(asked_loki, bounds)
    compass = Compass([promql, logql, dashboards], shared.metrics)
    if mcp_grafana is not None:
        passing = shared.forward(mcp_grafana, MCP_GRAFANA, also=MCP_HEADERS)
        body_bytes = shared.config.limits.body_bytes
        return PassedMcp(shared.post(compass.answer), passing, shared.metrics, body_bytes=body_bytes)
    tools = [
        QueryPrometheus(promql),
        QueryLokiLogs(logql),
        ListDatasources(),
        *listing_tools(asked_prometheus, asked_loki, bounds),
    ]
    mcp = Mcp(tools, shared.metrics, version=shared.config.version)
    return shared.post(Either(compass, mcp).answer)


def _traces_front(shared: _Shared, store: TraceStore, passing: Forward) -> ASGIApp:
    """The trace store for agents and by Tempo's search; the rest of its read API is passed on."""
    search = TraceSearch(store, shared.bounds)
    mcp = Mcp([TraceQLSearch(search)], shared.metrics, version=shared.config.version, for_compass=True)
    tempo = shared.config.backends.traces.kind == "tempo"
    found = SearchHttp(search, shared.tracing, shared.metrics, passing=passing if tempo else None)
    routes = [Route("/api/mcp", shared.post(mcp.answer)), Route("/api/search", found)]
    return Router(routes, redirect_slashes=False, default=passing)


async def _not_found(scope: Scope, _receive: Receive, _send: Send) -> None:
    raise Refused(404, "not_found", f"the gateway has nothing at {scope['path'][:200]}")
