"""What the Docker target asks the engine for, in up and in preview, on a small topology that has everything."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest
from pulumi_recorder import Recorder, is_secret

from infra.stack_secrets import StackSecrets
from infra.targets.base import ExternalAddress, UnsupportedSpec
from infra.targets.docker.hooks import NoHooks
from infra.targets.docker.target import DockerTarget
from infra.topology.model import (
    Endpoint,
    ExecProbe,
    Exposure,
    File,
    HttpProbe,
    Image,
    Port,
    Scratch,
    SecretFile,
    SecretRef,
    Service,
    Sidecar,
    Task,
    Topology,
    Volume,
)

IMAGE = Image(repository="example/app", version="1.2.3")
OTHER = Image(repository="example/other", version="v4", built=True)
SQL = Endpoint("db", "sql")
TOPOLOGY = Topology(
    workloads=(
        Service(
            name="db",
            image=IMAGE,
            command=("serve", "--fast"),
            files=(SecretFile(path="/run/secrets/db", secret=SecretRef("db-password")),),
            volumes=(Volume(name="data", path="/data", size_mib=10), Volume(name="logs", path="/logs", size_mib=10)),
            scratch=(Scratch(path="/tmp", size_mib=2),),
            ports=(Port(name="sql", number=5432, exposure=Exposure.HOST, host_port=15432),),
            probe=ExecProbe(command=("ready", "-q"), deadline_seconds=33),
            memory_mib=128,
            cpus=1.5,
            user=999,
            stop_grace_seconds=7,
            sidecars=(
                Sidecar(
                    name="db-logs",
                    image=OTHER,
                    volumes=(Volume(name="logs", path="/var/log/db", size_mib=10, read_only=True),),
                    memory_mib=32,
                    cpus=0.5,
                    user=999,
                ),
            ),
        ),
        Task(name="schema", image=OTHER, memory_mib=64, cpus=1, user=10001, needs=("db",), connects=(SQL,)),
        Service(
            name="web",
            image=OTHER,
            entrypoint=("/bin/web",),
            env={"DB": SQL, "A": "1"},
            files=(File(path="/etc/web.yaml", content="a: 1\n"),),
            ports=(Port(name="http", number=80),),
            probe=HttpProbe(port="http", path="/ready"),
            memory_mib=64,
            cpus=1,
            user=10001,
            needs=("schema",),
            connects=(SQL,),
        ),
    )
)
SECRETS = StackSecrets("abcd1234", {"db-password": "very secret"})
CONTAINER = "docker:index/container:Container"

NETWORKS = ["compass-test", "compass-test-clients"]
Run = Callable[[str, Callable[[], dict[str, Any]]], Recorder]


@pytest.fixture(scope="module")
def rendered(run: Run) -> Recorder:
    return run("test", lambda: {"deployment": DockerTarget("test", hooks=NoHooks()).deploy(TOPOLOGY, SECRETS)})


def test_every_container_volume_image_and_network_is_registered_once(rendered: Recorder) -> None:
    assert sorted(one.name for one in rendered.of_type(CONTAINER)) == [
        "db-container",
        "db-logs-container",
        "schema-container",
        "web-container",
    ]
    assert sorted(one.name for one in rendered.of_type("docker:index/volume:Volume")) == ["data-volume", "logs-volume"]
    assert sorted(one.inputs["name"] for one in rendered.of_type("docker:index/remoteImage:RemoteImage")) == [
        "example/app:1.2.3",
        "example/other:v4",
    ]
    assert sorted(one.inputs["name"] for one in rendered.of_type("docker:index/network:Network")) == NETWORKS


def test_only_what_has_a_port_for_agents_is_on_the_network_that_their_containers_join(rendered: Recorder) -> None:
    joined = {
        one.name: {network["name"]: network["aliases"] for network in one.inputs["networksAdvanced"]}
        for one in rendered.of_type(CONTAINER)
    }
    assert joined == {
        "db-container": {name: ["db"] for name in NETWORKS},
        "db-logs-container": {"compass-test": ["db-logs"]},
        "schema-container": {"compass-test": ["schema"]},
        "web-container": {"compass-test": ["web"]},
    }


def test_components_have_the_projects_token_and_register_their_outputs(rendered: Recorder) -> None:
    components = [one for one in rendered.registrations if one.type.startswith("compass:")]
    assert {one.type for one in components} == {
        "compass:demo:Demo",
        "compass:demo:Images",
        "compass:demo:Network",
        "compass:demo:Service",
        "compass:demo:Task",
    }
    assert {one.urn for one in components} <= rendered.completed_components


def test_children_are_parented_and_prefixed_with_their_component(rendered: Recorder) -> None:
    by_urn = {one.urn: one for one in rendered.registrations}
    parents = {one.name: by_urn[one.parent].name for one in rendered.of_type(CONTAINER)}
    assert parents == {
        "db-container": "db",
        "db-logs-container": "db",
        "schema-container": "schema",
        "web-container": "web",
    }
    for one in rendered.registrations:
        if one.type.startswith("docker:index/"):
            ancestor = one
            while ancestor.parent in by_urn:
                ancestor = by_urn[ancestor.parent]
            assert ancestor.name == "demo"


def test_needs_become_dependencies_on_containers(rendered: Recorder) -> None:
    urns = {one.name: one.urn for one in rendered.registrations}
    assert urns["db-container"] in rendered.named("schema-container").dependencies
    assert urns["schema-container"] in rendered.named("web-container").dependencies
    assert urns["db-container"] in rendered.named("db-logs-container").dependencies
    assert not rendered.named("db-container").dependencies & {urns["web-container"], urns["schema-container"]}


def test_secrets_travel_as_marked_files_and_nowhere_else(rendered: Recorder) -> None:
    uploads = rendered.named("db-container").inputs["uploads"]
    # One secret makes the SDK mark the whole list.
    assert is_secret(uploads)
    assert uploads["value"] == [{"file": "/run/secrets/db", "content": "very secret", "permissions": "0444"}]
    for one in rendered.registrations:
        assert "very secret" not in str({key: value for key, value in one.inputs.items() if not is_secret(value)})


def test_everything_that_the_topology_says_of_a_container_is_rendered(rendered: Recorder) -> None:
    inputs = rendered.named("db-container").inputs
    assert inputs["name"] == "compass-test-db"
    assert inputs["command"] == ["serve", "--fast"]
    assert "entrypoints" not in inputs
    assert inputs["user"] == "999"
    assert (inputs["memory"], inputs["memorySwap"], inputs["cpus"]) == (128, 128, "1.5")
    assert inputs["ports"] == [{"internal": 5432, "external": 15432, "ip": "127.0.0.1", "protocol": "tcp"}]
    assert [mount["target"] for mount in inputs["mounts"]] == ["/data", "/logs", "/tmp"]
    assert inputs["mounts"][2]["tmpfsOptions"]["sizeBytes"] == 2 * 1024 * 1024
    assert inputs["healthcheck"]["tests"] == ["CMD", "ready", "-q"]
    assert inputs["healthcheck"]["startPeriod"] == "33s"
    assert inputs["destroyGraceSeconds"] == inputs["stopTimeout"] == 7
    assert rendered.named("db-logs-container").inputs["mounts"][0]["readOnly"] is True
    web = rendered.named("web-container").inputs
    assert web["envs"] == ["A=1", "DB=db:5432"]
    assert web["entrypoints"] == ["/bin/web"]
    assert web["uploads"] == [{"file": "/etc/web.yaml", "content": "a: 1\n", "permissions": "0444"}]
    assert "healthcheck" not in web


def test_an_internal_port_is_not_published(rendered: Recorder) -> None:
    assert rendered.named("web-container").inputs["ports"] == []


def test_services_restart_and_tasks_do_not(rendered: Recorder) -> None:
    assert rendered.named("web-container").inputs["restart"] == "unless-stopped"
    schema = rendered.named("schema-container").inputs
    assert (schema["restart"], schema["mustRun"]) == ("no", False)


def test_containers_have_no_privileges_and_are_deleted_before_they_are_replaced(rendered: Recorder) -> None:
    for one in rendered.of_type(CONTAINER):
        assert one.inputs["capabilities"] == {"drops": ["ALL"]}
        assert one.inputs["securityOpts"] == ["no-new-privileges:true"]
        assert one.delete_before_replace
        assert int(one.inputs["user"]) > 0


def test_images_are_kept_on_destroy(rendered: Recorder) -> None:
    assert all(one.inputs["keepLocally"] is True for one in rendered.of_type("docker:index/remoteImage:RemoteImage"))


def test_volumes_carry_the_generation_of_the_secrets(rendered: Recorder) -> None:
    labels = rendered.named("data-volume").inputs["labels"]
    assert {"label": "compass-demo.secrets", "value": "abcd1234"} in labels


def test_published_ports_have_an_external_address_on_the_loopback(rendered: Recorder) -> None:
    deployment = rendered.outputs["deployment"]
    assert deployment.external == {SQL: ExternalAddress("127.0.0.1", 15432)}
    assert deployment.inside == "compass-test-clients"


def test_a_file_that_is_too_large_for_the_state_is_refused_by_name() -> None:
    service = Service(
        name="big",
        image=IMAGE,
        files=(File(path="/etc/big", content="x" * 600_000),),
        probe=ExecProbe(command=("true",)),
        memory_mib=1,
        cpus=1,
        user=1,
    )
    with pytest.raises(UnsupportedSpec, match=r"big: the file /etc/big is not possible on this target"):
        DockerTarget("test").check(Topology(workloads=(service,)), preview=False)


def test_the_demo_changes_with_whatever_changes_below_it(run: Run) -> None:
    def demo_of(stack: str, topology: Topology) -> Mapping[str, Any]:
        recorder = run(stack, lambda: {"deployment": DockerTarget("test", hooks=NoHooks()).deploy(topology, SECRETS)})
        return recorder.of_type("compass:demo:Demo")[0].inputs

    sidecar = TOPOLOGY.services[0].sidecars[0]
    heavier = replace(TOPOLOGY.services[0], sidecars=(replace(sidecar, memory_mib=33),))
    changed = Topology(workloads=(heavier, *TOPOLOGY.workloads[1:]))
    before, same, after = demo_of("a", TOPOLOGY), demo_of("b", TOPOLOGY), demo_of("c", changed)
    assert before == same
    assert before["specification"] != after["specification"]


def test_what_another_workload_needs_is_known_by_name() -> None:
    assert TOPOLOGY.needed == {"db", "schema"}
