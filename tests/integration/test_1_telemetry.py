"""The stack is up: live data in all three signals, linked to each other."""

import json
import math
import re
import socket

import pytest
import requests
import yaml
from eventually import eventually
from live_stack import Stack, Telemetry

from infra.topology.names import GATEWAY_OPERATORS_TOKEN as OPERATORS_TOKEN

pytestmark = pytest.mark.integration

LIVE_METRICS = [
    "db_connections",
    "payment_requests_total",
    "payment_duration_seconds_count",
    "pg_up",
    "pg_stat_database_numbackends",
    'http_request_duration_seconds_bucket{service="payment-service"}',
    "client_requests_total",
    "payment:client_success:ratio_30s",
    "payment:client_latency_seconds:p95_30s",
]
ABSENT_METRICS = ["dns_lookup_duration_seconds", "node_network_transmit_drop_total", "haproxy_backend_status"]


@pytest.mark.parametrize("query", LIVE_METRICS)
def test_prometheus_has_live_data(telemetry: Telemetry, query: str) -> None:
    assert eventually(lambda: telemetry.promql(query), seconds=40)


@pytest.mark.parametrize("query", ABSENT_METRICS)
def test_a_metric_that_this_system_has_not_is_an_empty_result_and_no_error(telemetry: Telemetry, query: str) -> None:
    assert telemetry.promql(query) == []


def value(telemetry: Telemetry, query: str) -> float:
    """The one value of a query; not a number while there is none."""
    found = telemetry.promql(query)
    return float(found[0]["value"][1]) if found else math.nan


def test_payments_flow_within_the_service_level(telemetry: Telemetry) -> None:
    """Eventually: the first half minute of a stack has cold caches in it, and rates of half a minute remember it."""
    assert eventually(
        lambda: value(telemetry, 'sum(rate(client_requests_total{outcome="success"}[30s]))') > 15, seconds=90
    )
    assert eventually(lambda: value(telemetry, "payment:client_success:ratio_30s") >= 0.995, seconds=90)
    assert eventually(lambda: value(telemetry, "payment:client_latency_seconds:p95_30s") < 0.3, seconds=90)


def test_no_alert_fires_on_a_healthy_stack(telemetry: Telemetry) -> None:
    """Eventually: one about the start of a stack on a busy machine may still have its minute to go."""
    assert eventually(lambda: telemetry.promql('ALERTS{alertstate="firing"}') == [], seconds=90)


def test_loki_has_the_services_logs(telemetry: Telemetry) -> None:
    labels, line = eventually(lambda: telemetry.logql('{service="payment-service"}', limit=1))[0]
    assert (labels["app"], labels["service"], labels["service_name"]) == ("payment-service",) * 3
    assert json.loads(line)["trace_id"] == labels["trace_id"]


def test_loki_has_the_databases_logs(telemetry: Telemetry) -> None:
    labels, _ = eventually(lambda: telemetry.logql('{app="postgres"}', limit=1))[0]
    assert (labels["app"], labels["service"], labels["service_name"]) == ("postgres",) * 3
    of_sessions = '{app="postgres"} | backend_type="client backend"'
    labels, _ = eventually(lambda: telemetry.logql(of_sessions, limit=1))[0]
    assert labels["user"]
    assert not {"remote_host", "remote_port"} & set(labels), "an address would tell whose sessions are one's"


def test_one_trace_is_followed_from_exemplar_to_trace_to_log_line(telemetry: Telemetry) -> None:
    query = 'http_request_duration_seconds_bucket{route="/payment"}'
    exemplar = eventually(lambda: telemetry.exemplars(query, seconds=60))[-1]
    trace_id = exemplar["labels"]["trace_id"]

    def whole() -> bool:
        """Spans come in several exports, the database's and the request's own not together."""
        spans = telemetry.trace(trace_id)
        tags = {(tag["key"], tag["value"]) for span in spans for tag in span["tags"]}
        own = exemplar["labels"]["span_id"] in {span["spanID"] for span in spans}
        return own and {("db.system.name", "postgresql"), ("http.route", "/payment")} <= tags

    assert eventually(whole)
    lines = eventually(lambda: telemetry.logql(f'{{service="payment-service"}} | trace_id="{trace_id}"'))
    assert json.loads(lines[0][1])["trace_id"] == trace_id


def test_a_payment_of_ours_is_in_every_signal(stack: Stack, telemetry: Telemetry) -> None:
    traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    answer = requests.post(
        f"{stack.settings['SAMPLE_APP_URL']}/payment",
        json={"amount": 123.45},
        headers={"traceparent": traceparent},
        timeout=30,
    )
    assert answer.status_code == 200
    assert answer.json()["status"] == "completed"
    trace_id = traceparent.split("-")[1]
    assert eventually(lambda: any(span["operationName"].startswith("INSERT") for span in telemetry.trace(trace_id)))
    assert eventually(lambda: telemetry.logql(f'{{service="payment-service"}} | trace_id="{trace_id}"'))


def test_a_question_s_trace_goes_on_in_who_is_asked(stack: Stack, telemetry: Telemetry) -> None:
    asked = {"prometheus": ("PROMETHEUS_URL", "/api/v1/query?query=up"), "jaeger": ("TEMPO_URL", "/api/services")}
    for number, (service, (setting, path)) in enumerate(asked.items(), start=1):
        operators, agents = f"{number:032x}", f"{number + 10:032x}"
        url = re.sub(r"//.*@", "//", stack.settings[setting]) + path
        for trace_id, token in ((operators, stack.secret(OPERATORS_TOKEN)), (agents, stack.settings["GRAFANA_TOKEN"])):
            headers = {"Authorization": f"Bearer {token}", "traceparent": f"00-{trace_id}-b7ad6b7169203331-01"}
            assert requests.get(url, headers=headers, timeout=10).status_code == 200
        eventually(lambda id_=agents, who=service: {"gateway", who} <= telemetry.services_of_trace(id_))
        # It was asked before, and its spans would have been sent before.
        assert telemetry.services_of_trace(operators) == set()


def test_the_gateway_asks_for_its_token(stack: Stack) -> None:
    for name in ("PROMETHEUS_URL", "LOKI_URL", "TEMPO_URL"):
        url = re.sub(r"//.*@", "//", stack.settings[name])
        assert requests.get(f"{url}/api/v1/query?query=up", timeout=10).status_code == 401


def test_the_stores_run_with_their_bounds(stack: Stack, telemetry: Telemetry) -> None:
    told = requests.get(f"{telemetry.settings['PROMETHEUS_URL']}/api/v1/status/runtimeinfo", timeout=10).json()
    assert told["data"]["storageRetention"] == "1d or 512MiB"
    # The gateway shows no configuration; the service's own address does, on Linux.
    address = stack.address_inside("loki")
    config = yaml.safe_load(requests.get(f"http://{address}:3100/config", timeout=10).text)
    assert config["limits_config"]["retention_period"] == "1d"
    assert config["compactor"]["retention_enabled"]


def test_nothing_answers_beyond_the_loopback(stack: Stack) -> None:
    services = stack.json("status", stack.name)["services"]
    ports = [int(address.split()[0].rpartition(":")[2]) for one in services for address in one["addresses"]]
    assert len(ports) >= 8
    for port in ports:
        with socket.create_connection(("127.0.0.1", port), timeout=5):
            pass
        with pytest.raises(OSError, match="refused"):
            socket.create_connection((_own_address(), port), timeout=5)


def _own_address() -> str:
    """An address of this machine that others could use; nothing is sent to find it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))
        return str(probe.getsockname()[0])
