"""The sections of the dashboard "Payments overview", from what customers get down to single log lines and traces."""

from __future__ import annotations

from typing import Final

from observability.grafana.panels import Layout, Query, firing_alerts, logs, stat, timeseries, traces

# Not the recorded series: only the histogram itself has exemplars.
LATENCY_BY_ROUTE: Final = (
    "histogram_quantile(0.95, sum by (method, route, le) "
    '(rate(http_request_duration_seconds_bucket{service="payment-service",route=~"$route"}[30s])))'
)
HOUSEKEEPING: Final = "still waiting|acquired .*Lock|deadlock|duration:|temporary file|checkpoint"
BAD_LEVELS: Final = "warn|error|fatal|critical"


def service_level(layout: Layout) -> None:
    """Show what customers get, against the objective."""
    layout.row("Service level: 99.5 % of payments succeed, p95 below 300 ms (over 30 s, as the client saw it)")
    good, fair, bad = "green", "orange", "red"
    layout.add(
        stat(
            "Payments that succeed",
            "payment:client_success:ratio_30s",
            unit="percentunit",
            decimals=2,
            steps=[(None, bad), (0.99, fair), (0.995, good)],
        ),
        width=4,
    )
    layout.add(
        stat("p95", "payment:client_latency_seconds:p95_30s", unit="s", steps=[(None, good), (0.2, fair), (0.3, bad)]),
        width=4,
    )
    layout.add(
        stat(
            "Payments per second", "payment:client_requests:rate_30s", unit="reqps", decimals=1, steps=[(None, "blue")]
        ),
        width=4,
    )
    layout.add(firing_alerts("Alerts"), width=12)
    layout.add(
        timeseries(
            "Success",
            [Query("payment:client_success:ratio_30s", "30 s"), Query("payment:client_success:ratio_2m", "2 min")],
            unit="percentunit",
            limit=0.995,
            minimum=None,
            maximum=1,
        ),
        width=12,
    )
    layout.add(
        timeseries(
            "Latency of payments",
            [
                Query(
                    "payment:client_latency_seconds:p95_30s",
                    "p95",
                ),
                Query("payment:client_latency_seconds:p50_30s", "p50"),
            ],
            unit="s",
            limit=0.3,
        ),
        width=12,
    )


def requests(layout: Layout) -> None:
    """Show rate, errors and duration of each route, and the same from outside."""
    layout.row("Requests")
    layout.add(
        timeseries(
            "Requests per second",
            [Query('route:http_requests:rate_30s{route=~"$route"}', "{{method}} {{route}}")],
            unit="reqps",
        ),
        width=8,
    )
    layout.add(
        timeseries(
            "Answers 5xx per second",
            [Query('route:http_errors:rate_30s{route=~"$route"}', "{{method}} {{route}}")],
            unit="reqps",
        ),
        width=8,
    )
    layout.add(
        timeseries(
            "p95 by route (dots lead to traces)",
            [
                Query(
                    LATENCY_BY_ROUTE,
                    "{{method}} {{route}}",
                    exemplars=True,
                )
            ],
            unit="s",
        ),
        width=8,
    )
    layout.add(
        timeseries(
            "Load from outside",
            [
                Query("sum(client_arrival_rate)", "wanted"),
                Query("sum(route:client_requests:rate_30s)", "answered"),
                Query("sum(rate(client_requests_shed_total[30s]))", "shed"),
            ],
            unit="reqps",
        ),
        width=8,
    )
    layout.add(
        timeseries(
            "What the client did not get, per second",
            [Query("route:client_errors:rate_30s", "{{route}}")],
            unit="reqps",
        ),
        width=8,
    )
    layout.add(
        timeseries(
            "Waiting for an answer",
            [Query("sum(client_requests_in_flight)", "client"), Query("sum(http_requests_in_flight)", "service")],
        ),
        width=8,
    )


def pool(layout: Layout) -> None:
    """Show the service's side of its database connections."""
    layout.row("Connection pool")
    layout.add(
        timeseries(
            "Connections",
            [
                Query("pool:in_use", "in use"),
                Query("pool:idle", "idle"),
                Query("pool:max", "most"),
                Query("pool:pending_acquires", "waiting for one"),
            ],
        ),
        width=8,
    )
    layout.add(
        timeseries(
            "Time to get a connection (p95)",
            [
                Query(
                    "histogram_quantile(0.95, sum by (le) (rate(db_pool_acquire_duration_seconds_bucket[30s])))",
                    "p95",
                    exemplars=True,
                )
            ],
            unit="s",
        ),
        width=8,
    )
    layout.add(
        timeseries(
            "Retries, time-outs, circuit breaker",
            [
                Query("sum by (reason) (rate(db_query_retries_total[30s]))", "retry: {{reason}}"),
                Query("pool:acquire_timeouts:rate_30s", "no connection in time"),
                Query('max by (name) (circuit_breaker_state{state!="closed"})', "breaker {{name}} not closed"),
            ],
        ),
        width=8,
    )


def database(layout: Layout) -> None:
    """Show the server: sessions, locks, reads and writes, housekeeping."""
    layout.row("Database")
    layout.add(
        timeseries("Sessions", [Query("db:connections_by_state", "{{state}}"), Query("sum(db_connections)", "all")]),
        width=6,
    )
    layout.add(
        timeseries(
            "Connections against the role's limit",
            [Query("db:role_connections:ratio", "{{usename}}")],
            unit="percentunit",
            limit=0.85,
            maximum=1,
        ),
        width=6,
    )
    layout.add(
        timeseries(
            "Sessions waiting for a lock",
            [Query("db:lock_waits_by_event", "{{wait_event}}"), Query("db:lock_waits", "all")],
        ),
        width=6,
    )
    layout.add(
        timeseries(
            "Oldest transaction",
            [Query("db:oldest_transaction:seconds", "any"), Query("db:oldest_idle_transaction:seconds", "idle")],
            unit="s",
        ),
        width=6,
    )
    layout.add(
        timeseries(
            "Transactions per second",
            [
                Query("db:commits:rate_30s", "commit"),
                Query("db:rollbacks:rate_30s", "rollback"),
                Query("db:deadlocks:increase_2m", "deadlocks in 2 min"),
            ],
        ),
        width=6,
    )
    layout.add(
        timeseries(
            "Rows per second",
            [
                Query("db:tuples_returned:rate_30s", "read"),
                Query("db:tuples_fetched:rate_30s", "fetched"),
                Query("db:tuples_written:rate_30s", "written"),
            ],
        ),
        width=6,
    )
    layout.add(
        timeseries("Sequentially read rows per second", [Query("db:table_seq_tuples:rate_30s", "{{relname}}")]), width=6
    )
    layout.add(
        timeseries("Cache hits", [Query("db:cache_hit:ratio_1m", "hits")], unit="percentunit", minimum=None, maximum=1),
        width=6,
    )
    layout.add(
        timeseries(
            "Time by statement (queryid)", [Query("topk(5, db:statement_seconds:rate_30s)", "{{queryid}}")], unit="s"
        ),
        width=6,
    )
    layout.add(timeseries("Dead rows", [Query("db:table_dead_tuples > 100", "{{relname}}")]), width=6)
    layout.add(
        timeseries("Temporary files", [Query("db:temp_bytes:rate_30s", "bytes per second")], unit="Bps"), width=6
    )
    layout.add(
        timeseries(
            "Write-ahead log",
            [Query("db:wal_size_bytes", "on disk"), Query("db:slot_retained_bytes", "held for {{slot_name}}")],
            unit="bytes",
        ),
        width=6,
    )
    layout.add(
        timeseries(
            "Checkpoints in 2 min",
            [
                Query("db:checkpoints_requested:increase_2m", "forced"),
                Query("increase(db:checkpoints_timed:total[2m])", "timed"),
            ],
        ),
        width=12,
    )
    layout.add(
        timeseries(
            "Size of tables with their indexes",
            [Query("topk(6, db:table_size_bytes)", "{{relname}}")],
            unit="bytes",
            stacked=True,
        ),
        width=12,
    )


def evidence(layout: Layout) -> None:
    """Show log lines and traces."""
    layout.row("Logs and traces")
    layout.add(
        logs("Database log", f'{{app="postgres"}} | detected_level=~"{BAD_LEVELS}" |~ "(?i)$search"'),
        width=12,
        height=10,
    )
    layout.add(
        logs(
            "Payment service: warnings and errors",
            f'{{service="payment-service"}} | detected_level=~"{BAD_LEVELS}" |~ "(?i)$search"',
        ),
        width=12,
        height=10,
    )
    layout.add(
        logs(
            "Locks, deadlocks, slow statements, checkpoints",
            f'{{app="postgres"}} |~ "{HOUSEKEEPING}" |~ "(?i)$search"',
        ),
        width=24,
        height=10,
    )
    layout.add(
        traces("Slow traces", '{resource.service.name="payment-service" && duration > $slow}'), width=12, height=10
    )
    layout.add(
        traces("Failed traces", '{resource.service.name="payment-service" && status=error}'), width=12, height=10
    )
