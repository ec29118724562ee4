from __future__ import annotations

import itertools
import json
import re
from typing import Any, cast

import pytest
import yaml

from observability.grafana import overview
from tests.observability.metrics import exported_by_the_database, recorded, unknown, used
from tests.observability.promtool import OBSERVABILITY, rule_groups

DASHBOARD: dict[str, Any] = json.loads(overview.TARGET.read_text())
PANELS: list[dict[str, Any]] = DASHBOARD["panels"]
SOURCES: dict[str, dict[str, Any]] = {
    source["uid"]: source
    for source in yaml.safe_load((OBSERVABILITY / "grafana/provisioning/datasources/datasources.yaml").read_text())[
        "datasources"
    ]
}
VARIABLE = re.compile(r"\$(?:\{(\w+)[^}]*\}|(\w+))")
BUILT_IN = re.compile(r"^__")


def _targets(kind: str) -> list[dict[str, Any]]:
    return [target for panel in PANELS for target in panel.get("targets", []) if target["datasource"]["type"] == kind]


def _children(value: object) -> list[object]:
    if isinstance(value, dict):
        return list(cast("dict[str, object]", value).values())
    return cast("list[object]", value) if isinstance(value, list) else []


def _objects(value: object) -> list[dict[str, Any]]:
    """Return every JSON object in ``value``, itself included."""
    own = [cast("dict[str, Any]", value)] if isinstance(value, dict) else []
    return [*own, *(found for child in _children(cast("object", value)) for found in _objects(child))]


def test_the_committed_dashboard_is_what_its_program_draws() -> None:
    assert overview.TARGET.read_text() == overview.render(), "run: python -m observability.grafana.overview"


def test_every_promql_of_the_dashboard_parses_and_uses_metrics_that_exist() -> None:
    expressions = [target["expr"].replace("$route", ".*") for target in _targets("prometheus")]
    assert len(expressions) > 40
    assert not unknown([*expressions, *(note["expr"] for note in DASHBOARD["annotations"]["list"])])


def test_the_dashboard_does_not_name_what_differs_between_exporters() -> None:
    names = {name for target in _targets("prometheus") for name in used(target["expr"].replace("$route", ".*"))}
    assert not {name for name in names & exported_by_the_database() if name.startswith("pg_")}


def test_every_rule_parses_and_uses_metrics_that_exist() -> None:
    expressions = [rule["expr"] for group in rule_groups() for rule in group["rules"]]
    assert not unknown(expressions)


def test_alerts_use_recorded_names_for_the_database() -> None:
    for rule in (rule for group in rule_groups() for rule in group["rules"] if "alert" in rule):
        raw = {name for name in used(rule["expr"]) if name.startswith("pg_")}
        assert raw <= {"pg_up"}, rule["alert"]


def test_an_unknown_metric_would_be_noticed() -> None:
    assert unknown(["sum(rate(no_such_metric_total[1m])) / db_connections"]) == {"no_such_metric_total"}


@pytest.mark.parametrize("name", ["db_connections", "payment:client_success:ratio_30s"])
def test_names_that_others_rely_on_are_recorded(name: str) -> None:
    assert name in recorded()


def test_panels_have_their_own_number_and_place() -> None:
    assert len({panel["id"] for panel in PANELS}) == len(PANELS)
    for panel in PANELS:
        place = panel["gridPos"]
        assert place["x"] >= 0
        assert place["x"] + place["w"] <= 24, panel["title"]
    for one, other in itertools.combinations(PANELS, 2):
        a, b = one["gridPos"], other["gridPos"]
        apart = (
            a["x"] + a["w"] <= b["x"]
            or b["x"] + b["w"] <= a["x"]
            or a["y"] + a["h"] <= b["y"]
            or b["y"] + b["h"] <= a["y"]
        )
        assert apart, f"{one['title']} and {other['title']} overlap"


def test_every_panel_has_a_title_and_something_to_show() -> None:
    for panel in PANELS:
        assert panel["title"]
        assert panel["type"] == "row" or panel["targets"]
        references = [target["refId"] for target in panel.get("targets", [])]
        assert len(set(references)) == len(references)


def test_every_data_source_that_the_dashboard_names_is_provisioned_with_that_type() -> None:
    references = [found for found in _objects(DASHBOARD) if set(found) == {"type", "uid"}]
    assert references
    for reference in references:
        assert SOURCES[reference["uid"]]["type"] == reference["type"]


def test_every_variable_that_is_used_is_defined_and_the_other_way_round() -> None:
    defined = {variable["name"] for variable in DASHBOARD["templating"]["list"]}
    text = json.dumps([PANELS, DASHBOARD["annotations"]])
    names = {braced or plain for braced, plain in VARIABLE.findall(text)}
    assert {name for name in names if not BUILT_IN.match(name)} == defined


def test_the_three_signals_have_the_uids_that_agents_hard_code() -> None:
    assert {uid: SOURCES[uid]["type"] for uid in ("prometheus", "loki", "tempo")} == {
        "prometheus": "prometheus",
        "loki": "loki",
        "tempo": "tempo",
    }


def test_signals_are_linked_both_ways() -> None:
    links = {
        (uid, found["datasourceUid"])
        for uid, source in SOURCES.items()
        for found in _objects(source.get("jsonData", {}))
        if "datasourceUid" in found
    } | {(uid, one["targetUID"]) for uid, source in SOURCES.items() for one in source.get("correlations", ())}
    assert links >= set(itertools.permutations(("prometheus", "loki", "tempo"), 2))
    assert {target for _, target in links} <= set(SOURCES)


def test_a_correlation_has_what_grafana_asks_of_one_that_is_provisioned() -> None:
    found = [one for source in SOURCES.values() for one in source.get("correlations", ())]
    assert found
    for one in found:
        assert set(one) == {"targetUID", "label", "description", "config"}
        assert set(one["config"]) == {"type", "field", "target"}
        assert one["config"]["type"] == "query"
        if SOURCES[one["targetUID"]]["type"] == "prometheus":
            assert not unknown([one["config"]["target"]["expr"]])


def test_nothing_that_is_provisioned_can_be_edited_or_left_behind() -> None:
    assert all(source["editable"] is False for source in SOURCES.values())
    providers = yaml.safe_load((OBSERVABILITY / "grafana/provisioning/dashboards/dashboards.yaml").read_text())
    assert all(not provider["allowUiUpdates"] for provider in providers["providers"])


def test_queries_that_a_trace_leads_to_are_promql_of_metrics_that_exist() -> None:
    queries = [one["query"] for one in SOURCES["tempo"]["jsonData"]["tracesToMetrics"]["queries"]]
    assert not unknown(query.replace("$$__tags", 'service="payment-service"') for query in queries)
