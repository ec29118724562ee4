"""The demo itself on a cluster: every stack in its namespace, replicas, the autoscaler, the ingress, the outputs."""

import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pulumi
import pytest
import yaml
from cluster_objects import Objects, allowed_ways, deploy, on_a_cluster
from pulumi_recorder import Recorder
from rendered_stacks import render, secrets_of

from infra.config import TargetKind, load_stack_config, stack_names
from infra.outputs import outputs
from infra.paths import REPOSITORY
from infra.program import make_topology
from infra.targets.kubernetes.lifetime import EXPIRES
from infra.targets.kubernetes.namespace import lifetime_annotations
from infra.targets.kubernetes.naming import TIME_TO_LIVE

Run = Callable[[str, Callable[[], dict[str, Any]]], Recorder]
_FRONTS = {"grafana": 3000, "traces": 3200, "loki": 3100, "prometheus": 9090}


@pytest.fixture(scope="module", params=stack_names(REPOSITORY))
def every(request: pytest.FixtureRequest, run: Run, dry_run: bool) -> tuple[str, Objects]:
    stack = str(request.param)
    return stack, Objects(render(run, stack, TargetKind.KUBERNETES, dry_run=dry_run))


def rendered(run: Run, stack: str, **changes: Any) -> Objects:
    """A stack with another configuration, and its outputs."""

    def program() -> dict[str, Any]:
        config = on_a_cluster(load_stack_config(REPOSITORY, stack), **changes)
        topology = make_topology(stack, config)
        secrets = secrets_of(topology)
        return outputs(config, topology, deploy(stack, config, topology, secrets), secrets)

    return Objects(run(stack, program))


def test_no_object_is_outside_of_the_namespace_but_the_namespace_itself(every: tuple[str, Objects]) -> None:
    stack, objects = every
    outside = [one["kind"] for one in objects.all if one["metadata"].get("namespace") != f"compass-{stack}"]
    assert outside == ["Namespace"]
    assert set(objects.of_kind("Namespace")) == {f"compass-{stack}"}


def test_only_kinds_are_used_that_both_plugins_serve(every: tuple[str, Objects]) -> None:
    from kubernetes_provider.kinds import BY_TOKEN  # noqa: PLC0415 # one test's

    used = {one.type for one in every[1].recorder.registrations if one.type.startswith("kubernetes:")}
    assert used <= set(BY_TOKEN)


def test_no_service_leaves_the_cluster(every: tuple[str, Objects]) -> None:
    assert {one["spec"]["type"] for one in every[1].of_kind("Service").values()} == {"ClusterIP"}


def test_no_secret_is_in_an_environment_an_argument_or_a_config_map(every: tuple[str, Objects]) -> None:
    _, objects = every
    for one in objects.all:
        if one["kind"] != "Secret":
            assert "value-of-" not in str(one), f"{one['kind']} {one['metadata']['name']}"


def test_secrets_reach_only_the_pods_that_hold_them(every: tuple[str, Objects]) -> None:
    held = {name: set(one["data"]) for name, one in every[1].of_kind("Secret").items()}
    assert held["sample-app-secrets"] == {
        "payment-app-password",
        "payment-app-password-2",
        "incident-presenter-token",
    }
    assert held["gateway-secrets"] == {"gateway-token", "gateway-operators-token"}
    assert held["postgres-secrets"] == {"postgres-password"}
    assert {"prometheus-secrets", "loki-secrets", "traffic-secrets"}.isdisjoint(held)


def test_pods_that_talk_to_nobody_may_not_even_ask_for_names(every: tuple[str, Objects]) -> None:
    policies = every[1].of_kind("NetworkPolicy")
    assert "egress" not in policies["loki"]["spec"]
    dns = policies["prometheus"]["spec"]["egress"][0]
    assert dns["to"] == [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}}}]
    assert {(one["port"], one["protocol"]) for one in dns["ports"]} == {(53, "UDP"), (53, "TCP")}
    assert policies["default-deny"]["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


def test_an_agents_pod_reaches_the_published_ports_that_it_may_know_of_and_nothing_else(
    every: tuple[str, Objects],
) -> None:
    _, objects = every
    label = {"matchLabels": {"compass-demo/client": "true"}}
    policies = objects.of_kind("NetworkPolicy")
    assert policies["clients"]["spec"]["podSelector"] == label
    opened = {
        (name, port["port"])
        for name, one in policies.items()
        for rule in one["spec"].get("ingress", ())
        if {"podSelector": label} in rule.get("from", ())
        for port in rule["ports"]
    }
    assert opened == {
        *(("gateway", number) for number in _FRONTS.values()),
        ("collector", 4317),
        ("collector", 4318),
        ("sample-app", 8000),
        ("postgres", 5432),
    }


def test_the_traffic_is_never_sent_twice(every: tuple[str, Objects]) -> None:
    assert every[1].one("Deployment", "traffic")["spec"]["strategy"] == {"type": "Recreate"}


def test_two_demos_fit_the_labs_two_cores_with_everything_updated_at_once(run: Run, dry_run: bool) -> None:
    objects = Objects(render(run, "lab", TargetKind.KUBERNETES, dry_run=dry_run))
    hard = objects.one("ResourceQuota", "demo")["spec"]["hard"]
    # The name service has 50m.
    assert 2 * int(hard["requests.cpu"].removesuffix("m")) + 50 < 2000


def test_the_gateway_is_open_when_it_serves_itself(every: tuple[str, Objects]) -> None:
    get = every[1].containers["gateway"]["readinessProbe"]["httpGet"]
    assert (get["path"], get["port"]) == ("/ready", 8090)


@pytest.fixture(scope="module")
def several(run: Run) -> Objects:
    return rendered(run, "airgap", sample_app_replicas=3, gateway_replicas=2)


def test_replicas_are_those_of_the_configuration_and_know_each_other(several: Objects) -> None:
    replicas = {name: one["spec"].get("replicas") for name, one in several.of_kind("Deployment").items()}
    assert replicas == {"sample-app": 3, "gateway": 2, "collector": 1, "traffic": 1, "postgres-exporter": 1}
    for name in ("sample-app", "gateway"):
        own, peers = several.one("Service", name)["spec"], several.one("Service", f"{name}-peers")["spec"]
        assert (peers["clusterIP"], peers["publishNotReadyAddresses"]) == ("None", True)
        assert (peers["selector"], peers["ports"]) == (own["selector"], own["ports"])


def test_replicas_may_talk_to_their_own_kind(several: Objects) -> None:
    ways = allowed_ways(several)
    assert {("sample-app", "sample-app", 8001), ("gateway", "gateway", 8090)} <= ways
    assert ("loki", "loki", 3100) not in ways


def test_replicas_drain_by_themselves_and_are_spread(several: Objects) -> None:
    for name in ("sample-app", "gateway"):
        assert "lifecycle" not in several.containers[name]
        (spread,) = several.templates[name]["spec"]["topologySpreadConstraints"]
        assert spread["whenUnsatisfiable"] == "ScheduleAnyway"
    assert "lifecycle" in several.containers["collector"]
    assert "topologySpreadConstraints" not in several.templates["collector"]["spec"]


def test_one_replica_has_no_peers(run: Run, dry_run: bool) -> None:
    objects = Objects(render(run, "airgap", TargetKind.KUBERNETES, dry_run=dry_run))
    assert {"sample-app-peers", "gateway-peers"}.isdisjoint(objects.of_kind("Service"))


def test_an_autoscaler_owns_the_number_of_pods(run: Run, dry_run: bool) -> None:
    objects = rendered(run, "airgap", sample_app_replicas=2, sample_app_max_replicas=4)
    ((name, autoscaler),) = objects.of_kind("HorizontalPodAutoscaler").items()
    spec = autoscaler["spec"]
    assert (name, spec["minReplicas"], spec["maxReplicas"]) == ("sample-app", 2, 4)
    assert spec["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": "Deployment", "name": "sample-app"}
    assert spec["metrics"][0]["resource"]["target"] == {"type": "AverageValue", "averageValue": "600m"}
    assert "replicas" not in objects.one("Deployment", "sample-app")["spec"]
    # The quota holds them all, and the one above the number during an update.
    without = Objects(render(run, "airgap", TargetKind.KUBERNETES, dry_run=dry_run))
    pods = [int(one.one("ResourceQuota", "demo")["spec"]["hard"]["pods"]) for one in (without, objects)]
    assert pods[1] - pods[0] == 3


@pytest.fixture(scope="module")
def edge(run: Run) -> Objects:
    changes = {"ingress_host": "demo.example.com", "ingress_class": "nginx", "ingress_issuer": "letsencrypt"}
    return rendered(run, "cloud", **changes)


def test_the_ingress_has_tls_and_leads_to_the_gateway_alone(edge: Objects) -> None:
    ((_, ingress),) = edge.of_kind("Ingress").items()
    hosts = {f"{front}.demo.example.com": port for front, port in _FRONTS.items()}
    assert ingress["spec"]["ingressClassName"] == "nginx"
    assert ingress["metadata"]["annotations"]["cert-manager.io/cluster-issuer"] == "letsencrypt"
    assert [sorted(one["hosts"]) for one in ingress["spec"]["tls"]] == [sorted(hosts)]
    assert {
        rule["host"]: path["backend"]["service"] for rule in ingress["spec"]["rules"] for path in rule["http"]["paths"]
    } == {host: {"name": "gateway", "port": {"number": port}} for host, port in hosts.items()}


def test_with_an_ingress_the_gateways_fronts_are_open_and_nothing_else_is(edge: Objects) -> None:
    open_to_all = {
        (name, port["port"])
        for name, one in edge.of_kind("NetworkPolicy").items()
        for rule in one["spec"].get("ingress", ())
        if not rule.get("from")
        for port in rule["ports"]
    }
    assert open_to_all == {*(("gateway", port) for port in _FRONTS.values()), ("certificate-issuer", 8089)}


def test_with_an_ingress_settings_are_https_and_the_gateway_knows_its_names(edge: Objects) -> None:
    values = edge.recorder.outputs
    assert values["GRAFANA_URL"] == "https://grafana.demo.example.com"
    assert values["SAMPLE_APP_URL"] == "http://127.0.0.1:8000"
    assert isinstance(values["TEMPO_URL"], pulumi.Output)
    assert values["inside"]["GRAFANA_URL"] == "http://gateway:3000"
    assert values["network"] == "compass-cloud"
    assert values["topology"]["target"] == "kubernetes"
    assert values["topology"]["services"]["gateway"]["addresses"]["loki"] == "loki.demo.example.com"
    config = yaml.safe_load(edge.files["gateway"]["/etc/gateway/gateway.yaml"])
    assert "*.demo.example.com" in config["browsers"]["allowed_hosts"]
    assert config["browsers"]["login_page"] is True
    shown = {one["name"]: one["value"] for one in config["status_page"]["settings"]}
    assert shown["TEMPO_URL"] == "https://compass:{token}@traces.demo.example.com"
    assert shown["OTLP_HTTP_ENDPOINT"] == "http://127.0.0.1:4318"


def test_without_a_host_there_is_no_ingress_and_no_way_in(every: tuple[str, Objects]) -> None:
    _, objects = every
    assert not objects.of_kind("Ingress")
    rules = [rule for one in objects.of_kind("NetworkPolicy").values() for rule in one["spec"].get("ingress", ())]
    assert all(rule["from"] for rule in rules)


NOW = datetime(2026, 5, 1, 12, 30, tzinfo=UTC)
END = "2026-05-01T16:30:00Z"


def test_the_end_is_counted_once_and_anew_when_the_hours_change_or_it_is_over() -> None:
    config = on_a_cluster(load_stack_config(REPOSITORY, "lab"), time_to_live_hours=4)
    first = lifetime_annotations(config, {}, NOW)
    assert first == {TIME_TO_LIVE: "4", EXPIRES: END}
    assert lifetime_annotations(config, first, NOW + timedelta(hours=3)) == first
    longer = config.model_copy(update={"time_to_live_hours": 10})
    assert lifetime_annotations(longer, first, NOW)[EXPIRES] == "2026-05-01T22:30:00Z"
    assert lifetime_annotations(config, first, NOW + timedelta(hours=5))[EXPIRES] == "2026-05-01T21:30:00Z"
    assert lifetime_annotations(config.model_copy(update={"time_to_live_hours": 0}), first, NOW) == {}


@pytest.mark.processes
def test_a_stack_needs_only_the_library_of_its_own_target(tmp_path: Path) -> None:
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text("contexts: [{name: test, context: {}}]")
    script = """
import sys

from infra.config import DemoConfig
from infra.program import make_target

LIBRARIES = {"docker": "pulumi_docker", "kubernetes": "pulumi_kubernetes"}
for target, own in LIBRARIES.items():
    make_target("x", DemoConfig(target=target, kube_context="test", kubeconfig=sys.argv[1]))
    imported = {library for library in LIBRARIES.values() if library in sys.modules}
    assert imported == {own}, f"{target} imports {imported}"
    for module in [name for name in sys.modules if name.startswith((own, "infra.targets."))]:
        del sys.modules[module]
"""
    subprocess.run([sys.executable, "-c", script, str(kubeconfig)], cwd=REPOSITORY, check=True)
