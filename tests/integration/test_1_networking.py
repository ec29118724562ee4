"""COMPASS on the host and COMPASS in a container: the settings of each reach all that they name."""

import subprocess
from pathlib import Path

import pytest
import requests
from eventually import eventually
from live_stack import Stack

from infra.topology import names

pytestmark = pytest.mark.integration

# Runs in a container that joins the clients' network and knows nothing but its environment, as COMPASS there would.
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


# Prints which of its arguments, host:port, can be connected to.
KNOCK = """
import socket, sys

for address in sys.argv[1:]:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=2).close()
    except OSError:
        continue
    print(address)
"""
BEHIND = {
    "prometheus": 9090,
    "loki": 3100,
    "jaeger": 16686,
    "alertmanager": 9093,
    "traffic": 8080,
    "incident-runner": 8070,
}
"""Services that no agent is told of, and a port of each."""


def test_from_a_container_that_joins_the_network(stack: Stack, tmp_path: Path) -> None:
    settings = stack.json("env", stack.name, "--inside")
    file = tmp_path / "inside.env"
    stack.succeed("env", stack.name, "--inside", "--file", str(file))
    ran = _run_in(stack, settings["network"], INSIDE, options=("--env-file", str(file)))
    assert ran.stdout.strip() == "reached everything", ran.stderr
    assert settings["settings"]["GRAFANA_TOKEN"] not in " ".join(ran.args)


def test_past_the_gateway_there_is_no_way_from_there(stack: Stack) -> None:
    """Neither by name nor by address; from the stack's own network each of them answers."""
    network = stack.json("env", stack.name, "--inside")["network"]
    by_address = [f"{stack.address_inside(service)}:{port}" for service, port in BEHIND.items()]
    by_name = [f"{service}:{port}" for service, port in BEHIND.items()]
    known = f"{names.GATEWAY.service}:3000"
    theirs = _run_in(stack, network, KNOCK, known, *by_name, *by_address)
    assert theirs.stdout.split() == [known], theirs.stderr
    ours = _run_in(stack, network.removesuffix("-clients"), KNOCK, known, *by_name, *by_address)
    assert ours.stdout.split() == [known, *by_name, *by_address], ours.stderr


def _run_in(
    stack: Stack, network: str, script: str, *arguments: str, options: tuple[str, ...] = ()
) -> "subprocess.CompletedProcess[str]":
    """A script in a container of its own, from an image of the stack with an HTTP client in it."""
    run = ["docker", "run", "--rm", "--network", network, *options, "--entrypoint", "python"]
    image = _inspect(stack, "gateway", "{{.Config.Image}}")
    return subprocess.run(
        [*run, image, "-c", script, *arguments], capture_output=True, text=True, timeout=60, check=False
    )


def _inspect(stack: Stack, service: str, template: str) -> str:
    inspect = ["docker", "inspect", "--format", template, stack.container(service)]
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
        hosts = _inspect(stack, service, template).split()
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
