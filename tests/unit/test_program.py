"""The whole program under mocks on Docker: every stack, up and preview."""

from typing import Any

import pulumi
import pytest
from pulumi_recorder import Recorder
from rendered_stacks import Run, render, topology_of

from infra.config import TargetKind, stack_names
from infra.errors import ConfigError
from infra.paths import REPOSITORY
from infra.program import read_config
from infra.topology.settings import compass_settings

CONTAINER = "docker:index/container:Container"


@pytest.fixture(scope="module", params=stack_names(REPOSITORY))
def rendered(request: pytest.FixtureRequest, run: Run, dry_run: bool) -> tuple[str, Recorder]:
    stack = str(request.param)
    return stack, render(run, stack, TargetKind.DOCKER, dry_run=dry_run)


def test_every_container_of_the_topology_is_registered_with_its_name(rendered: tuple[str, Recorder]) -> None:
    stack, recorder = rendered
    topology = topology_of(stack)
    assert {one.inputs["name"] for one in recorder.of_type(CONTAINER)} == {
        f"compass-{stack}-{container.name}" for container in topology.containers()
    }


def test_every_setting_is_an_output_and_those_with_the_token_are_secret(rendered: tuple[str, Recorder]) -> None:
    _, recorder = rendered
    for setting in compass_settings():
        value = recorder.outputs[setting.name]
        assert isinstance(value, pulumi.Output) is setting.secret, setting.name
    assert {setting.name for setting in compass_settings() if setting.secret} == {
        "GRAFANA_TOKEN",
        "GRAFANA_SERVICE_ACCOUNT_TOKEN",
        "TEMPO_URL",
        "TEMPO_MCP_URL",
        "LOKI_URL",
        "LOKI_QUERY_URL",
        "PROMETHEUS_URL",
        "MIMIR_URL",
    }


def test_outputs_are_addresses_on_the_loopback_and_by_service_name_inside(rendered: tuple[str, Recorder]) -> None:
    stack, recorder = rendered
    assert recorder.outputs["GRAFANA_URL"] == "http://127.0.0.1:3000"
    assert recorder.outputs["inside"]["GRAFANA_URL"] == "http://gateway:3000"
    assert recorder.outputs["inside"]["OTLP_HTTP_ENDPOINT"] == "http://collector:4318"
    assert recorder.outputs["network"] == f"compass-{stack}-clients"
    services = recorder.outputs["topology"]["services"]
    assert services["gateway"]["addresses"]["prometheus"] == "127.0.0.1:9090"


def test_what_is_about_incidents_is_apart_from_the_settings_of_agents(rendered: tuple[str, Recorder]) -> None:
    _, recorder = rendered
    assert recorder.outputs["incidentRunnerUrl"] == "http://127.0.0.1:8070"
    for name in ("incidentPresenterToken", "incidentOwnerToken"):
        assert isinstance(recorder.outputs[name], pulumi.Output)
    assert not [name for name in recorder.outputs["inside"] if "incident" in name.lower()]
    assert "8070" not in str(recorder.outputs["inside"])


def test_the_app_its_clients_and_the_gateway_wait_for_the_task(rendered: tuple[str, Recorder]) -> None:
    _, recorder = rendered
    urns = {one.name: one.urn for one in recorder.of_type(CONTAINER)}
    for later, earlier in {
        "sample-app": "database",
        "gateway": "database",
        "database": "postgres",
        "traffic": "database",
    }.items():
        assert urns[f"{earlier}-container"] in recorder.named(f"{later}-container").dependencies


def test_no_secret_is_in_an_environment_or_an_argument(rendered: tuple[str, Recorder]) -> None:
    _, recorder = rendered
    for one in recorder.of_type(CONTAINER):
        plain = str([one.inputs.get(key) for key in ("envs", "command", "entrypoints", "labels", "healthcheck")])
        assert "PASSWORD=" not in plain.replace("PASSWORD_FILE", "")
        assert "TOKEN=" not in plain.replace("TOKEN_FILE", "")


def test_the_configuration_is_read_as_the_engine_hands_it_over(run: Run) -> None:
    from pulumi.runtime.config import set_all_config  # noqa: PLC0415 # after the fixture has set the runtime up

    def read() -> dict[str, Any]:
        set_all_config({"compass-demo:trafficRate": "5", "docker:host": "x"})
        config = read_config("test")
        set_all_config({"compass-demo:trafficRat": "5"})
        with pytest.raises(ConfigError, match=r"Pulumi.test.yaml: unknown key compass-demo:trafficRat"):
            read_config("test")
        return {"rate": config.traffic_rate}

    assert run("test", read).outputs == {"rate": 5}
