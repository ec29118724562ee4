"""What the configuration files promise each other; that the programs accept them is proven where the programs run."""

from __future__ import annotations

import configparser
import re
from typing import Any

import pytest
import yaml

from tests.observability.promtool import OBSERVABILITY

# Names and ports of the topology: nothing else can be talked to.
SERVICES = {
    "alertmanager:9093",
    "collector:4318",
    "collector:8888",
    "gateway:8090",
    "grafana:3000",
    "jaeger:8888",
    "localhost:9090",
    "loki:3100",
    "mcp-grafana:8000",
    "postgres-exporter:9187",
    "postgres-logs:8888",
    "prometheus:9090",
    "sample-app:8000",
    "tempo:3200",
    "traffic:8080",
}
YAML_FILES = sorted(path for path in OBSERVABILITY.rglob("*.y*ml"))


def _load(name: str) -> dict[str, Any]:
    return yaml.safe_load((OBSERVABILITY / name).read_text())


def _jobs() -> list[dict[str, Any]]:
    scrape = ("sample-app", "gateway", "jaeger", "tempo", "grafana")
    files = ["prometheus/prometheus.yml", *(f"prometheus/scrape/{name}.yml" for name in scrape)]
    return [job for name in files for job in _load(name)["scrape_configs"]]


@pytest.mark.parametrize("path", YAML_FILES, ids=lambda path: str(path.relative_to(OBSERVABILITY)))
def test_every_file_is_yaml_that_says_something(path: Any) -> None:
    assert yaml.safe_load(path.read_text())


def test_every_job_asks_a_service_of_the_topology_and_has_a_name_of_its_own() -> None:
    jobs = _jobs()
    assert len({job["job_name"] for job in jobs}) == len(jobs)
    assert {target for job in jobs for config in job["static_configs"] for target in config["targets"]} <= SERVICES


@pytest.mark.parametrize("service", ["sample-app", "gateway"])
def test_replicas_are_scraped_one_by_one_and_otherwise_like_a_single_one(service: str) -> None:
    (one,) = _load(f"prometheus/scrape/{service}.yml")["scrape_configs"]
    (several,) = _load(f"prometheus/scrape/{service}-replicas.yml")["scrape_configs"]
    (static,) = one.pop("static_configs")
    (found,) = several.pop("dns_sd_configs")
    assert one == several
    assert static["targets"] == [f"{service}:{found['port']}"]
    assert found["names"] == [f"{service}-peers"]
    assert found["type"] == "A"


def test_every_address_in_every_file_is_a_service_of_the_topology() -> None:
    for path in YAML_FILES:
        hosts = re.findall(r"https?://([a-z0-9.-]+:\d+)", path.read_text())
        assert set(hosts) <= SERVICES, path


def test_no_job_overwrites_labels_that_a_service_gives_itself() -> None:
    for job in _jobs():
        assert "honor_labels" not in job
        assert not {"service", "job", "instance"} & {
            name for config in job["static_configs"] for name in config.get("labels", {})
        }


def test_relabelling_is_made_of_regular_expressions() -> None:
    for rule in (rule for job in _jobs() for rule in job.get("metric_relabel_configs", [])):
        re.compile(rule["regex"])


@pytest.mark.parametrize(
    ("job", "metric", "kept"),
    [
        ("postgres", "pg_settings_max_connections", True),
        ("postgres", "pg_settings_max_wal_size_bytes", True),
        ("postgres", "pg_settings_array_nulls", False),
        ("postgres", "pg_up", True),
        ("postgres", "pg_stat_database_numbackends", True),
        ("postgres", "go_goroutines", False),
        ("sample-app", "payment_requests_total", True),
        ("sample-app", "payment_requests_created", False),
        ("loki", "loki_distributor_lines_received_total", True),
        ("loki", "go_gc_duration_seconds", False),
    ],
)
def test_what_is_kept_and_what_is_dropped(job: str, metric: str, kept: bool) -> None:
    (found,) = (one for one in _jobs() if one["job_name"] == job)
    labels = {"__name__": metric}
    keep = True
    for rule in found.get("metric_relabel_configs", []):
        text = ";".join(labels.get(name, "") for name in rule.get("source_labels", []))
        matches = re.fullmatch(rule["regex"], text) is not None
        match rule.get("action", "replace"):
            case "drop":
                keep = keep and not matches
            case "keep":
                keep = keep and matches
            case "replace":
                labels |= {rule["target_label"]: rule["replacement"]} if matches else {}
            case _:
                pass
    assert keep is kept


@pytest.mark.parametrize("name", ["collector", "postgres-logs"])
def test_the_collectors_use_exactly_what_they_define(name: str) -> None:
    config = _load(f"collector/{name}.yaml")
    pipelines = config["service"]["pipelines"].values()
    for kind in ("receivers", "processors", "exporters"):
        assert {one for pipeline in pipelines for one in pipeline.get(kind, [])} == set(config[kind])
    assert set(config["service"]["extensions"]) == set(config["extensions"])


@pytest.mark.parametrize("name", ["collector", "postgres-logs"])
def test_the_components_are_built_into_our_own_collector(name: str) -> None:
    factories = {
        "otlp": "otlpreceiver",
        "file_log": "filelogreceiver",
        "memory_limiter": "memorylimiterprocessor",
        "transform": "transformprocessor",
        "otlp_http": "otlphttpexporter",
        "health_check": "healthcheckextension",
        "file_storage": "filestorage",
    }
    source = (OBSERVABILITY.parent / "toolchain" / "go" / "collector" / "main.go").read_text()
    config = _load(f"collector/{name}.yaml")
    for kind in ("receivers", "processors", "exporters", "extensions"):
        for component in config[kind]:
            assert f"{factories[component.partition('/')[0]]}.NewFactory()" in source


def test_back_ends_trace_what_the_gateway_traces_and_nothing_else() -> None:
    tracing = _load("prometheus/prometheus.yml")["tracing"]
    assert tracing == {
        "client_type": "http",
        "endpoint": "collector:4318",
        "insecure": True,
        "sampling_fraction": 0,
    }
    assert _load("jaeger/jaeger.yaml")["extensions"]["jaeger_query"]["enable_tracing"] is True


def test_memory_is_limited_before_anything_else_happens() -> None:
    for pipeline in _load("collector/collector.yaml")["service"]["pipelines"].values():
        assert pipeline["processors"][0] == "memory_limiter"


@pytest.mark.parametrize("name", ["collector", "postgres-logs"])
def test_what_waits_for_a_back_end_is_bounded_and_never_given_up(name: str) -> None:
    for exporter in _load(f"collector/{name}.yaml")["exporters"].values():
        assert exporter["retry_on_failure"]["max_elapsed_time"] == 0
        assert exporter["sending_queue"]["sizer"] == "bytes"
        assert exporter["sending_queue"]["queue_size"] <= 32 * 2**20
        assert exporter["sending_queue"]["batch"]["flush_timeout"] == "10ms"


def test_logs_carry_exactly_the_three_index_labels() -> None:
    attributes = _load("loki/loki.yaml")["limits_config"]["otlp_config"]["resource_attributes"]
    assert attributes["ignore_defaults"] is True
    assert attributes["attributes_config"] == [
        {"action": "index_label", "attributes": ["service.name", "service", "app"]}
    ]
    assert _load("collector/postgres-logs.yaml")["receivers"]["file_log"]["resource"] == {
        "service.name": "postgres",
        "service": "postgres",
        "app": "postgres",
    }


def test_every_store_forgets_after_a_day() -> None:
    loki = _load("loki/loki.yaml")
    assert loki["limits_config"]["retention_period"] == "24h"
    assert loki["compactor"]["retention_enabled"] is True
    tempo = _load("tempo/tempo.yaml")
    scheduled = tempo["backend_scheduler"]["provider"]["compaction"]["compaction"]
    assert scheduled == tempo["backend_worker"]["compaction"]
    assert scheduled["block_retention"] == "24h"


def test_nothing_reports_to_anybody_outside() -> None:
    assert _load("loki/loki.yaml")["analytics"]["reporting_enabled"] is False
    assert _load("tempo/tempo.yaml")["usage_report"]["reporting_enabled"] is False
    grafana = configparser.ConfigParser(interpolation=None)
    grafana.read(OBSERVABILITY / "grafana" / "grafana.ini")
    assert not any(grafana.getboolean("analytics", name) for name in grafana["analytics"])
    assert grafana.getboolean("plugins", "preinstall_disabled")


def test_grafana_knows_people_by_the_gateway_alone_and_as_viewers() -> None:
    grafana = configparser.ConfigParser(interpolation=None)
    grafana.read(OBSERVABILITY / "grafana" / "grafana.ini")
    assert grafana["auth.proxy"]["header_name"] == "X-WEBAUTH-USER"
    assert grafana.getboolean("auth.proxy", "enabled")
    assert not grafana.getboolean("auth.anonymous", "enabled")
    assert not grafana.getboolean("auth.basic", "enabled")
    assert grafana["users"]["auto_assign_org_role"] == "Viewer"


def test_alerts_go_to_the_gateway_with_their_end() -> None:
    config = _load("alertmanager/alertmanager.yml")
    (receiver,) = config["receivers"]
    (webhook,) = receiver["webhook_configs"]
    assert webhook["url"] == "http://gateway:8090/alerts"
    assert webhook["send_resolved"] is True
    assert config["route"]["receiver"] == receiver["name"]


def _postgresql() -> dict[str, str]:
    lines = (OBSERVABILITY / "postgres" / "postgresql.conf").read_text().splitlines()
    settings = [line.partition("#")[0].partition("=") for line in lines if "=" in line.partition("#")[0]]
    names = [name.strip() for name, _, _ in settings]
    assert len(set(names)) == len(names), "a setting stands there twice"
    return {name.strip(): value.strip().strip("'") for name, _, value in settings}


def test_the_database_writes_json_logs_that_the_reader_finds_and_the_pruner_can_bound() -> None:
    settings = _postgresql()
    assert settings["log_destination"] == "jsonlog"
    assert settings["logging_collector"] == "on"
    assert _load("collector/postgres-logs.yaml")["receivers"]["file_log"]["include"] == [
        f"{settings['log_directory']}/*.json"
    ]
    assert settings["log_file_mode"] == "0644"
    assert settings["log_rotation_size"] == "8MB"
    script = (OBSERVABILITY / "postgres" / "prune-logs.sh").read_text()
    (bound,) = re.findall(r"LOG_MAX_BYTES:-(\d+)", script)
    assert int(bound) + 2 * 8 * 2**20 < 101_000_000


def test_the_logs_are_read_in_the_time_zone_that_they_are_written_in() -> None:
    assert _postgresql()["log_timezone"] == "UTC"


def test_the_settings_exist_in_postgresql_15_as_well_as_18() -> None:
    newer = {
        "log_lock_failures",
        "io_method",
        "io_workers",
        "vacuum_buffer_usage_limit",
        "reserved_connections",
        "summarize_wal",
    }
    assert not newer & set(_postgresql())


def test_the_server_keeps_connections_for_those_who_come_to_help() -> None:
    settings = _postgresql()
    assert int(settings["superuser_reserved_connections"]) >= 3
    # The application's 40 and the exporter's 5 fit with room for operators.
    assert int(settings["max_connections"]) - int(settings["superuser_reserved_connections"]) > 60
