"""What goes into the recording rules, in both dialects, and what has to come out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tests.observability.promtool import Series, counter, gauge

if TYPE_CHECKING:
    from collections.abc import Mapping

DB: Final = 'datname="payments"'
TABLE: Final = 'datname="payments",schemaname="public",relname="payments"'
SESSION: Final = 'backend_type="client backend",datname="payments"'


def _activity(metric: str, value: float, *, user: str, state: str, wait: str = "", event: str = "") -> Series:
    labels = (
        f'{SESSION},state="{state}",usename="{user}",application_name="a",wait_event_type="{wait}",wait_event="{event}"'
    )
    return gauge(f"pg_stat_activity_{metric}{{{labels}}}", value)


# The same in both exporters and both servers.
DATABASE: Final[list[Series]] = [
    gauge("pg_up", 1),
    gauge(f"pg_stat_database_numbackends{{{DB}}}", 14),
    gauge('pg_stat_database_numbackends{datname="postgres"}', 3),
    _activity("count", 8, user="payment_app", state="idle", wait="Client", event="ClientRead"),
    _activity("count", 3, user="payment_app", state="active", wait="Lock", event="transactionid"),
    _activity("count", 1, user="payments_owner", state="active", wait="Lock", event="relation"),
    _activity("count", 1, user="postgres_exporter", state="active", wait="Lock", event="relation"),
    _activity("max_tx_duration", 12.5, user="payment_app", state="active", wait="Lock", event="transactionid"),
    _activity(
        "max_tx_duration", 7.5, user="payments_owner", state="idle in transaction", wait="Client", event="ClientRead"
    ),
    _activity("max_tx_duration", 99, user="postgres_exporter", state="active"),
    gauge('pg_roles_connection_limit{rolname="payment_app"}', 40),
    gauge('pg_roles_connection_limit{rolname="payments_owner"}', -1),
    gauge('pg_roles_connection_limit{rolname="postgres_exporter"}', 5),
    gauge("pg_settings_max_connections", 100),
    gauge("pg_settings_superuser_reserved_connections", 5),
    counter(f"pg_stat_database_deadlocks{{{DB}}}", 0.05),
    counter(f"pg_stat_database_xact_commit{{{DB}}}", 40),
    counter(f"pg_stat_database_xact_rollback{{{DB}}}", 2),
    counter(f"pg_stat_database_blks_hit{{{DB}}}", 900),
    counter(f"pg_stat_database_blks_read{{{DB}}}", 100),
    counter(f"pg_stat_database_temp_bytes{{{DB}}}", 4096),
    counter(f"pg_stat_database_temp_files{{{DB}}}", 2),
    counter(f"pg_stat_database_tup_returned{{{DB}}}", 1000),
    counter(f"pg_stat_database_tup_fetched{{{DB}}}", 500),
    counter(f"pg_stat_database_tup_inserted{{{DB}}}", 30),
    counter(f"pg_stat_database_tup_updated{{{DB}}}", 20),
    counter(f"pg_stat_database_tup_deleted{{{DB}}}", 10),
    gauge(f"pg_database_size_bytes{{{DB}}}", 450),
    counter(f"pg_stat_user_tables_seq_tup_read{{{TABLE}}}", 200),
    counter(f"pg_stat_user_tables_seq_scan{{{TABLE}}}", 1),
    counter(f"pg_stat_user_tables_idx_scan{{{TABLE}}}", 60),
    gauge(f"pg_stat_user_tables_n_live_tup{{{TABLE}}}", 900),
    gauge(f"pg_stat_user_tables_n_dead_tup{{{TABLE}}}", 100),
    gauge(f"pg_stat_user_tables_n_mod_since_analyze{{{TABLE}}}", 450),
    gauge(f"pg_stat_user_tables_last_autovacuum{{{TABLE}}}", 40),
    gauge('pg_stat_user_tables_last_autovacuum{datname="payments",schemaname="public",relname="acquirers"}', 0),
    gauge("pg_wal_size_bytes", 64),
    counter('pg_stat_statements_calls_total{datname="payments",user="payment_app",queryid="-281"}', 50),
    counter('pg_stat_statements_seconds_total{datname="payments",user="payment_app",queryid="-281"}', 0.5),
    counter('pg_stat_statements_rows_total{datname="payments",user="payment_app",queryid="-281"}', 100),
    counter('pg_stat_statements_calls_total{datname="payments",user="postgres_exporter",queryid="77"}', 9),
    gauge('pg_replication_slots_pg_wal_lsn_diff{slot_name="standby",database=""}', 3000),
    gauge('pg_replication_slots_active{slot_name="standby",database=""}', 0),
    gauge('pg_replication_slots_pg_wal_lsn_diff{slot_name="busy",database=""}', 4000),
    gauge('pg_replication_slots_active{slot_name="busy",database=""}', 1),
]

_SLOT: Final = 'slot_name="{}",slot_type="physical"'
# What differs between the exporters...
EXPORTER_0_17: Final[list[Series]] = [
    gauge(f"pg_stat_user_tables_size_bytes{{{TABLE}}}", 208),
    *(
        gauge(f"pg_replication_slot_slot_is_active{{{_SLOT.format(name)}}}", up)
        for name, up in (("standby", 0), ("busy", 1))
    ),
    *(gauge(f"pg_replication_slot_safe_wal_size_bytes{{{_SLOT.format(name)}}}", 1000) for name in ("standby", "busy")),
]
EXPORTER_0_20: Final[list[Series]] = [
    gauge(f"pg_stat_user_tables_table_size_bytes{{{TABLE}}}", 96),
    gauge(f"pg_stat_user_tables_index_size_bytes{{{TABLE}}}", 112),
    *(
        gauge(f"pg_replication_slots_slot_is_active{{{_SLOT.format(name)}}}", up)
        for name, up in (("standby", 0), ("busy", 1))
    ),
    *(gauge(f"pg_replication_slots_safe_wal_size_bytes{{{_SLOT.format(name)}}}", 1000) for name in ("standby", "busy")),
]
# ... and between the servers.
POSTGRESQL_15: Final[list[Series]] = [
    counter("pg_stat_bgwriter_checkpoints_req_total", 0.025),
    counter("pg_stat_bgwriter_checkpoints_timed_total", 0.05),
    counter("pg_stat_bgwriter_checkpoint_write_time_total", 1000),
    counter("pg_stat_bgwriter_buffers_checkpoint_total", 30),
]
POSTGRESQL_18: Final[list[Series]] = [
    counter("pg_stat_checkpointer_num_requested_total", 0.025),
    counter("pg_stat_checkpointer_num_timed_total", 0.05),
    counter("pg_stat_checkpointer_write_time_total", 1000),
    counter("pg_stat_checkpointer_buffers_written_total", 30),
]
DIALECTS: Final[Mapping[str, list[Series]]] = {
    "PostgreSQL 15, exporter 0.17": [*POSTGRESQL_15, *EXPORTER_0_17],
    "PostgreSQL 18, exporter 0.20": [*POSTGRESQL_18, *EXPORTER_0_20],
    "PostgreSQL 18, exporter 0.17": [*POSTGRESQL_18, *EXPORTER_0_17],
    "PostgreSQL 15, exporter 0.20": [*POSTGRESQL_15, *EXPORTER_0_20],
}


def _histogram(name: str, labels: str, buckets: Mapping[str, float]) -> list[Series]:
    """Return a histogram's buckets (observations per second, cumulative) and its count."""
    lead = f"{labels}," if labels else ""
    return [
        *(counter(f'{name}_bucket{{{lead}le="{le}"}}', rate) for le, rate in buckets.items()),
        counter(f"{name}_count{{{labels}}}" if labels else f"{name}_count", buckets["+Inf"]),
    ]


PAYMENT: Final = 'route="POST /payment"'
# 10 payments/s: 9.8 succeed, 0.2 time out. Half of them take up to 100 ms, all but a fiftieth up to 200 ms.
APPLICATION: Final[list[Series]] = [
    *_histogram(
        "client_request_duration_seconds",
        f'{PAYMENT},outcome="success"',
        {"0.1": 5, "0.2": 9.8, "0.3": 9.8, "+Inf": 9.8},
    ),
    *_histogram(
        "client_request_duration_seconds", f'{PAYMENT},outcome="timeout"', {"0.1": 0, "0.2": 0, "0.3": 0.2, "+Inf": 0.2}
    ),
    *_histogram(
        "http_request_duration_seconds",
        'service="payment-service",method="POST",route="/payment",status="200"',
        {"0.1": 5, "0.2": 9, "+Inf": 9},
    ),
    *_histogram(
        "http_request_duration_seconds",
        'service="payment-service",method="POST",route="/payment",status="503"',
        {"0.1": 0, "0.2": 1, "+Inf": 1},
    ),
    counter('payment_requests_total{service="payment-service",outcome="completed"}', 9),
    gauge("db_pool_in_use", 3),
    gauge("db_pool_idle", 7),
    gauge("db_pool_max", 20),
    gauge("db_pool_pending_acquires", 4),
    *_histogram("db_pool_acquire_duration_seconds", "", {"0.1": 10, "0.2": 10, "+Inf": 10}),
    counter("db_pool_acquire_timeouts_total", 0.5),
    gauge('up{job="sample-app",instance="sample-app:8000"}', 1),
]

# Record -> labels of its series -> value, after two and a half minutes. Each record of the rule files must stand here.
_ROUTE: Final = '{method="POST", route="/payment"}'
_CLIENT: Final = '{route="POST /payment"}'
_PAYMENTS: Final = '{relname="payments"}'
_SLOTS: Final = ('{slot_name="busy"}', '{slot_name="standby"}')
EXPECTED: Final[Mapping[str, Mapping[str, float]]] = {
    "payment:client_requests:rate_30s": {"{}": 10},
    "payment:client_success:ratio_30s": {"{}": 0.98},
    "payment:client_success:ratio_2m": {"{}": 0.98},
    "payment:client_latency_seconds:p50_30s": {"{}": 0.1},
    "payment:client_latency_seconds:p95_30s": {"{}": 0.1938},
    "route:client_requests:rate_30s": {_CLIENT: 10},
    "route:client_errors:rate_30s": {_CLIENT: 0.2},
    "route:client_latency_seconds:p50_30s": {_CLIENT: 0.1},
    "route:client_latency_seconds:p95_30s": {_CLIENT: 0.1938},
    "route:http_requests:rate_30s": {_ROUTE: 10},
    "route:http_errors:rate_30s": {_ROUTE: 1},
    "route:http_latency_seconds:p95_30s": {_ROUTE: 0.19},
    "payment:requests:rate_30s": {'{outcome="completed"}': 9},
    "pool:in_use": {"{}": 3},
    "pool:idle": {"{}": 7},
    "pool:max": {"{}": 20},
    "pool:pending_acquires": {"{}": 4},
    "pool:pending_acquires:avg_30s": {"{}": 4},
    "pool:acquire_seconds:p95_30s": {"{}": 0.095},
    "pool:acquire_timeouts:rate_30s": {"{}": 0.5},
    "app:settled": {"{}": 1},
    "db_connections": {'{datname="payments"}': 14},
    "db:connections_by_role": {
        '{usename="payment_app"}': 11,
        '{usename="payments_owner"}': 1,
        '{usename="postgres_exporter"}': 1,
    },
    "db:connections_by_state": {'{state="active"}': 5, '{state="idle"}': 8},
    "db:connection_limit_by_role": {'{usename="payment_app"}': 40, '{usename="postgres_exporter"}': 5},
    "db:role_connections:ratio": {'{usename="payment_app"}': 0.275, '{usename="postgres_exporter"}': 0.2},
    "db:server_connections:ratio": {"{}": 0.1368},
    "db:lock_waits": {"{}": 4},
    "db:lock_waits_by_event": {'{wait_event="relation"}': 1, '{wait_event="transactionid"}': 3},
    "db:deadlocks:total": {"{}": 7.5},
    "db:deadlocks:increase_2m": {"{}": 6},
    "db:oldest_transaction:seconds": {"{}": 12.5},
    "db:oldest_idle_transaction:seconds": {"{}": 7.5},
    "db:commits:rate_30s": {"{}": 40},
    "db:rollbacks:rate_30s": {"{}": 2},
    "db:cache_hit:ratio_1m": {"{}": 0.9},
    "db:blocks_read:rate_30s": {"{}": 100},
    "db:temp_bytes:rate_30s": {"{}": 4096},
    "db:temp_files:rate_30s": {"{}": 2},
    "db:tuples_returned:rate_30s": {"{}": 1000},
    "db:tuples_fetched:rate_30s": {"{}": 500},
    "db:tuples_written:rate_30s": {"{}": 60},
    "db:size_bytes": {"{}": 450},
    "db:table_seq_tuples:rate_30s": {_PAYMENTS: 200},
    "db:table_seq_scans:rate_30s": {_PAYMENTS: 1},
    "db:table_idx_scans:rate_30s": {_PAYMENTS: 60},
    "db:table_live_tuples": {_PAYMENTS: 900},
    "db:table_dead_tuples": {_PAYMENTS: 100},
    "db:table_dead_tuples:ratio": {_PAYMENTS: 0.1},
    "db:table_changes_since_analyze": {_PAYMENTS: 450},
    "db:table_changes_since_analyze:ratio": {_PAYMENTS: 0.5},
    "db:table_autovacuum_age:seconds": {_PAYMENTS: 110},
    "db:table_size_bytes": {_PAYMENTS: 208},
    "db:checkpoints_requested:total": {"{}": 3.75},
    "db:checkpoints_timed:total": {"{}": 7.5},
    "db:checkpoints_requested:increase_2m": {"{}": 3},
    "db:checkpoint_write_seconds:total": {"{}": 150},
    "db:checkpoint_buffers:rate_1m": {"{}": 30},
    "db:wal_size_bytes": {"{}": 64},
    "db:slot_active": dict(zip(_SLOTS, (1, 0), strict=True)),
    "db:slot_retained_bytes": dict(zip(_SLOTS, (4000, 3000), strict=True)),
    "db:slot_safe_bytes": dict(zip(_SLOTS, (1000, 1000), strict=True)),
    "db:inactive_slot_retained_bytes": {_SLOTS[1]: 3000},
    "db:statement_calls:rate_30s": {'{queryid="-281"}': 50},
    "db:statement_seconds:rate_30s": {'{queryid="-281"}': 0.5},
    "db:statement_rows:rate_30s": {'{queryid="-281"}': 100},
    "db:statement_mean_seconds:avg_30s": {'{queryid="-281"}': 0.01},
    "db:statements_per_request:ratio_30s": {"{}": 5},
}
