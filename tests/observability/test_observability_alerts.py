from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from tests.observability.alert_cases import APP_UP, BEFORE, HEALTHY, TROUBLES, Trouble
from tests.observability.promtool import SCRAPE_SECONDS, Series, as_input, rule_groups, run_tests

if TYPE_CHECKING:
    from pathlib import Path

ALERTS: dict[str, dict[str, Any]] = {
    rule["alert"]: rule for group in rule_groups() for rule in group["rules"] if "alert" in rule
}
BEGIN = BEFORE * SCRAPE_SECONDS
# Names of things that the incidents will do; an alert says what is seen.
CAUSES = re.compile(
    r"index|exhaust|contention|bloat|spill|rotat|storm|abandon|hot.?row|n.?plus|plan.?flip|incident|inject",
    re.IGNORECASE,
)


def test_every_alert_has_a_trouble_that_fires_it() -> None:
    assert {trouble.alert for trouble in TROUBLES} == set(ALERTS)


def test_no_alert_fires_on_a_healthy_stack_not_even_while_it_is_seeded(tmp_path: Path) -> None:
    checks: list[dict[str, Any]] = [
        {"eval_time": f"{second}s", "alertname": alert, "exp_alerts": []}
        for alert in ALERTS
        for second in range(5, 600, 35)
    ]
    series = as_input([Series(name, values) for name, values in HEALTHY.items()])
    run_tests(tmp_path, [{"interval": "5s", "input_series": series, "alert_rule_test": checks}])


def _together(troubles: list[Trouble]) -> list[list[Trouble]]:
    """Put troubles that concern different series into one run: promtool takes a second for each."""
    runs: list[list[Trouble]] = []
    for trouble in troubles:
        for run in runs:
            taken = {name for other in run for name in (other.alert, *other.changes)}
            if not taken & {trouble.alert, *trouble.changes}:
                run.append(trouble)
                break
        else:
            runs.append([trouble])
    return runs


def _firing(trouble: Trouble, *, second: int, expected: bool) -> dict[str, Any]:
    labels = {"alertname": trouble.alert, "alertstate": "firing", "severity": trouble.severity, **trouble.labels}
    listed = ",".join(f'{name}="{value}"' for name, value in labels.items())
    samples = [{"labels": f"ALERTS{{{listed}}}", "value": 1}] if expected else []
    expression = f'ALERTS{{alertname="{trouble.alert}",alertstate="firing"}}'
    return {"expr": expression, "eval_time": f"{second}s", "exp_samples": samples}


def test_each_alert_fires_within_a_minute_of_its_trouble_and_not_before(tmp_path: Path) -> None:
    tests: list[dict[str, Any]] = []
    for run in _together(TROUBLES):
        # A stack that has been up for long: what the seed did is not part of these.
        series = {**HEALTHY, APP_UP: "1x120"}
        for trouble in run:
            series |= trouble.changes
        checks = [
            check
            for trouble in run
            for check in (
                _firing(trouble, second=BEGIN - 5, expected=trouble.always),
                _firing(trouble, second=BEGIN + 60, expected=True),
            )
        ]
        inputs = as_input([Series(name, values) for name, values in series.items()])
        tests.append({"interval": "5s", "input_series": inputs, "promql_expr_test": checks})
    run_tests(tmp_path, tests)


def test_alerts_are_named_after_symptoms() -> None:
    for alert, rule in ALERTS.items():
        assert not CAUSES.search(alert), alert
        assert not CAUSES.search(rule["annotations"]["summary"]), alert
        assert rule["labels"]["severity"] in {"warning", "critical"}
