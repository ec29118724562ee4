"""The provider waits for workloads on the lab cluster, and says why when they do not become ready."""

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from provider_client import Plugin, Refused, running_plugin

from kubernetes_provider.paths import Json, Object

pytestmark = [pytest.mark.kubernetes, pytest.mark.timeout(300)]

Make = Callable[..., Object]

MOUNT: Object = {"name": "corefile", "mountPath": "/etc/coredns"}


def workload(make: Make, kind: str, name: str, container: Object, **spec: Json) -> Object:
    labels = {"app": name}
    pod = {
        "terminationGracePeriodSeconds": 1,
        "automountServiceAccountToken": False,
        "containers": [{"name": "main", "imagePullPolicy": "Never", "volumeMounts": [MOUNT], **container}],
        "volumes": [{"name": "corefile", "configMap": {"name": "corefile", "optional": True}}],
        **spec.pop("pod", {}),
    }
    whole: Object = {"template": {"metadata": {"labels": labels}, "spec": pod}, **spec}
    if kind != "Job":
        whole["selector"] = {"matchLabels": labels}
    return make(name, spec=whole)


def running(image: str, **more: Json) -> Object:
    return {"image": image, "args": ["-conf", "/etc/coredns/Corefile"], **more}


@pytest.fixture(scope="module", autouse=True)
def corefile(plugin: Plugin, make: Make) -> None:
    """What the DNS server that stands in for a program needs to keep running."""
    plugin.create("ConfigMap", make("corefile", data={"Corefile": ".:5353 {\n    errors\n}\n"}))


def failure(plugin: Plugin, kind: str, inputs: Object, *, timeout: float = 60) -> Refused:
    with pytest.raises(Refused) as refused:
        plugin.create(kind, inputs, timeout=timeout)
    return refused.value


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet"])
def test_a_workload_is_ready_when_its_pods_are_new_and_available(
    plugin: Plugin, make: Make, image: str, kind: str
) -> None:
    name = f"ready-{kind.lower()}"
    inputs = workload(make, kind, name, running(image), replicas=1)
    identity, outputs = plugin.create(kind, inputs)
    assert outputs["status"]["availableReplicas"] == 1
    changed = workload(make, kind, name, running(image, env=[{"name": "A", "value": "1"}]), replicas=2)
    outputs = plugin.update(kind, identity, outputs, changed)
    assert outputs["status"]["updatedReplicas"] == 2
    plugin.delete(kind, identity, outputs)


def test_a_job_is_ready_when_it_is_complete(plugin: Plugin, make: Make, image: str) -> None:
    job = workload(make, "Job", "complete", {"image": image, "args": ["-version"]}, pod={"restartPolicy": "Never"})
    identity, outputs = plugin.create("Job", job)
    assert outputs["status"]["succeeded"] == 1
    plugin.delete("Job", identity, outputs)


def test_a_job_that_fails_shows_its_last_lines(plugin: Plugin, make: Make, image: str) -> None:
    container = {"image": image, "args": ["-conf", "/nowhere/Corefile"]}
    job = workload(make, "Job", "failed", container, pod={"restartPolicy": "Never"}, backoffLimit=0)
    refused = failure(plugin, "Job", job)
    assert "is not ready: BackoffLimitExceeded" in refused.message
    assert "/nowhere/Corefile" in refused.message
    assert refused.partial


@pytest.mark.long
def test_a_crash_loop_ends_early_with_the_last_lines_and_the_next_run_continues(
    plugin: Plugin, make: Make, image: str
) -> None:
    # Without a probe a container counts as ready for the moment that it runs.
    probe = {"tcpSocket": {"port": 5353}, "periodSeconds": 1}
    container = {"image": image, "args": ["-conf", "/nowhere/Corefile"], "readinessProbe": probe}
    broken = workload(make, "Deployment", "crash", container)
    began = time.monotonic()
    refused = failure(plugin, "Deployment", broken, timeout=300)
    assert time.monotonic() - began < 180
    assert "ends again and again (exit code 1, 3 restarts). Its last lines:" in refused.message
    assert "/nowhere/Corefile" in refused.message
    assert refused.partial
    mended = workload(make, "Deployment", "crash", running(image, readinessProbe=probe))
    outputs = plugin.update("Deployment", refused.partial["metadata"]["namespace"] + "/crash", refused.partial, mended)
    assert outputs["status"]["availableReplicas"] == 1


def test_an_image_that_is_not_there_ends_early(plugin: Plugin, make: Make) -> None:
    began = time.monotonic()
    refused = failure(plugin, "Deployment", workload(make, "Deployment", "image", {"image": "nowhere.invalid/x:1"}))
    assert time.monotonic() - began < 30
    assert "the image nowhere.invalid/x:1 of the pod image-" in refused.message
    assert "ErrImageNeverPull" in refused.message


def test_an_image_that_cannot_be_pulled_is_told_at_the_time_out(plugin: Plugin, make: Make) -> None:
    container = {"image": "127.0.0.1:9/x:1", "imagePullPolicy": "Always"}
    refused = failure(plugin, "StatefulSet", workload(make, "StatefulSet", "pull", container), timeout=12)
    assert "is not ready after 12 s: 0 of 1 pods are available; the image 127.0.0.1:9/x:1" in refused.message
    assert "connection refused" in refused.message


def test_a_pod_that_no_node_takes_is_told_with_the_schedulers_words(plugin: Plugin, make: Make, image: str) -> None:
    container = running(image, resources={"requests": {"cpu": "1000"}})
    refused = failure(plugin, "Deployment", workload(make, "Deployment", "large", container), timeout=10)
    assert "no node takes the pod large-" in refused.message
    assert "Insufficient cpu" in refused.message


def test_a_probe_that_fails_is_told_at_the_time_out(plugin: Plugin, make: Make, image: str) -> None:
    probe = {"httpGet": {"path": "/", "port": 9}, "periodSeconds": 1}
    refused = failure(
        plugin, "Deployment", workload(make, "Deployment", "probe", running(image, readinessProbe=probe)), timeout=12
    )
    assert "is not ready: Readiness probe failed" in refused.message


def test_a_quota_that_refuses_pods_is_told(plugin: Plugin, make: Make, image: str) -> None:
    quota = make("none", spec={"hard": {"requests.cpu": "10m"}})
    identity, outputs = plugin.create("ResourceQuota", quota)
    container = running(image, resources={"requests": {"cpu": "100m"}})
    for kind in ("Deployment", "StatefulSet"):
        name = f"quota-{kind.lower()}"
        refused = failure(plugin, kind, workload(make, kind, name, container), timeout=12)
        assert "its pods are refused: the quota none is too small: requests.cpu=100m is asked for" in refused.message
    plugin.delete("ResourceQuota", identity, outputs)


def test_a_claim_waits_for_nobody_where_its_first_consumer_binds_it(plugin: Plugin, make: Make) -> None:
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}}
    identity, outputs = plugin.create("PersistentVolumeClaim", make("late", spec=spec), timeout=5)
    assert outputs["status"]["phase"] == "Pending"
    plugin.delete("PersistentVolumeClaim", identity, outputs)


def test_a_claim_that_nobody_provides_is_told_at_the_time_out(plugin: Plugin, make: Make) -> None:
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}, "storageClassName": "none"}
    refused = failure(plugin, "PersistentVolumeClaim", make("never", spec=spec), timeout=4)
    assert "is not ready after 4 s: it is pending" in refused.message


def test_a_refresh_tells_what_is_not_ready_and_fails_no_more_than_that(plugin: Plugin, make: Make, image: str) -> None:
    late = workload(make, "Deployment", "later", running(image), replicas=0)
    identity, outputs = plugin.create("Deployment", late)
    broken = workload(make, "Deployment", "later", {"image": "nowhere.invalid/x:1"}, replicas=1)
    broken["metadata"]["annotations"] = {"pulumi.com/skipAwait": "true"}
    plugin.update("Deployment", identity, outputs, broken)
    with pytest.raises(Refused) as refused:
        plugin.read("Deployment", identity, late)
    assert "is not ready" in refused.value.message
    assert refused.value.partial
    assert plugin.read("Deployment", identity, broken)[0] == identity


def test_cancelling_ends_the_wait_and_keeps_what_was_made(plugin: Plugin, make: Make) -> None:
    inputs = workload(make, "Deployment", "cancelled", {"image": "nowhere.invalid/x:1", "imagePullPolicy": "Always"})
    timer = threading.Timer(3, plugin.cancel)
    timer.start()
    began = time.monotonic()
    refused = failure(plugin, "Deployment", inputs)
    assert time.monotonic() - began < 20
    assert "cancelled" in refused.message
    assert refused.partial


def test_an_api_server_that_is_away_is_one_sentence(access: tuple[str, str], make: Make, tmp_path: Path) -> None:
    config = yaml.safe_load(Path(access[0]).read_text())
    for cluster in config["clusters"]:
        cluster["cluster"]["server"] = "https://127.0.0.1:9"
    with running_plugin(tmp_path) as plugin:
        plugin.configure(kubeconfig=yaml.safe_dump(config), context=access[1])
        began = time.monotonic()
        refused = failure(plugin, "ConfigMap", make("a", data={}))
        assert f"The API server of the context {access[1]} cannot be reached" in refused.message
        assert time.monotonic() - began < 45
        # Whoever asks next does not wait as long again.
        began = time.monotonic()
        failure(plugin, "ConfigMap", make("b", data={}))
        assert time.monotonic() - began < 5


def test_a_context_that_is_not_in_the_kubeconfig_is_one_sentence(
    access: tuple[str, str], make: Make, tmp_path: Path
) -> None:
    with running_plugin(tmp_path) as plugin:
        plugin.configure(kubeconfig=access[0], context="nowhere")
        assert "The context nowhere of" in failure(plugin, "ConfigMap", make("a", data={})).message
