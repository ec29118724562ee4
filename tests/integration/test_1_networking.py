"""COMPASS on the host and COMPASS in a container: the settings of each reach all that they name."""

import subprocess
from pathlib import Path

import pytest
import requests
from eventually import eventually
from live_stack import Stack

pytestmark = pytest.mark.integration

# Runs in a container that joins the stack's network and knows nothing but its environment, as COMPASS there would.
INSIDE = """
import os, httpx2

env = os.environ
bearer = {"Authorization": "Bearer " + env["GRAFANA_TOKEN"]}
sources = httpx2.get(env["GRAFANA_URL"] + "/api/datasources", headers=bearer).json()
assert {source["uid"] for source in sources} == {"prometheus", "loki", "tempo"}, sources
call = {"tool": "execute_promql_query", "params": {"query": "up", "datasource_uid": "prometheus"}}
assert httpx2.post(env["GRAFANA_URL"] + "/mcp", headers=bearer, json=call).json()["data"]["resultType"] == "vector"
message = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
assert httpx2.post(env["TEMPO_MCP_URL"] + "/api/mcp", json=message).json()["result"]["tools"]
for name, path in (
    ("PROMETHEUS_URL", "/api/v1/query?query=up"),
    ("MIMIR_URL", "/api/v1/query?query=up"),
    ("LOKI_QUERY_URL", "/loki/api/v1/labels"),
    ("TEMPO_URL", "/api/search?q=%7B%7D"),
):
    httpx2.get(env[name] + path).raise_for_status()
empty = {"Content-Type": "application/x-protobuf"}
httpx2.post(env["OTLP_HTTP_ENDPOINT"] + "/v1/traces", content=b"", headers=empty).raise_for_status()
print("reached everything")
"""


def test_from_a_container_that_joins_the_network(stack: Stack, tmp_path: Path) -> None:
    settings = stack.json("env", stack.name, "--inside")
    file = tmp_path / "inside.env"
    stack.succeed("env", stack.name, "--inside", "--file", str(file))
    ran = subprocess.run(
        [
            "docker",
            "run",
            "--rm",
            "--network",
            settings["network"],
            "--env-file",
            str(file),
            "--entrypoint",
            "python",
            _image(stack),
            "-c",
            INSIDE,
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.stdout.strip() == "reached everything", ran.stderr
    assert settings["settings"]["GRAFANA_TOKEN"] not in " ".join(ran.args)


def _image(stack: Stack) -> str:
    """An image of the stack with an HTTP client in it."""
    inspect = ["docker", "inspect", "--format", "{{.Config.Image}}", stack.container("gateway")]
    return subprocess.run(inspect, capture_output=True, text=True, check=True).stdout.strip()


def test_from_the_host(stack: Stack) -> None:
    settings = stack.settings
    bearer = {"Authorization": f"Bearer {settings['GRAFANA_TOKEN']}"}
    sources = requests.get(f"{settings['GRAFANA_URL']}/api/datasources", headers=bearer, timeout=10).json()
    assert {source["uid"] for source in sources} == {"prometheus", "loki", "tempo"}
    for name, path in (
        ("PROMETHEUS_URL", "/api/v1/query?query=up"),
        ("LOKI_QUERY_URL", "/loki/api/v1/labels"),
        ("TEMPO_URL", "/api/search?q=%7B%7D"),
    ):
        assert requests.get(settings[name] + path, timeout=10).status_code == 200, name
    empty = {"Content-Type": "application/x-protobuf"}
    sent = requests.post(f"{settings['OTLP_HTTP_ENDPOINT']}/v1/traces", data=b"", headers=empty, timeout=10)
    assert sent.status_code == 200


def test_ports_are_published_on_the_loopback_address_only(stack: Stack) -> None:
    template = "{{range $p, $b := .NetworkSettings.Ports}}{{range $b}}{{.HostIp}} {{end}}{{end}}"
    for service in ("gateway", "collector", "sample-app", "postgres"):
        inspect = ["docker", "inspect", "--format", template, stack.container(service)]
        hosts = subprocess.run(inspect, capture_output=True, text=True, check=True).stdout.split()
        assert hosts, service
        assert set(hosts) == {"127.0.0.1"}, service


def test_a_postmortem_is_checked_against_the_stack(stack: Stack, tmp_path: Path) -> None:
    report = tmp_path / "report.md"
    true = (
        '# Post-mortem\n\nIn the last minutes `pg_up` was 1, and `{app="postgres"}` had more than 1 line.\n\n'
        '```traceql\n{ resource.service.name = "payment-service" }\n```\n\nThere were at least 1 of these.\n'
    )
    report.write_text(true)
    window = ("--from", "now-10m", "--to", "now")

    def holds() -> bool:
        return stack.demo("check-postmortem", str(report), "--stack", stack.name, *window).returncode == 0

    assert eventually(holds, seconds=60)
    report.write_text(true + "\n`pg_up` was 0.\n")
    checked = stack.demo("check-postmortem", str(report), "--stack", stack.name, *window)
    assert checked.returncode == 1
    assert "3 of 4 claims hold." in checked.stdout
    report.write_text("It was slow for 95 % of all.\n")
    checked = stack.demo("check-postmortem", str(report), "--stack", stack.name, *window)
    assert (checked.returncode, "No claim can be checked." in checked.stdout) == (1, True)
