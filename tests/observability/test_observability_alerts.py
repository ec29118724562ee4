from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from tests.observability.alert_cases import BEFORE, HEALTHY, TROUBLES
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
    checks = [
        {"eval_time": f"{second}s", "alertname": alert, "exp_alerts": []}
        for alert in ALERTS
        for second in range(5, 600, 35)
    ]
    series = as_input([Series(name, values) for name, values in HEALTHY.items()])
    run_tests(tmp_path, [{"interval": "5s", "input_series": series, "alert_rule_test": checks}])


def test_each_alert_fires_within_a_minute_of_its_trouble_and_not_before(tmp_path: Path) -> None:
    tests: list[dict[str, Any]] = []
    for trouble in TROUBLES:
        # A stack that has been up for long: what the seed did is not part of these.
        series = {**HEALTHY, 'up{job="sample-app",instance="sample-app:8000"}': "1x120", **trouble.changes}
        firing = f'ALERTS{{alertname="{trouble.alert}",alertstate="firing"}}'
        labels = {"alertname": trouble.alert, "alertstate": "firing", "severity": trouble.severity, **trouble.labels}
        listed = ",".join(f'{name}="{value}"' for name, value in labels.items())
        sample = {"labels": f"ALERTS{{{listed}}}", "value": 1}
        tests.append(
            {
                "name": trouble.alert,
                "interval": "5s",
                "input_series": as_input([Series(name, values) for name, values in series.items()]),
                "promql_expr_test": [
                    {"expr": firing, "eval_time": f"{BEGIN - 5}s", "exp_samples": [sample] if trouble.always else []},
                    {"expr": firing, "eval_time": f"{BEGIN + 60}s", "exp_samples": [sample]},
                ],
            }
        )
    run_tests(tmp_path, tests)


def test_alerts_are_named_after_symptoms() -> None:
    for alert, rule in ALERTS.items():
        assert not CAUSES.search(alert), alert
        assert not CAUSES.search(rule["annotations"]["summary"]), alert
        assert rule["labels"]["severity"] in {"warning", "critical"}
