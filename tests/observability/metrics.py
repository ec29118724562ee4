"""Which metrics exist, and which ones an expression uses."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final

import promql_parser

from tests.observability.alert_cases import HEALTHY
from tests.observability.promtool import rule_groups
from tests.observability.rule_cases import APPLICATION, DATABASE, DIALECTS

if TYPE_CHECKING:
    from collections.abc import Iterable

# What the services of this project export (each name as Prometheus stores it), and what Prometheus makes itself.
OWN: Final = frozenset(
    {
        "ALERTS",
        "up",
        *(
            f"{histogram}_{part}"
            for histogram in (
                "http_request_duration_seconds",
                "payment_duration_seconds",
                "db_pool_acquire_duration_seconds",
                "client_request_duration_seconds",
                "gateway_upstream_duration_seconds",
            )
            for part in ("bucket", "count", "sum")
        ),
        "http_requests_in_flight",
        "payment_requests_total",
        "payment_amount_minor_total",
        "db_pool_size",
        "db_pool_idle",
        "db_pool_in_use",
        "db_pool_max",
        "db_pool_pending_acquires",
        "db_pool_acquire_timeouts_total",
        "circuit_breaker_state",
        "circuit_breaker_transitions_total",
        "db_query_retries_total",
        "retention_deleted_rows_total",
        "client_requests_total",
        "client_requests_in_flight",
        "client_requests_shed_total",
        "client_arrival_rate",
        "gateway_requests_total",
        "gateway_upstream_errors_total",
        "gateway_probe_up",
    }
)


@cache
def recorded() -> frozenset[str]:
    """Return the names that the recording rules make."""
    return frozenset(rule["record"] for group in rule_groups() for rule in group["rules"] if "record" in rule)


@cache
def exported_by_the_database() -> frozenset[str]:
    """Return the exporter's names in any dialect; the rule tests feed exactly what real exporters were seen to say."""
    series = [*DATABASE, *APPLICATION, *(one for dialect in DIALECTS.values() for one in dialect)]
    return frozenset(name.partition("{")[0] for name in (*(one.name for one in series), *HEALTHY))


def used(expression: str) -> set[str]:
    """Return the metric names that an expression selects.

    Raises:
        ValueError: the expression is not PromQL.
    """
    names: set[str] = set()

    def visit(node: promql_parser.Expr) -> None:
        selector = node.vector_selector if isinstance(node, promql_parser.MatrixSelector) else node
        if isinstance(selector, promql_parser.VectorSelector) and selector.name:
            names.add(selector.name)

    promql_parser.walk(promql_parser.parse(expression), visit)
    return names


def unknown(expressions: Iterable[str]) -> set[str]:
    """Return the names among the expressions that nothing exports or records."""
    known = OWN | recorded() | exported_by_the_database()
    return {name for expression in expressions for name in used(expression)} - known
