"""A healthy stack, and what has to change in it for each alert to fire."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from tests.observability.promtool import Series, counter, gauge
from tests.observability.rule_cases import DB, PAYMENT, SESSION, TABLE

if TYPE_CHECKING:
    from collections.abc import Mapping

SCRAPES: Final = 120  # ten minutes
APP_UP: Final = 'up{job="sample-app",instance="sample-app:8000"}'
LATENCY: Final = "client_request_duration_seconds"
_ACTIVE: Final = f'{SESSION},state="active",usename="payment_app"'
WAITING: Final = f'pg_stat_activity_count{{{_ACTIVE},wait_event_type="Lock",wait_event="tuple"}}'
TRANSACTION: Final = (
    f'pg_stat_activity_max_tx_duration{{{SESSION},state="idle in transaction",usename="payments_owner"}}'
)
CONNECTIONS: Final = f'pg_stat_activity_count{{{SESSION},state="idle",usename="payment_app",wait_event_type="Client"}}'
STATEMENTS: Final = 'pg_stat_statements_calls_total{datname="payments",user="payment_app",queryid="7"}'
REQUESTS: Final = (
    'http_request_duration_seconds_count{service="payment-service",method="POST",route="/payment",status="200"}'
)
SLOT: Final = 'pg_replication_slots_pg_wal_lsn_diff{slot_name="standby"}'
SEND_FAILED: Final = 'otelcol_exporter_send_failed_spans{job="collector",exporter="otlp_http/traces"}'
SUCCEEDED: Final = f'{LATENCY}_count{{{PAYMENT},outcome="success"}}'
FAILED: Final = f'{LATENCY}_count{{{PAYMENT},outcome="error"}}'


def _by_name(series: list[Series]) -> dict[str, str]:
    return {one.name: one.values for one in series}


# Not a laboratory's silence: a stack that was seeded a moment ago, with the small things that happen to a good one.
HEALTHY: Final[Mapping[str, str]] = {
    # The seed: half a minute without the application; temporary files, forced checkpoints and a long transaction.
    APP_UP: "0x6 1x120",
    f"pg_stat_database_temp_bytes{{{DB}}}": "0+30000000x6 180000000+200000x120",
    "pg_stat_bgwriter_checkpoints_req_total": "2 3 4 4x130",
    TRANSACTION: "5 10 15 20 25 30 35 0x120",
    f"pg_stat_user_tables_n_mod_since_analyze{{{TABLE}}}": "1000000x9 8000x120",
    # A scrape that failed because the server was restarted.
    "pg_up": "1x40 0 1x100",
    'up{job="loki",instance="loki:3100"}': "1x60 0 1x100",
    # A moment's wait for a lock now and then, and one deadlock that was tried again.
    WAITING: "0x30 1 0x30 2 0x30 1 1 0x60",
    f"pg_stat_database_deadlocks{{{DB}}}": "0x50 1x100",
    # One payment in a thousand fails; everybody else gets an answer within 50 ms.
    **_by_name(
        [
            counter(SUCCEEDED, 10, SCRAPES),
            counter(FAILED, 0.01, SCRAPES),
            *(
                counter(f'{LATENCY}_bucket{{{PAYMENT},outcome="success",le="{le}"}}', 10, SCRAPES)
                for le in ("0.05", "0.3", "5", "+Inf")
            ),
            counter(REQUESTS, 20, SCRAPES),
            counter(STATEMENTS, 100, SCRAPES),
            gauge("client_requests_in_flight", 2, SCRAPES),
            gauge("client_arrival_rate", 20, SCRAPES),
            gauge("db_pool_pending_acquires", 0, SCRAPES),
            gauge('circuit_breaker_state{name="database",state="opened"}', 0, SCRAPES),
            gauge(CONNECTIONS, 12, SCRAPES),
            gauge('pg_roles_connection_limit{rolname="payment_app"}', 40, SCRAPES),
            gauge("pg_settings_max_connections", 100, SCRAPES),
            gauge("pg_settings_superuser_reserved_connections", 5, SCRAPES),
            gauge(f"pg_stat_user_tables_n_live_tup{{{TABLE}}}", 1_000_000, SCRAPES),
            gauge(f"pg_stat_user_tables_n_dead_tup{{{TABLE}}}", 60_000, SCRAPES),
            counter(f"pg_stat_user_tables_seq_tup_read{{{TABLE}}}", 50_000, SCRAPES),
            gauge(SLOT, 200_000_000, SCRAPES),  # a replica that lags, but is there
            gauge('pg_replication_slots_active{slot_name="standby"}', 1, SCRAPES),
            counter(SEND_FAILED, 0, SCRAPES),
        ]
    ),
}


@dataclass(frozen=True, slots=True)
class Trouble:
    """What makes one alert fire.

    Attributes:
        alert: the alert's name.
        changes: series that differ from the healthy stack.
        labels: what the alert carries beside its name and severity.
        severity: how bad it is said to be.
        always: the trouble was there from the start.
    """

    alert: str
    changes: Mapping[str, str]
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    severity: str = "warning"
    always: bool = False


BEFORE: Final = 60  # scrapes before the trouble: five minutes


def _from(healthy: float, trouble: float) -> str:
    return f"{healthy}x{BEFORE} {trouble}x60"


def _rate(healthy: float, trouble: float) -> str:
    total = healthy * 5 * BEFORE
    return f"0+{healthy * 5}x{BEFORE} {total}+{trouble * 5}x60"


TROUBLES: Final[list[Trouble]] = [
    Trouble(
        "TargetDown",
        {'up{job="loki",instance="loki:3100"}': _from(1, 0)},
        {"job": "loki", "instance": "loki:3100"},
        "critical",
    ),
    Trouble(
        "TargetMissing",
        {'up{job="jaeger",instance="jaeger:8888"}': "0x120"},
        {"job": "jaeger", "instance": "jaeger:8888"},
        "critical",
        always=True,
    ),
    Trouble("DatabaseUnreachable", {"pg_up": _from(1, 0)}, severity="critical"),
    Trouble("TelemetryNotDelivered", {SEND_FAILED: _rate(0, 20)}, {"job": "collector", "exporter": "otlp_http/traces"}),
    Trouble("PaymentErrors", {FAILED: _rate(0.01, 1)}, severity="critical"),
    Trouble(
        "PaymentLatency",
        {f'{LATENCY}_bucket{{{PAYMENT},outcome="success",le="{le}"}}': _rate(10, 8) for le in ("0.05", "0.3")},
        severity="critical",
    ),
    Trouble("PaymentBudgetBurn", {FAILED: _rate(0.01, 2)}, severity="critical"),
    Trouble("RequestsPilingUp", {"client_requests_in_flight": _from(2, 90)}, severity="critical"),
    Trouble("PoolPendingAcquires", {"db_pool_pending_acquires": _from(0, 9)}),
    Trouble(
        "CircuitBreakerOpen",
        {'circuit_breaker_state{name="database",state="opened"}': _from(0, 1)},
        {"name": "database"},
        "critical",
    ),
    Trouble("StatementsPerRequest", {STATEMENTS: _rate(100, 500)}),
    # Waits that come and go, as behind a statement that gives up after five seconds and tries again.
    Trouble("DatabaseLockWaits", {WAITING: f"0x{BEFORE} 12 0 0 9 0 12 0 0 9 0 12 0 0 9 0 12 0 0 9 0 12 0 0 9 0"}),
    Trouble("DatabaseDeadlocks", {f"pg_stat_database_deadlocks{{{DB}}}": _rate(0, 0.1)}),
    Trouble("ConnectionsNearLimit", {CONNECTIONS: _from(12, 38)}, {"usename": "payment_app"}, "critical"),
    Trouble("OldTransaction", {TRANSACTION: f"0x{BEFORE} 0+5x60"}),
    Trouble(
        "DeadTuples", {f"pg_stat_user_tables_n_dead_tup{{{TABLE}}}": _from(60_000, 300_000)}, {"relname": "payments"}
    ),
    Trouble(
        "ManyChangesSinceAnalyze",
        {f"pg_stat_user_tables_n_mod_since_analyze{{{TABLE}}}": _from(8_000, 500_000)},
        {"relname": "payments"},
    ),
    Trouble(
        "SequentialReads",
        {f"pg_stat_user_tables_seq_tup_read{{{TABLE}}}": _rate(50_000, 5_000_000)},
        {"relname": "payments"},
    ),
    Trouble("TempFiles", {f"pg_stat_database_temp_bytes{{{DB}}}": _rate(40_000, 20_000_000)}),
    Trouble("CheckpointsRequested", {"pg_stat_bgwriter_checkpoints_req_total": _rate(0, 0.1)}),
    Trouble(
        "CheckpointsRequested",
        {"pg_stat_bgwriter_checkpoints_req_total": "stale", "pg_stat_checkpointer_num_requested_total": _rate(0, 0.1)},
    ),
    Trouble(
        "ReplicationSlotWal",
        {'pg_replication_slots_active{slot_name="standby"}': _from(1, 0)},
        {"slot_name": "standby"},
    ),
]
