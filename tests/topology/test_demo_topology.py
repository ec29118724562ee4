"""The demo itself, for every committed stack, without Pulumi."""

import re
import subprocess
import sys
from functools import cache
from typing import Any

import pytest
import yaml

from gateway.config import Config as GatewayConfig
from images.catalog import images
from infra.config import DemoConfig, load_stack_config, stack_names
from infra.paths import REPOSITORY
from infra.topology import names
from infra.topology.demo import demo_topology
from infra.topology.model import Exposure, File, HttpProbe, SecretFile, Service, Topology
from infra.topology.settings import compass_settings
from infra.topology.site import Site

STACKS = stack_names(REPOSITORY)


@cache
def topology_of(stack: str, **changes: object) -> Topology:
    config = load_stack_config(REPOSITORY, stack).model_copy(update=changes)
    return demo_topology(Site(stack=stack, config=config, images=images(config)))


@pytest.fixture(params=STACKS)
def topology(request: pytest.FixtureRequest) -> Topology:
    return topology_of(str(request.param))


def text(service: Service, path: str) -> str:
    (found,) = [file.content for file in service.files if isinstance(file, File) and file.path == path]
    return found


COMMON = {
    "postgres",
    "sample-app",
    "traffic",
    "postgres-exporter",
    "loki",
    "collector",
    "prometheus",
    "alertmanager",
    "gateway",
    "incident-runner",
}


def test_local_runs_grafana_and_tempo_and_airgap_jaeger() -> None:
    assert {s.name for s in topology_of("local").services} == COMMON | {"tempo", "grafana", "mcp-grafana"}
    assert {s.name for s in topology_of("airgap").services} == COMMON | {"jaeger"}


@pytest.mark.processes
def test_the_topology_is_made_without_pulumi() -> None:
    script = (
        "import sys; from infra.topology.demo import demo_topology; from infra.topology.validate import validate; "
        "assert not [name for name in sys.modules if name.split('.')[0] in ('pulumi', 'pulumi_docker')]"
    )
    subprocess.run([sys.executable, "-c", script], cwd=REPOSITORY, check=True)


def test_only_the_gateway_is_at_the_edge(topology: Topology) -> None:
    assert {service.name for service, port in topology.published() if port.exposure is Exposure.EDGE} == {"gateway"}


def test_the_published_ports_are_those_that_are_documented(topology: Topology) -> None:
    ports = {port.host_port: f"{service.name}/{port.name}" for service, port in topology.published()}
    assert ports == {
        3000: "gateway/grafana",
        3100: "gateway/loki",
        3200: "gateway/traces",
        9090: "gateway/prometheus",
        4317: "collector/otlp-grpc",
        4318: "collector/otlp-http",
        8000: "sample-app/http",
        5432: "postgres/sql",
        8070: "incident-runner/runner",
    }


def test_every_published_port_can_be_moved_by_a_documented_key(topology: Topology) -> None:
    aliases = {field.alias for field in DemoConfig.model_fields.values()}
    assert all(port.host_port_key in aliases for _, port in topology.published())


def test_two_stacks_side_by_side_share_no_port_with_an_offset() -> None:
    first = {port.host_port for _, port in topology_of("airgap").published()}
    second = {port.host_port for _, port in topology_of("airgap", port_offset=10000).published()}
    assert not first & second


def test_every_service_is_scraped_that_has_metrics(topology: Topology) -> None:
    prometheus = topology.service("prometheus")
    documents = [
        yaml.safe_load(file.content) for file in prometheus.files if isinstance(file, File) and "rules" not in file.path
    ]
    targets = {
        target for document in documents for job in document["scrape_configs"] for target in _targets(topology, job)
    }
    others = {"alertmanager:9093", "collector:4318"}
    scraped = {topology.address(endpoint) for endpoint in prometheus.connects} - others
    assert targets - {"localhost:9090", "alertmanager:9093"} == scraped


def _targets(topology: Topology, job: dict[str, Any]) -> list[str]:
    """The addresses of a job; a name of peers stands for the service that they are replicas of."""
    services = {service.peers_name: service.name for service in topology.services if service.peers}
    fixed = [target for static in job.get("static_configs", ()) for target in static["targets"]]
    found = [f"{services[name]}:{one['port']}" for one in job.get("dns_sd_configs", ()) for name in one["names"]]
    assert bool(fixed) != bool(found)
    return fixed + found


def test_spans_of_the_back_ends_have_somewhere_to_go() -> None:
    for stack in ("airgap", "local", "lab"):
        assert names.COLLECTOR_HTTP in topology_of(stack).service("prometheus").connects
    # The tracers of these know no other way; without the sampler each of their own questions would be kept.
    for stack, name, port in (("airgap", "jaeger", 4317), ("local", "tempo", 4318)):
        env = topology_of(stack).service(name).env
        assert env["OTEL_TRACES_SAMPLER"] == "parentbased_always_off"
        assert env["OTEL_EXPORTER_OTLP_ENDPOINT"] == f"http://127.0.0.1:{port}"


def test_addresses_in_configuration_files_are_connections_of_the_topology(topology: Topology) -> None:
    addresses = {
        f"{member.name}:{port.number}"
        for service in topology.services
        for member in (service, *service.sidecars)
        for port in member.ports
    }
    for container in topology.containers():
        allowed = {topology.address(endpoint) for endpoint in container.connects}
        for file in container.files:
            if isinstance(file, File):
                named = {address for address in addresses if address in file.content}
                assert named <= allowed | _own(topology, container.name), f"{container.name} {file.path}"


def _own(topology: Topology, name: str) -> set[str]:
    return {
        f"{member.name}:{port.number}"
        for service in topology.services
        for member in (service, *service.sidecars)
        if member.name == name
        for port in member.ports
    }


@pytest.mark.parametrize(("stack", "led"), [("airgap", False), ("local", False), ("lab", True), ("cloud", True)])
def test_on_a_cluster_a_browser_is_led_to_the_login_page(stack: str, led: bool) -> None:
    config = yaml.safe_load(text(topology_of(stack).service("gateway"), "/etc/gateway/gateway.yaml"))
    assert GatewayConfig.model_validate(config).browsers.login_page is led


def test_the_gateway_accepts_its_configuration_and_asks_every_probe(topology: Topology) -> None:
    gateway = topology.service("gateway")
    config = GatewayConfig.model_validate(yaml.safe_load(text(gateway, "/etc/gateway/gateway.yaml")))
    asked = {probe.service for probe in config.probes if probe.url}
    http = {
        member.name
        for service in topology.services
        for member in (service, *service.sidecars)
        if isinstance(member.probe, HttpProbe)
    }
    assert asked == http
    assert all(probe.url is None or probe.url.startswith(f"http://{probe.service}:") for probe in config.probes)


def test_the_gateways_deadline_begins_when_no_task_is_left(topology: Topology) -> None:
    assert set(topology.service("gateway").needs) == {task.name for task in topology.tasks}


def test_secrets_are_files_and_every_container_has_only_its_own(topology: Topology) -> None:
    held = {container.name: container.secrets for container in topology.containers()}
    next_password, presenter = names.NEXT_PAYMENT_APP_PASSWORD, names.INCIDENT_PRESENTER_TOKEN
    assert held["sample-app"] == {names.PAYMENT_APP_PASSWORD, next_password, presenter}
    assert held["traffic"] == held["loki"] == held["prometheus"] == frozenset()
    assert held["postgres-exporter"] == {names.POSTGRES_EXPORTER_PASSWORD}
    assert held["gateway"] == {names.GATEWAY_TOKEN, names.GATEWAY_OPERATORS_TOKEN}
    assert held["incident-runner"] == {
        names.DBA_PASSWORD,
        names.PAYMENTS_OWNER_PASSWORD,
        names.PAYMENT_APP_PASSWORD,
        next_password,
        presenter,
        names.INCIDENT_OWNER_TOKEN,
        names.GATEWAY_OPERATORS_TOKEN,
    }
    assert {name for name, secrets in held.items() if names.INCIDENT_OWNER_TOKEN in secrets} == {"incident-runner"}
    assert {name for name, secrets in held.items() if names.POSTGRES_PASSWORD in secrets} == {"postgres", "database"}
    for container in topology.containers():
        for file in container.files:
            if isinstance(file, SecretFile):
                assert file.path == f"/run/secrets/{file.secret.name}"


def test_agents_find_no_word_of_the_incidents(topology: Topology) -> None:
    """In what they are given or can ask: settings, the gateway's configuration, the stores and what these collect."""
    unknown = [service for service in topology.services if not service.known_to_agents]
    assert [service.name for service in unknown] == ["incident-runner"]
    assert not [setting for setting in compass_settings() if "incident" in str(setting)]
    for container in topology.containers():
        connected = [endpoint for endpoint in container.connects if endpoint.service == "incident-runner"]
        assert bool(connected) == (container.name == "sample-app"), container.name
        for file in container.files:
            assert isinstance(file, SecretFile) or not re.search(r"incident.?runner|incident-\w+-token", file.content)


def test_the_services_next_password_lies_where_it_looks_for_it(topology: Topology) -> None:
    paths = {file.path for file in topology.service("sample-app").files}
    assert {"/run/secrets/payment-app-password", "/run/secrets/payment-app-password-2"} <= paths
    assert str(topology.service("sample-app").env["PAYMENT_INCIDENT_RUNNER_TOKEN_FILE"]) in paths
    runner = topology.service("incident-runner")
    url = f"http://{topology.address(names.INCIDENT_RUNNER)}/trigger-incident"
    assert topology.service("sample-app").env["PAYMENT_INCIDENT_RUNNER_URL"] == url
    assert runner.env["RUNNER_APP_ADMIN_URL"] == f"http://{topology.address(names.SAMPLE_APP_ADMIN)}"
    assert set(runner.connects) == {
        names.POSTGRES,
        names.SAMPLE_APP_ADMIN,
        names.GATEWAY,
        names.GATEWAY_TRACES,
        names.GATEWAY_LOKI,
        names.GATEWAY_PROMETHEUS,
    }


def test_every_compass_setting_has_an_endpoint_that_is_published(topology: Topology) -> None:
    published = {(service.name, port.name) for service, port in topology.published()}
    for setting in compass_settings():
        if setting.endpoint:
            assert (setting.endpoint.service, setting.endpoint.port) in published


def test_no_image_floats(topology: Topology) -> None:
    assert all(any(c.isdigit() for c in image.version) for image in topology.images)


def test_every_container_runs_as_a_numeric_user(topology: Topology) -> None:
    assert all(container.user > 0 for container in topology.containers())


def test_the_memory_limits_fit_a_laptop(topology: Topology) -> None:
    assert sum(container.memory_mib for container in topology.containers()) < 5 * 1024


def test_lokis_retention_has_room_for_its_notes(topology: Topology) -> None:
    """It makes them in the temporary folder, which a read-only root or an image of one program does not have."""
    config = yaml.safe_load(text(topology.service("loki"), "/etc/loki/loki.yaml"))
    assert config["compactor"]["retention_enabled"]
    assert "/tmp" in {scratch.path for scratch in topology.service("loki").scratch}


def test_prometheus_cannot_be_asked_for_more_than_its_memory(topology: Topology) -> None:
    """A sample takes 16 bytes; half of the memory is left for what it does besides."""
    prometheus = topology.service("prometheus")
    given = dict(argument.removeprefix("--").split("=", 1) for argument in prometheus.command)
    samples = int(given["query.max-samples"]) * int(given["query.max-concurrency"])
    assert samples * 16 <= prometheus.memory_mib * 2**20 / 2


def test_lokis_parts_pass_each_other_what_its_memory_takes(topology: Topology) -> None:
    """A message is held about three times: by who sends it, by who takes it, and as the answer."""
    loki = topology.service("loki")
    server = yaml.safe_load(text(loki, "/etc/loki/loki.yaml"))["server"]
    sizes = {server["grpc_server_max_recv_msg_size"], server["grpc_server_max_send_msg_size"]}
    # 5000 lines, the most that are asked for, of 4 kB each.
    assert min(sizes) >= 5000 * 4096
    assert max(sizes) * 3 <= loki.memory_mib * 2**20 / 2
