"""What the Kubernetes target asks the cluster for, in up and in preview, on a small topology that has everything."""

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
from cluster_objects import REGISTRY, Objects, deploy, digest
from cluster_topology import CONFIG, DB, OWN, SCHEMA, SECRETS, SQL, TOPOLOGY, WEB
from pulumi_recorder import Recorder, is_secret

from infra.errors import ImageError
from infra.stack_secrets import StackSecrets
from infra.targets.base import ExternalAddress
from infra.targets.kubernetes.kube import KubeAccess
from infra.targets.kubernetes.target import KubernetesTarget, Plugin
from infra.topology.model import Endpoint, File, Image, Topology

_KUBERNETES = "kubernetes:"

Run = Callable[[str, Callable[[], dict[str, Any]]], Recorder]


def render(run: Run, topology: Topology = TOPOLOGY, secrets: StackSecrets = SECRETS, **changes: Any) -> Objects:
    config = CONFIG.model_copy(update=changes)
    return Objects(run("test", lambda: {"deployment": deploy("test", config, topology, secrets)}))


@pytest.fixture(scope="module")
def rendered(run: Run) -> Objects:
    return render(run)


@pytest.fixture(scope="module")
def with_another_secret(run: Run) -> Objects:
    return render(run, secrets=StackSecrets("abcd1234", {"db-password": "another secret"}))


def test_every_object_is_registered_once_in_the_namespace_that_is_the_only_one_outside(rendered: Objects) -> None:
    found = [(one["kind"], one["metadata"].get("namespace"), one["metadata"]["name"]) for one in rendered.all]
    assert len(found) == len(set(found))
    assert {kind for kind, namespace, _ in found if namespace is None} == {"Namespace"}
    assert {namespace for _, namespace, _ in found} == {None, "compass-test"}
    assert set(rendered.of_kind("StatefulSet")) == {"db"}
    assert set(rendered.of_kind("Deployment")) == {"web"}
    assert set(rendered.of_kind("PersistentVolumeClaim")) == {"data-abcd1234", "logs-abcd1234"}
    assert set(rendered.of_kind("Service")) == {"db", "web"}
    assert set(rendered.of_kind("ServiceAccount")) == set(rendered.templates) == {"db", "schema", "web"}


def test_components_have_the_projects_token_and_register_their_outputs(rendered: Objects) -> None:
    components = [one for one in rendered.recorder.registrations if one.type.startswith("compass:")]
    nouns = {"Demo", "Namespace", "Bounds", "Network", "Service", "Task"}
    assert {one.type for one in components} == {f"compass:demo:{noun}" for noun in nouns}
    assert {one.urn for one in components} <= rendered.recorder.completed_components


def test_children_are_parented_and_prefixed_with_their_component(rendered: Objects) -> None:
    by_urn = {one.urn: one for one in rendered.recorder.registrations}
    volumes = {"data-claim": "db", "logs-claim": "db"}
    for one in rendered.recorder.registrations:
        if one.type.startswith(_KUBERNETES):
            parent = by_urn[one.parent]
            assert one.name.startswith(f"{parent.name}-") or volumes[one.name] == parent.name
            while parent.parent in by_urn:
                parent = by_urn[parent.parent]
            assert parent.name == "demo"


def test_everything_goes_with_its_namespace_and_through_the_one_provider(rendered: Objects) -> None:
    recorder = rendered.recorder
    provider = recorder.named("kubernetes")
    namespace = recorder.named("namespace-object")
    assert provider.version == "1.2.3"
    assert provider.inputs["context"] == provider.inputs["clusterIdentifier"] == "test"
    for one in recorder.registrations:
        if one.type.startswith(_KUBERNETES):
            assert one.provider.startswith(provider.urn)
            assert one.deleted_with == ("" if one is namespace else namespace.urn)
            assert one is namespace or namespace.urn in one.dependencies


def test_needs_names_and_policies_come_before_the_pods(rendered: Objects) -> None:
    recorder = rendered.recorder
    urns = {one.name: one.urn for one in recorder.registrations}
    web, schema, db = (recorder.named(name) for name in ("web-deployment", "schema-job", "db-statefulset"))
    assert urns["db-statefulset"] in schema.dependencies
    assert urns["schema-job"] in web.dependencies
    assert not db.dependencies & {urns["web-deployment"], urns["schema-job"]}
    for one in (web, schema, db):
        name = one.name.rpartition("-")[0]
        before = {f"network-{name}-policy", "network-default-deny-policy", "bounds-limits", f"{name}-account"}
        assert {urns[each] for each in before} <= one.dependencies
    assert {urns["db-secrets"], urns["db-config"], urns["data-claim"]} <= db.dependencies


def test_secrets_travel_as_marked_files_and_nowhere_else(rendered: Objects) -> None:
    assert is_secret(rendered.recorder.named("db-secrets").inputs["data"])
    assert rendered.files["db"] == {"/run/secrets/db": "very secret"}
    (volume,) = [one for one in rendered.templates["db"]["spec"]["volumes"] if one["name"] == "secrets"]
    assert volume["secret"] == {"secretName": "db-secrets", "defaultMode": 0o440}
    for one in rendered.recorder.registrations:
        plain = str({key: value for key, value in one.inputs.items() if not is_secret(value)})
        assert "very secret" not in plain
        assert "dmVyeSBzZWNyZXQ=" not in plain


def test_everything_that_the_topology_says_of_a_container_is_rendered(rendered: Objects) -> None:
    db = rendered.containers["db"]
    assert db["image"] == "example/app:1.2.3"
    assert db["args"] == ["serve", "--fast"]
    assert "command" not in db
    assert db["resources"] == {
        "limits": {"cpu": "1500m", "memory": "128Mi"},
        "requests": {"cpu": "75m", "memory": "64Mi"},
    }
    assert db["readinessProbe"]["exec"] == db["startupProbe"]["exec"] == {"command": ["ready", "-q"]}
    assert db["startupProbe"]["failureThreshold"] == 33
    assert [mount["mountPath"] for mount in db["volumeMounts"]] == ["/data", "/logs", "/tmp", "/run/secrets/db"]
    assert rendered.templates["db"]["spec"]["terminationGracePeriodSeconds"] == 10  # the sidecar's is longer
    web = rendered.containers["web"]
    assert web["image"] == f"{REGISTRY}/demo/own@{digest(OWN)}"
    assert web["command"] == ["/bin/web"]
    assert web["env"] == [{"name": "A", "value": "1"}, {"name": "DB", "value": "db:5432"}]
    assert rendered.files["web"] == {"/etc/web.yaml": "a: 1\n"}
    logs = rendered.containers["db-logs"]
    assert logs["volumeMounts"][0] == {"name": "logs", "mountPath": "/var/log/db", "readOnly": True}
    assert not {"readinessProbe", "startupProbe", "livenessProbe", "ports"} & set(logs)


def test_a_services_own_probe_opens_it_and_the_larger_one_gives_it_time(rendered: Objects) -> None:
    web = rendered.containers["web"]
    assert web["readinessProbe"]["httpGet"]["path"] == "/ready"
    assert web["startupProbe"]["failureThreshold"] == 90


def test_liveness_depends_on_nobody_and_spares_what_a_command_asks(rendered: Objects) -> None:
    alive = rendered.containers["web"]["livenessProbe"]
    assert alive["tcpSocket"] == {"port": 80}
    assert alive["periodSeconds"] * alive["failureThreshold"] >= 60
    assert "livenessProbe" not in rendered.containers["db"]


def test_pods_meet_the_restricted_standard_and_write_nowhere_else(rendered: Objects) -> None:
    for template in rendered.templates.values():
        spec = template["spec"]
        assert spec["automountServiceAccountToken"] is spec["enableServiceLinks"] is False
        assert spec["securityContext"]["fsGroup"] == spec["securityContext"]["runAsUser"] > 0
        assert spec["securityContext"]["fsGroupChangePolicy"] == "OnRootMismatch"
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec)
        for container in spec["containers"]:
            security = container["securityContext"]
            assert security["runAsNonRoot"] is security["readOnlyRootFilesystem"] is True
            assert security["allowPrivilegeEscalation"] is security["privileged"] is False
            assert security["capabilities"] == {"drop": ["ALL"]}
            assert security["seccompProfile"] == {"type": "RuntimeDefault"}
            assert security["runAsUser"] > 0
            assert container["terminationMessagePolicy"] == "FallbackToLogsOnError"
    labels = rendered.one("Namespace", "compass-test")["metadata"]["labels"]
    assert {labels[f"pod-security.kubernetes.io/{mode}"] for mode in ("enforce", "audit", "warn")} == {"restricted"}


def test_every_object_and_pod_says_whose_it_is(rendered: Objects) -> None:
    wanted = {
        "app.kubernetes.io/part-of": "compass-demo",
        "app.kubernetes.io/instance": "test",
        "app.kubernetes.io/managed-by": "pulumi",
        "compass-demo/stack": "test",
        "compass-demo/owner": "team-a",
        "compass-demo/cost-center": "4711",
    }
    metadata = [one["metadata"] for one in rendered.all] + [one["metadata"] for one in rendered.templates.values()]
    assert all(wanted.items() <= one["labels"].items() for one in metadata)


def test_selectors_hold_nothing_that_changes(rendered: Objects) -> None:
    for kind in ("Deployment", "StatefulSet"):
        for one in rendered.of_kind(kind).values():
            name = one["metadata"]["name"]
            match = one["spec"]["selector"]["matchLabels"]
            assert match == {"app.kubernetes.io/name": name, "app.kubernetes.io/instance": "test"}


def test_the_namespace_says_which_plugin_made_it_and_when_its_time_is_over(rendered: Objects) -> None:
    annotations = rendered.one("Namespace", "compass-test")["metadata"]["annotations"]
    assert annotations["compass-demo/provider"] == "builtin"
    assert annotations["compass-demo/time-to-live-hours"] == "4"
    assert annotations["compass-demo/expires"].endswith("Z")


def test_an_update_of_a_service_without_volumes_leaves_no_gap(rendered: Objects) -> None:
    spec = rendered.one("Deployment", "web")["spec"]
    assert spec["strategy"] == {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
    assert rendered.containers["web"]["lifecycle"]["preStop"]["sleep"]["seconds"] > 0
    assert spec["template"]["spec"]["terminationGracePeriodSeconds"] > WEB.stop_grace_seconds


def test_a_service_with_volumes_is_one_pod_whose_correction_is_not_held_up(rendered: Objects) -> None:
    spec = rendered.one("StatefulSet", "db")["spec"]
    assert (spec["replicas"], spec["podManagementPolicy"]) == (1, "Parallel")
    claims = [one["persistentVolumeClaim"]["claimName"] for one in spec["template"]["spec"]["volumes"][:2]]
    assert claims == ["data-abcd1234", "logs-abcd1234"]
    size = rendered.one("PersistentVolumeClaim", "logs-abcd1234")["spec"]["resources"]["requests"]["storage"]
    assert size == "2Gi"


def test_a_helper_that_is_not_ready_does_not_take_the_database_away(rendered: Objects) -> None:
    assert rendered.one("Service", "db")["spec"]["publishNotReadyAddresses"] is True
    assert "publishNotReadyAddresses" not in rendered.one("Service", "web")["spec"]


def test_a_task_is_a_job_of_its_specification(run: Run, rendered: Objects, with_another_secret: Objects) -> None:
    ((name, job),) = rendered.of_kind("Job").items()
    assert name.startswith("schema-")
    assert job["spec"]["activeDeadlineSeconds"] == 77
    assert job["spec"]["template"]["spec"]["restartPolicy"] == "Never"
    again = render(run)
    assert set(again.of_kind("Job")) == {name}
    with_other_limits = render(run, Topology(workloads=(DB, dataclasses.replace(SCHEMA, cpus=0.5), WEB)))
    for changed in (with_other_limits, with_another_secret):
        assert set(changed.of_kind("Job")) != {name}


def test_the_job_of_another_specification_goes_before_the_new_one_comes(rendered: Objects) -> None:
    assert [one.name for one in rendered.recorder.registrations if one.delete_before_replace] == ["schema-job"]


def test_a_change_of_a_file_or_a_secret_rolls_its_own_pods_and_no_others(
    run: Run, rendered: Objects, with_another_secret: Objects
) -> None:
    file = dataclasses.replace(WEB, files=(File(path="/etc/web.yaml", content="a: 2\n"),))
    changed = render(run, Topology(workloads=(DB, SCHEMA, file))).templates
    assert changed["web"] != rendered.templates["web"]
    assert changed["db"] == rendered.templates["db"]
    secret = with_another_secret.templates
    assert secret["db"] != rendered.templates["db"]
    assert secret["web"] == rendered.templates["web"]


def test_data_made_with_other_secrets_is_another_claim(run: Run) -> None:
    other = render(run, secrets=StackSecrets("ffff0000", SECRETS.values))
    assert set(other.of_kind("PersistentVolumeClaim")) == {"data-ffff0000", "logs-ffff0000"}


def test_one_pod_of_each_service_may_be_evicted_at_a_time(rendered: Objects) -> None:
    budgets = rendered.of_kind("PodDisruptionBudget")
    assert set(budgets) == {"db", "web"}
    for one in budgets.values():
        assert (one["spec"]["maxUnavailable"], one["spec"]["unhealthyPodEvictionPolicy"]) == (1, "AlwaysAllow")


def test_the_quota_holds_all_pods_with_those_of_an_update_and_a_little_more(rendered: Objects) -> None:
    hard = rendered.one("ResourceQuota", "demo")["spec"]["hard"]
    # db 1, schema 1, web 1 and one more while it is updated, and two of a person.
    assert hard["pods"] == "6"
    assert hard["limits.memory"] == f"{128 + 32 + 64 + 2 * 64 + 2 * 128}Mi"
    assert hard["limits.cpu"] == "6"
    assert hard["requests.storage"] == f"{2 * (10 + 2048)}Mi"
    assert (hard["services.nodeports"], hard["services.loadbalancers"]) == ("0", "0")
    (limits,) = rendered.one("LimitRange", "demo")["spec"]["limits"]
    assert limits["max"] == {"cpu": "1500m", "memory": "128Mi"}


def test_claims_name_a_class_only_if_one_is_configured(run: Run, rendered: Objects) -> None:
    assert "storageClassName" not in rendered.one("PersistentVolumeClaim", "data-abcd1234")["spec"]
    chosen = render(run, storage_class="fast").one("PersistentVolumeClaim", "data-abcd1234")
    assert chosen["spec"]["storageClassName"] == "fast"


def test_without_an_ingress_people_use_the_tunnels_addresses(rendered: Objects) -> None:
    deployment = rendered.recorder.outputs["deployment"]
    assert deployment.external == {
        SQL: ExternalAddress("127.0.0.1", 15432),
        Endpoint("web", "http"): ExternalAddress("127.0.0.1", 18080),
    }
    assert deployment.inside == "compass-test"
    assert not rendered.of_kind("Ingress")


def test_a_preview_shows_images_that_are_not_pushed_and_an_update_does_not_start(run: Run, dry_run: bool) -> None:
    def missing(_: Topology) -> dict[Image, str]:
        raise ImageError("not pushed")

    def program() -> dict[str, Any]:
        target = KubernetesTarget(
            "test",
            CONFIG,
            KubeAccess(None, "test"),
            digests=missing,
            plugin=Plugin(version="1.2.3", kind="builtin"),
        )
        if dry_run:
            target.deploy(TOPOLOGY, SECRETS)
        else:
            with pytest.raises(ImageError, match="not pushed"):
                target.deploy(TOPOLOGY, SECRETS)
        return {}

    shown = Objects(run("test", program))
    if dry_run:
        assert shown.containers["web"]["image"] == f"{REGISTRY}/demo/own:v4"
    else:
        assert not shown.all
