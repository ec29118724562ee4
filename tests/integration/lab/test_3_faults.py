"""What goes wrong with clusters: one clear sentence, a non-zero exit, and the next command continues."""

import subprocess
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
import yaml
from eventually import eventually
from live_cluster import annotate, client, kubeconfig_of, pods, what_is_left, without
from live_stack import Stack, make_stack

from cluster.layout import REGISTRY
from infra.paths import LAB_CONTEXT

pytestmark = pytest.mark.integration

SPACE = "/api/v1/namespaces/compass-lfault"


@pytest.fixture(scope="module")
def fragile(tmp_path_factory: pytest.TempPathFactory) -> Generator[Stack]:
    """A small stack that is broken again and again."""
    one = make_stack(tmp_path_factory.mktemp("fragile"), "lfault", 21000, "lab", seedPayments=10000)
    one.demo("destroy", one.name)
    yield one
    one.demo("destroy", one.name)


@pytest.fixture
def running(fragile: Stack) -> Stack:
    """The same, complete."""
    fragile.succeed("up", fragile.name)
    return fragile


def sentence(result: "subprocess.CompletedProcess[str]") -> str:
    assert result.returncode == 1, result.stdout + result.stderr
    assert "Traceback" not in result.stderr
    return result.stderr[result.stderr.index("demo: ") :]


def test_a_stack_that_names_no_context_touches_none(fragile: Stack) -> None:
    fragile.configure(kubeContext="")
    try:
        assert "compass-demo:kubeContext is not set" in sentence(fragile.demo("up", fragile.name))
    finally:
        fragile.configure(kubeContext=LAB_CONTEXT)


def test_a_context_that_is_not_there_is_refused_with_the_known_ones(
    fragile: Stack, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    other: dict[str, Any] = {"contexts": [{"name": "production", "context": {}}], "current-context": "production"}
    (tmp_path / "config").write_text(yaml.safe_dump(other))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
    fragile.configure(kubeContext="staging")
    try:
        told = sentence(fragile.demo("up", fragile.name))
        assert "There is no context staging in" in told
        assert "known contexts: production" in told
    finally:
        fragile.configure(kubeContext=LAB_CONTEXT)


def test_no_cluster_is_one_sentence_that_says_how_to_get_one(fragile: Stack, tmp_path: Path) -> None:
    document = yaml.safe_load(kubeconfig_of().read_text())
    document["clusters"][0]["cluster"]["server"] = "https://127.0.0.1:9"
    (tmp_path / "config").write_text(yaml.safe_dump(document))
    fragile.configure(kubeconfig=str(tmp_path / "config"))
    try:
        told = sentence(fragile.demo("up", fragile.name))
        assert f"The API server of the context {LAB_CONTEXT} does not answer" in told
        assert "./demo cluster up" in told
    finally:
        fragile.configure(kubeconfig=None)


def limited_user(tmp_path: Path, verbs: list[str]) -> Path:
    """A kubeconfig of a user who may do these things with everything in the default namespace's cluster."""
    rules = [{"apiGroups": ["*"], "resources": ["*"], "verbs": verbs}]
    meta = {"name": "lab-limited"}
    for path, body in (
        ("/apis/rbac.authorization.k8s.io/v1/clusterroles", {"kind": "ClusterRole", "rules": rules}),
        (
            "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
            {
                "kind": "ClusterRoleBinding",
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": meta["name"]},
                "subjects": [{"kind": "ServiceAccount", "name": "lab-limited", "namespace": "default"}],
            },
        ),
    ):
        client().delete(f"{path}/{meta['name']}")
        client().create(path, {"apiVersion": "rbac.authorization.k8s.io/v1", "metadata": meta, **body})
    accounts = "/api/v1/namespaces/default/serviceaccounts"
    if client().get(f"{accounts}/lab-limited") is None:
        client().create(accounts, {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta})
    request: dict[str, Any] = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    token = client().create(f"{accounts}/lab-limited/token", request)["status"]["token"]
    document = yaml.safe_load(kubeconfig_of().read_text())
    document["users"][0]["user"] = {"token": token}
    file = tmp_path / "limited"
    file.write_text(yaml.safe_dump(document))
    return file


def test_missing_rights_are_named_by_verb_and_resource(fragile: Stack, tmp_path: Path) -> None:
    fragile.configure(kubeconfig=str(limited_user(tmp_path, ["get", "list", "create"])))
    try:
        told = sentence(fragile.demo("up", fragile.name))
        assert f"The user of the context {LAB_CONTEXT} lacks rights for the namespace compass-lfault" in told
        assert "patch, delete secrets" in told
        assert "patch, delete deployments.apps" in told
        assert "create pods/portforward" not in told
        assert client().get(SPACE) is None
    finally:
        fragile.configure(kubeconfig=None)


def test_a_namespace_of_somebody_else_is_not_touched(fragile: Stack) -> None:
    client().create(
        "/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "compass-lfault"}}
    )
    try:
        assert "exists and is not the demo's; choose another one with" in sentence(fragile.demo("up", fragile.name))
        fragile.succeed("destroy", fragile.name)
        assert client().get(SPACE) is not None, "destroy removes what is the demo's"
    finally:
        client().delete(SPACE)
        eventually(lambda: client().get(SPACE) is None, seconds=30)


def test_a_quota_that_is_too_small_says_what_is_missing(running: Stack) -> None:
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "team"},
        "spec": {"hard": {"limits.memory": "100Mi"}},
    }
    client().create(f"{SPACE}/resourcequotas", quota)
    try:
        told = sentence(running.demo("up", running.name))
        assert "The quota team of the namespace compass-lfault is too small for the demo" in told
        assert "of limits.memory (100 MiB allowed" in told
    finally:
        client().delete(f"{SPACE}/resourcequotas/team")
    running.succeed("up", running.name)


def test_a_storage_class_that_is_not_there_is_named(fragile: Stack) -> None:
    fragile.configure(storageClass="fast")
    try:
        told = sentence(fragile.demo("up", fragile.name))
        assert "no storage class fast (compass-demo:storageClass); there are lab" in told
    finally:
        fragile.configure(storageClass=None)


@pytest.mark.thorough
def test_a_claim_that_is_not_bound_is_named_with_the_reason(fragile: Stack) -> None:
    fragile.demo("destroy", fragile.name)
    classes = "/apis/storage.k8s.io/v1/storageclasses"
    nobody = {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": "nobody"},
        "provisioner": "example.com/nobody",
    }
    client().create(classes, nobody)
    fragile.configure(storageClass="nobody")
    started = time.monotonic()
    try:
        told = sentence(fragile.demo("up", fragile.name, timeout=400))
        assert "StatefulSet compass-lfault/postgres is not ready" in told
        assert "the claim postgres-data-" in told
        assert "is not bound" in told
        assert time.monotonic() - started < 200
    finally:
        fragile.configure(storageClass=None)
        client().delete(f"{classes}/nobody")
    fragile.succeed("destroy", fragile.name)
    assert what_is_left(fragile) == []


def test_a_registry_that_does_not_answer_is_one_sentence(fragile: Stack) -> None:
    fragile.configure(imageRegistry="127.0.0.1:9")
    try:
        assert "The registry 127.0.0.1:9 (compass-demo:imageRegistry) does not answer" in sentence(
            fragile.demo("up", fragile.name)
        )
    finally:
        fragile.configure(imageRegistry=REGISTRY)


@pytest.mark.thorough
def test_an_image_that_cannot_be_pulled_is_named_and_the_next_up_continues(fragile: Stack) -> None:
    target = fragile.checkout / "infra" / "targets" / "kubernetes" / "target.py"
    good = target.read_text()
    # As if the registry had lost the image after its digest was asked for.
    changed = good.replace("@{digests[image]}", "@sha256:" + "0" * 64)
    assert changed != good
    target.write_text(changed)
    started = time.monotonic()
    try:
        told = sentence(fragile.demo("up", fragile.name, timeout=500))
        assert f"{REGISTRY}/compass-demo/" in told
        assert "pull" in told
        assert "not found" in told
        assert time.monotonic() - started < 180
    finally:
        target.write_text(good)
    fragile.succeed("up", fragile.name)
    assert fragile.json("status", fragile.name)["ready"]


def test_a_pod_that_crashes_shows_its_last_lines_and_the_next_up_continues(running: Stack) -> None:
    config = running.checkout / "observability" / "loki" / "loki.yaml"
    good = config.read_text()
    config.write_text(good + "\nno_such_block: {}\n")
    started = time.monotonic()
    try:
        told = sentence(running.demo("up", running.name))
        assert "loki" in told
        assert "no_such_block" in told
        assert time.monotonic() - started < 120
        status = {one["name"]: one for one in running_status(running)["services"]}
        assert "crashes with exit code" in status["loki"]["state"]
    finally:
        config.write_text(good)
    running.succeed("up", running.name)
    assert running.json("status", running.name)["ready"]


def running_status(stack: Stack) -> dict[str, Any]:
    return dict(yaml.safe_load(stack.demo("status", stack.name, "--json").stdout))


@pytest.mark.timeout(300)
@pytest.mark.parametrize("seconds", [pytest.param(2.0, marks=pytest.mark.thorough), 12.0])
def test_the_api_server_gone_in_the_middle_of_up(fragile: Stack, seconds: float) -> None:
    fragile.succeed("destroy", fragile.name)
    running = fragile.start("up", fragile.name)
    eventually(lambda: client().get(SPACE), seconds=60)
    time.sleep(seconds)  # at any moment must do; these are spread over the run
    with without("apiserver"):
        output, _ = running.communicate(timeout=240)
        assert running.returncode == 1, output
        assert "API server" in output
        assert "Traceback" not in output
        told = sentence(fragile.demo("status", fragile.name))
        assert f"The API server of the context {LAB_CONTEXT} does not answer" in told
        assert "does not answer" in sentence(fragile.demo("destroy", fragile.name))
    fragile.succeed("up", fragile.name)
    assert fragile.json("status", fragile.name)["ready"]
    assert fragile.json("up", fragile.name)["changes"] == {}


@pytest.mark.thorough
def test_a_kubelet_that_stopped_is_told_of_its_pods(running: Stack) -> None:
    with without("kubelet"):
        told = eventually(lambda: _silent(running), seconds=90, poll=1)
        assert "its node" in told
        assert "is silent" in told
    eventually(lambda: running.demo("status", running.name).returncode == 0, seconds=60)


def _silent(stack: Stack) -> str:
    states = [str(one["state"]) for one in running_status(stack)["services"]]
    return next((state for state in states if "is silent" in state), "")


@pytest.mark.thorough
def test_a_stack_is_destroyed_while_its_node_is_silent(running: Stack) -> None:
    with without("kubelet"):
        eventually(lambda: _silent(running), seconds=90, poll=1)
        running.succeed("destroy", running.name)
        assert client().get(SPACE) is None


@pytest.mark.parametrize("seconds", [pytest.param(1.0, marks=pytest.mark.thorough), 8.0])
def test_pulumi_killed_in_the_middle_of_up_and_then_destroyed(fragile: Stack, seconds: float) -> None:
    running = fragile.start("up", fragile.name)
    eventually(lambda: client().get(SPACE), seconds=60)
    time.sleep(seconds)
    running.kill()
    running.communicate(timeout=60)
    fragile.succeed("destroy", fragile.name)
    assert what_is_left(fragile) == []


def test_plain_pulumi_brings_the_stack_up_and_destroys_it(fragile: Stack) -> None:
    for command in (("stack", "init"), ("up", "--yes", "--skip-preview"), ("preview", "--expect-no-changes")):
        result = fragile.pulumi(*command)
        assert result.returncode == 0, result.stdout + result.stderr
    assert fragile.json("status", fragile.name)["ready"]
    assert fragile.json("up", fragile.name)["changes"] == {}
    result = fragile.pulumi("destroy", "--yes", "--skip-preview")
    assert result.returncode == 0, result.stdout + result.stderr
    assert what_is_left(fragile) == []
    fragile.succeed("destroy", fragile.name)


def test_a_stack_that_has_outlived_its_time_says_so_and_is_reaped(fragile: Stack) -> None:
    fragile.configure(timeToLiveHours=1)
    fragile.succeed("up", fragile.name)
    try:
        assert fragile.json("status", fragile.name)["remarks"][1:] == []
        # As time would do it.
        annotate(fragile.namespace, "compass-demo/expires", "2020-01-01T00:00:00Z")
        assert "was over at 2020-01-01 00:00 UTC" in " ".join(fragile.json("status", fragile.name)["remarks"])
        dry = fragile.succeed("reap", "--context", LAB_CONTEXT, "--dry-run")
        assert "compass-lfault" in dry.stdout + dry.stderr
        assert client().get(SPACE) is not None
        fragile.succeed("reap", "--context", LAB_CONTEXT, "--yes")
        eventually(lambda: client().get(SPACE) is None, seconds=90)
    finally:
        fragile.configure(timeToLiveHours=None)
        fragile.succeed("destroy", fragile.name)


@pytest.mark.thorough
def test_two_stacks_stand_side_by_side(fragile: Stack, tmp_path: Path) -> None:
    other = make_stack(tmp_path, "lother", 22000, "lab", seedPayments=10000)
    try:
        fragile.succeed("up", fragile.name)
        other.succeed("up", other.name)
        assert fragile.json("status", fragile.name)["ready"]
        assert other.json("status", other.name)["ready"]
        assert {pod["metadata"]["namespace"] for pod in pods(other)} == {"compass-lother"}
        other.succeed("destroy", other.name)
        assert what_is_left(other) == []
        assert fragile.json("status", fragile.name)["ready"]
    finally:
        other.demo("destroy", other.name)
