"""Several replicas: what the topology says then, and that one replica is as if there were no such thing."""

from collections.abc import Mapping
from functools import cache
from typing import Any

import pytest
import yaml

from gateway.config import Config as GatewayConfig
from images.catalog import images
from infra.config import DemoConfig, load_stack_config
from infra.paths import REPOSITORY
from infra.topology import names
from infra.topology.demo import demo_topology
from infra.topology.model import File, Image, Service, Topology
from infra.topology.site import Site

POOL_DEFAULT, LIMIT_DEFAULT = 12, 40


@cache
def images_of_airgap() -> Mapping[str, Image]:
    """Their versions are digests of the whole checkout, and replicas are no part of it."""
    return images(load_stack_config(REPOSITORY, "airgap"))


def topology_of(**changes: object) -> Topology:
    config = load_stack_config(REPOSITORY, "airgap").model_copy(update=changes)
    return demo_topology(Site(stack="airgap", config=config, images=images_of_airgap()))


def text(service: Service, path: str) -> str:
    (found,) = [file.content for file in service.files if isinstance(file, File) and file.path == path]
    return found


def scraped(topology: Topology, job: str) -> dict[str, Any]:
    files = [file for file in topology.service("prometheus").files if isinstance(file, File)]
    documents = [yaml.safe_load(file.content) for file in files if "/rules/" not in file.path]
    (found,) = [each for document in documents for each in document["scrape_configs"] if each["job_name"] == job]
    return found


def test_those_that_may_have_replicas_are_the_sample_app_and_the_gateway() -> None:
    assert {service.name for service in topology_of().services if service.peers} == {"sample-app", "gateway"}


def test_names_of_peers_are_nobodys_name() -> None:
    topology = topology_of()
    taken = {container.name for container in topology.containers()}
    assert not taken & {service.peers_name for service in topology.services}


def test_one_replica_knows_of_no_other() -> None:
    topology = topology_of()
    app, gateway = topology.service("sample-app"), topology.service("gateway")
    assert not {"PAYMENT_PEERS", "PAYMENT_POOL_MAX_SIZE", "PAYMENT_DRAIN_SECONDS"} & set(app.env)
    assert names.SAMPLE_APP_ADMIN not in app.connects
    assert names.GATEWAY_INTERNAL not in gateway.connects
    config = GatewayConfig.model_validate(yaml.safe_load(text(gateway, "/etc/gateway/gateway.yaml")))
    assert (config.alerts.peers, config.limits.drain_seconds) == ((), 0)
    assert "static_configs" in scraped(topology, "sample-app")
    assert "static_configs" in scraped(topology, "gateway")


@pytest.mark.parametrize("changes", [{"sample_app_replicas": 3}, {"sample_app_max_replicas": 3}])
def test_sample_apps_tell_each_other_and_are_scraped_one_by_one(changes: dict[str, int]) -> None:
    topology = topology_of(**changes)
    app = topology.service("sample-app")
    assert app.env["PAYMENT_PEERS"] == f"{app.peers_name}:{app.port('admin').number}"
    assert names.SAMPLE_APP_ADMIN in app.connects
    assert float(str(app.env["PAYMENT_DRAIN_SECONDS"])) + 30 <= app.stop_grace_seconds
    assert scraped(topology, "sample-app")["dns_sd_configs"][0]["names"] == [app.peers_name]
    assert "static_configs" in scraped(topology, "gateway")


def test_gateways_tell_each_other_and_are_scraped_one_by_one() -> None:
    topology = topology_of(gateway_replicas=2)
    gateway = topology.service("gateway")
    config = GatewayConfig.model_validate(yaml.safe_load(text(gateway, "/etc/gateway/gateway.yaml")))
    assert config.alerts.peers == (f"{gateway.peers_name}:{config.listeners.internal.port}",)
    assert names.GATEWAY_INTERNAL in gateway.connects
    assert config.limits.drain_seconds + config.limits.shutdown_seconds < gateway.stop_grace_seconds
    assert scraped(topology, "gateway")["dns_sd_configs"][0]["names"] == [gateway.peers_name]


@pytest.mark.parametrize("replicas", range(1, 11))
def test_the_connections_of_all_replicas_fit_the_role_and_the_role_the_server(replicas: int) -> None:
    topology = topology_of(sample_app_replicas=replicas)
    pool = int(str(topology.service("sample-app").env.get("PAYMENT_POOL_MAX_SIZE", POOL_DEFAULT)))
    (task,) = topology.tasks
    limit = int(str(task.env.get("PAYMENT_APP_CONNECTION_LIMIT", LIMIT_DEFAULT)))
    server = text(topology.service("postgres"), "/etc/postgresql/postgresql.conf")
    settings = dict(line.split("#")[0].split(" = ") for line in server.splitlines() if " = " in line.split("#")[0])
    free = int(settings["max_connections"]) - int(settings["superuser_reserved_connections"]) - 5
    background = 3
    assert pool >= 2
    assert (replicas + 1) * (pool + background) <= limit <= free


@pytest.mark.parametrize(
    ("key", "value"), [("gatewayReplicas", 0), ("sampleAppReplicas", 11), ("sampleAppMaxReplicas", -1)]
)
def test_how_many_there_may_be(key: str, value: int) -> None:
    with pytest.raises(Exception, match=f"compass-demo:{key}"):
        DemoConfig.parse({key: value}, where="Pulumi.test.yaml")
