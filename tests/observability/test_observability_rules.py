from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.observability.promtool import as_input, rule_groups, run_tests
from tests.observability.rule_cases import APPLICATION, DATABASE, DIALECTS, EXPECTED

if TYPE_CHECKING:
    from pathlib import Path

RECORDS = {rule["record"] for group in rule_groups() for rule in group["rules"] if "record" in rule}


def test_every_recording_rule_has_an_expected_value() -> None:
    assert set(EXPECTED) == RECORDS


@pytest.mark.parametrize("dialect", DIALECTS)
def test_rules_give_the_same_values_under_the_same_names_whatever_exporter_and_server(
    dialect: str, tmp_path: Path
) -> None:
    expressions = [
        {
            # Rounded: a rate is not exact to the last bit.
            "expr": f"round({record}, 0.0001)",
            "eval_time": "2m30s",
            "exp_samples": [{"labels": labels, "value": value} for labels, value in values.items()],
        }
        for record, values in EXPECTED.items()
    ]
    run_tests(
        tmp_path,
        [
            {
                "name": dialect,
                "interval": "5s",
                "input_series": as_input([*DATABASE, *DIALECTS[dialect], *APPLICATION]),
                "promql_expr_test": expressions,
            }
        ],
    )


def test_a_dead_exporter_leaves_no_zeros_that_look_like_health(tmp_path: Path) -> None:
    expressions: list[dict[str, Any]] = [
        {"expr": record, "eval_time": "1m", "exp_samples": []}
        for record in ("db:lock_waits", "db:oldest_transaction:seconds", "db_connections")
    ]
    down = [{"series": "pg_up", "values": "0x20"}]
    run_tests(tmp_path, [{"interval": "5s", "input_series": down, "promql_expr_test": expressions}])


def test_success_is_zero_and_not_missing_when_no_payment_succeeds(tmp_path: Path) -> None:
    failing = [
        {"series": 'client_request_duration_seconds_count{route="POST /payment",outcome="error"}', "values": "0+50x20"}
    ]
    expressions = [
        {
            "expr": "payment:client_success:ratio_30s + 0",
            "eval_time": "1m",
            "exp_samples": [{"labels": "{}", "value": 0}],
        }
    ]
    run_tests(tmp_path, [{"interval": "5s", "input_series": failing, "promql_expr_test": expressions}])


def test_without_traffic_there_is_no_service_level(tmp_path: Path) -> None:
    idle = [
        {"series": 'client_request_duration_seconds_count{route="POST /payment",outcome="success"}', "values": "7x20"}
    ]
    expressions: list[dict[str, Any]] = [
        {"expr": "payment:client_success:ratio_30s", "eval_time": "1m", "exp_samples": []}
    ]
    run_tests(tmp_path, [{"interval": "5s", "input_series": idle, "promql_expr_test": expressions}])
