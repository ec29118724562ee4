"""Both targets render the same demo: every stack on either, container by container."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pytest
import yaml
from cluster_objects import REGISTRY, Objects, Way, allowed_ways, digest
from pulumi_recorder import Recorder, plain
from rendered_stacks import Run, render, topology_of

from infra.config import TargetKind, stack_names
from infra.paths import REPOSITORY
from infra.targets.kubernetes.naming import CLIENT, pod_of
from infra.topology.model import ExecProbe, HttpProbe, Service, Sidecar, Topology


@dataclass(frozen=True)
class Both:
    """One topology, rendered twice."""

    topology: Topology
    docker: Recorder
    objects: Objects

    @cached_property
    def docker_containers(self) -> Mapping[str, Mapping[str, Any]]:
        """Container of the topology -> inputs of its resource."""
        found = self.docker.of_type("docker:index/container:Container")
        return {one.name.removesuffix("-container"): plain(one.inputs) for one in found}


@pytest.fixture(scope="module", params=stack_names(REPOSITORY))
def both(request: pytest.FixtureRequest, run: Run, dry_run: bool) -> Both:
    stack = str(request.param)
    docker = render(run, stack, TargetKind.DOCKER, dry_run=dry_run)
    kubernetes = render(run, stack, TargetKind.KUBERNETES, dry_run=dry_run)
    return Both(topology_of(stack), docker, Objects(kubernetes))


def test_every_container_is_there_on_both(both: Both) -> None:
    names = {container.name for container in both.topology.containers()}
    assert set(both.docker_containers) == set(both.objects.containers) == names


def test_images_are_the_same(both: Both) -> None:
    pulled = {one.urn: one.inputs["name"] for one in both.docker.of_type("docker:index/remoteImage:RemoteImage")}
    assert sorted(pulled.values()) == sorted(image.reference for image in both.topology.images)
    for container in both.topology.containers():
        image = container.image
        of_ours = f"{REGISTRY}/{image.repository}@{digest(image)}"
        assert both.objects.containers[container.name]["image"] == (of_ours if image.built else image.reference)


def test_environments_are_the_same(both: Both) -> None:
    for name, docker in both.docker_containers.items():
        there = {one["name"]: one["value"] for one in both.objects.containers[name].get("env", ())}
        assert [f"{key}={value}" for key, value in there.items()] == docker["envs"], name


def test_files_are_the_same_to_the_byte(both: Both) -> None:
    files = both.objects.files
    for name, docker in both.docker_containers.items():
        assert files[name] == {one["file"]: one["content"] for one in docker["uploads"]}, name
    assert any(files.values())


def test_commands_and_users_are_the_same(both: Both) -> None:
    for name, docker in both.docker_containers.items():
        container = both.objects.containers[name]
        assert container.get("command") == docker.get("entrypoints"), name
        assert container.get("args") == docker.get("command"), name
        assert str(container["securityContext"]["runAsUser"]) == docker["user"], name


def test_limits_are_the_same(both: Both) -> None:
    for name, docker in both.docker_containers.items():
        limits = both.objects.containers[name]["resources"]["limits"]
        assert _mebibytes(limits["memory"]) == docker["memory"], name
        assert _cores(limits["cpu"]) == float(docker["cpus"]), name


def _mebibytes(written: str) -> int:
    return int(written[:-2]) * {"Mi": 1, "Gi": 1024}[written[-2:]]


def _cores(written: str) -> float:
    return int(written[:-1]) / 1000 if written.endswith("m") else float(written)


def test_writable_places_are_the_same(both: Both) -> None:
    volumes = {
        volume["name"]: volume
        for template in both.objects.templates.values()
        for volume in template["spec"].get("volumes", ())
    }
    for name, docker in both.docker_containers.items():
        wanted = {
            mount["target"]: mount.get("tmpfsOptions", {}).get("sizeBytes") or mount.get("readOnly", False)
            for mount in docker["mounts"]
        }
        found: dict[str, object] = {}
        for mount in both.objects.containers[name].get("volumeMounts", ()):
            volume = volumes[mount["name"]]
            if "persistentVolumeClaim" in volume:
                found[mount["mountPath"]] = mount.get("readOnly", False)
            elif "emptyDir" in volume:
                assert volume["emptyDir"]["medium"] == "Memory"
                found[mount["mountPath"]] = _mebibytes(volume["emptyDir"]["sizeLimit"]) * 2**20
        assert found == wanted, name


def test_probes_are_the_same(both: Both) -> None:
    asked = _asked_by_the_gateway(both)
    for member in _members(both.topology):
        container = both.objects.containers[member.name]
        docker = both.docker_containers[member.name]
        gate = member.gate if isinstance(member, Service) else member.probe
        if isinstance(member.probe, ExecProbe):
            assert docker["healthcheck"]["tests"] == ["CMD", *member.probe.command]
        match gate:
            case ExecProbe(command=command):
                assert container["readinessProbe"]["exec"]["command"] == list(command)
            case HttpProbe():
                get = container["readinessProbe"]["httpGet"]
                url = f"http://{member.name}:{get['port']}{get['path']}"
                # The gateway is asked by nobody but itself, and of the runner agents must not know.
                own = {"gateway": "http://gateway:8090/ready", "incident-runner": "http://incident-runner:8070/ready"}
                assert url == asked.get(member.name, own.get(member.name))
                assert ("incident-runner" in asked) is False
                assert get["httpHeaders"] == [{"name": "Host", "value": f"{member.name}:{get['port']}"}]
            case None:
                assert "readinessProbe" not in container
        if member.probe:
            startup = container["startupProbe"]
            assert startup["failureThreshold"] * startup["periodSeconds"] == member.probe.deadline_seconds


def _asked_by_the_gateway(both: Both) -> dict[str, str]:
    document = yaml.safe_load(both.objects.files["gateway"]["/etc/gateway/gateway.yaml"])
    return {probe["service"]: probe["url"] for probe in document["probes"] if probe["url"]}


def _members(topology: Topology) -> list[Service | Sidecar]:
    return [member for service in topology.services for member in (service, *service.sidecars)]


def test_ports_are_the_same_and_published_at_the_same_addresses(both: Both) -> None:
    for member in _members(both.topology):
        numbers = {port.name: port.number for port in member.ports}
        container = both.objects.containers[member.name]
        assert {one["name"]: one["containerPort"] for one in container.get("ports", ())} == numbers
        if member.ports:
            service = both.objects.one("Service", member.name)
            assert {one["name"]: one["port"] for one in service["spec"]["ports"]} == numbers
            # The name leads to the pod that has the container.
            labels = both.objects.templates[pod_of(both.topology, member.name)]["metadata"]["labels"]
            assert service["spec"]["selector"].items() <= labels.items()
    docker, kubernetes = both.docker.outputs["deployment"], both.objects.recorder.outputs["deployment"]
    assert docker.external == kubernetes.external


def test_a_service_stops_in_the_time_that_the_topology_gives_it(both: Both) -> None:
    for name, template in both.objects.templates.items():
        containers = template["spec"]["containers"]
        grace = max(both.docker_containers[one["name"]]["destroyGraceSeconds"] for one in containers)
        waits = [one["lifecycle"]["preStop"]["sleep"]["seconds"] for one in containers if "lifecycle" in one]
        assert template["spec"]["terminationGracePeriodSeconds"] == grace + max(waits, default=0), name


def test_network_policies_leave_exactly_the_connections_of_the_topology_open(both: Both) -> None:
    drawn: set[Way] = {
        (pod_of(both.topology, container.name), pod_of(both.topology, to.service), both.topology.port(to).number)
        for container in both.topology.containers()
        for to in container.connects
    }
    assert allowed_ways(both.objects) == drawn
    assert not any(CLIENT in template["metadata"]["labels"] for template in both.objects.templates.values())


def test_a_task_runs_before_what_needs_it_on_both(both: Both) -> None:
    for recorder, endings in (
        (both.docker, ("-container",)),
        (both.objects.recorder, ("-deployment", "-statefulset", "-job")),
    ):
        urns = {
            one.name.removesuffix(end): one
            for one in recorder.registrations
            for end in endings
            if one.name.endswith(end)
        }
        for workload in both.topology.workloads:
            for need in workload.needs:
                assert urns[need].urn in urns[workload.name].dependencies, f"{workload.name} needs {need}"


def test_every_resource_names_its_provider(both: Both) -> None:
    """The stacks switch the default ones off, which would follow whatever context or engine is the current one."""
    for recorder, package in ((both.docker, "docker"), (both.objects.recorder, "kubernetes")):
        provider = recorder.named(package)
        resources = [one for one in recorder.registrations if one.type.startswith(f"{package}:")]
        assert resources
        assert all(one.provider.startswith(provider.urn) for one in resources)


@pytest.mark.parametrize("stack", stack_names(REPOSITORY))
def test_every_stack_switches_the_default_providers_off(stack: str) -> None:
    document = yaml.safe_load((REPOSITORY / f"Pulumi.{stack}.yaml").read_text())
    assert document["config"]["pulumi:disable-default-providers"] == ["docker", "kubernetes"]
