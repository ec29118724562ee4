"""COMPASS's own calls against the running stack: its dialects, through the gateway, find live data."""

import secrets
import time
from typing import Any

import pytest
import requests
from eventually import eventually
from live_stack import Stack, Telemetry

pytestmark = pytest.mark.integration

LOGQL = [
    '{app="postgres"}',
    '{service="payment-service"}',
]
TRACEQL = [
    "{}",
    '{service.name="payment-service"}',
    '{resource.service.name="payment-service" && duration > 1ms}',
    '{resource.service.name="payment-service" && span.db.system.name="postgresql"}',
]


def call(stack: Stack, tool: str, **params: Any) -> dict[str, Any]:
    """Call a tool as COMPASS's Grafana client does; returns what it reads."""
    settings = stack.settings
    answer = requests.post(
        f"{settings['GRAFANA_URL']}/mcp",
        json={"tool": tool, "params": params},
        headers={"Authorization": f"Bearer {settings['GRAFANA_TOKEN']}"},
        timeout=15,
    )
    assert answer.status_code == 200, answer.text
    return dict(answer.json()["data"])


def search(url: str, query: str) -> list[dict[str, Any]]:
    """Search traces as COMPASS's trace client does: a session, then the tool."""
    hello: dict[str, Any] = {"protocolVersion": "2024-11-05", "capabilities": {}, "clientInfo": {"name": "compass"}}
    begun = requests.post(
        f"{url}/api/mcp", json={"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello}, timeout=15
    )
    assert begun.status_code == 200, begun.text
    session = begun.headers["Mcp-Session-Id"]
    params = {"name": "traceql-search", "arguments": {"query": query, "limit": 20}, "_meta": {"sessionId": session}}
    answer = requests.post(
        f"{url}/api/mcp",
        json={"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": params},
        headers={"Mcp-Session-Id": session},
        timeout=15,
    )
    assert answer.status_code == 200, answer.text
    result = answer.json()["result"]
    assert result["content"], "other agents read the content"
    return list(result["data"]["traces"])


def test_a_metric_is_found_by_compass_s_tool(stack: Stack, telemetry: Telemetry) -> None:
    eventually(lambda: telemetry.promql("db_connections"), seconds=40)
    data = call(stack, "execute_promql_query", query="db_connections", datasource_uid="prometheus")
    assert data["resultType"] == "vector"
    assert float(data["result"][0]["value"][1]) > 0


@pytest.mark.parametrize("query", LOGQL)
def test_log_lines_are_found_by_compass_s_tool(stack: Stack, query: str) -> None:
    def lines() -> list[Any]:
        data = call(stack, "execute_logql_query", query=query, datasource_uid="loki", duration="5m", limit=10)
        assert data["resultType"] == "streams"
        return list(data["result"])

    assert eventually(lines, seconds=30)


@pytest.mark.parametrize("query", TRACEQL)
def test_traces_are_found_by_compass_s_tool(stack: Stack, query: str) -> None:
    found = eventually(lambda: search(stack.settings["TEMPO_URL"], query), seconds=30)
    assert all(trace["traceID"] and trace["durationMs"] >= 0 for trace in found)
    if "payment-service" in query:

        def roots() -> set[str]:
            """Of whole traces: the root of one that is still arriving comes last."""
            names = {trace["rootServiceName"] for trace in search(stack.settings["TEMPO_URL"], query)}
            return names - {"<root span not yet received>"}

        assert eventually(roots, seconds=30) == {"payment-service"}


def test_a_query_that_is_wrong_is_told_in_the_server_s_words(stack: Stack) -> None:
    settings = stack.settings
    answer = requests.post(
        f"{settings['GRAFANA_URL']}/mcp",
        json={"tool": "execute_promql_query", "params": {"query": "sum(", "datasource_uid": "prometheus"}},
        headers={"Authorization": f"Bearer {settings['GRAFANA_TOKEN']}"},
        timeout=15,
    )
    assert 400 <= answer.status_code < 500
    assert "parse error" in answer.json()["error"]


def test_a_subquery_that_prometheus_would_allocate_is_refused_with_its_limit(stack: Stack) -> None:
    answer = requests.get(
        f"{stack.settings['PROMETHEUS_URL']}/api/v1/query", params={"query": "max_over_time(up[1d:5ms])"}, timeout=15
    )
    assert (answer.status_code, "limit of 11000 points per series" in answer.json()["error"]) == (422, True)


def test_a_thousand_log_lines_with_statements_are_an_answer(stack: Stack) -> None:
    """More than the 4 MiB that a message between Loki's parts has by default."""
    mark, statement = secrets.token_hex(8), "SELECT 1 -- " + "x" * 5000
    resource = {"attributes": [{"key": "service.name", "value": {"stringValue": "wordy"}}]}
    for batch in range(12):
        records = [
            {
                "timeUnixNano": str(time.time_ns()),
                "body": {"stringValue": f"{mark} {batch} {number}"},
                # Each its own: lines with the same attributes are one stream, which names them once.
                "attributes": [{"key": "statement", "value": {"stringValue": f"{statement}{batch}-{number}"}}],
            }
            for number in range(100)
        ]
        document = {"resourceLogs": [{"resource": resource, "scopeLogs": [{"logRecords": records}]}]}
        url = f"{stack.settings['OTLP_HTTP_ENDPOINT']}/v1/logs"

        def taken(url: str = url, document: dict[str, Any] = document) -> bool:
            return requests.post(url, json=document, timeout=15).ok

        # Its queue is bounded: what it has no room for comes again.
        assert eventually(taken, seconds=30)
    asked = {"query": f'{{app="wordy"}} |= "{mark}"', "limit": 1200, "since": "10m"}

    def lines() -> bool:
        answer = requests.get(f"{stack.settings['LOKI_QUERY_URL']}/loki/api/v1/query_range", params=asked, timeout=30)
        assert answer.status_code == 200, answer.text[:500]
        return sum(len(stream["values"]) for stream in answer.json()["data"]["result"]) == 1200

    assert eventually(lines, seconds=60)
