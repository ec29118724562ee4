"""What goes wrong with clusters: one clear sentence, a non-zero exit, and the next command continues."""

import time
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml
from eventually import eventually
from live_cluster import annotate, client, limited_user, pods, what_is_left, without
from live_stack import Stack, make_stack, sentence

from cluster.layout import REGISTRY
from infra.config import load_stack_config
from infra.paths import LAB_CONTEXT
from infra.targets.kubernetes.rights import rights_of_a_stack

pytestmark = [pytest.mark.integration, pytest.mark.long]

SPACE = "/api/v1/namespaces/compass-lfault"


@pytest.fixture
def running(fragile: Stack) -> Stack:
    """The same, complete."""
    fragile.succeed("up", fragile.name)
    return fragile


def test_the_rights_that_are_asked_for_are_enough(fragile: Stack, tmp_path: Path) -> None:
    rights = rights_of_a_stack(load_stack_config(fragile.checkout, fragile.name))
    rules = [{"apiGroups": [one.group], "resources": [one.path], "verbs": [one.verb]} for one in rights]
    fragile.configure(kubeconfig=str(limited_user(tmp_path, rules)))
    try:
        fragile.succeed("up", fragile.name)
        assert fragile.json("status", fragile.name)["ready"]
        assert fragile.json("up", fragile.name)["changes"] == {}
        assert fragile.succeed("logs", "sample-app", "--stack", fragile.name, "-n", "5").stdout
        with fragile.tunnel():
            assert requests.get(f"{fragile.settings['SAMPLE_APP_URL']}/health", timeout=30).status_code == 200
        fragile.succeed("destroy", fragile.name)
        assert what_is_left(fragile) == []
    finally:
        fragile.configure(kubeconfig=None)


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
        assert time.monotonic() - started < 180, "it waits no longer than for what may still come"
        status = {one["name"]: one for one in running_status(running)["services"]}
        assert "crashes with exit code" in status["loki"]["state"]
    finally:
        config.write_text(good)
    running.succeed("up", running.name)
    assert running.json("status", running.name)["ready"]


def running_status(stack: Stack) -> dict[str, Any]:
    return dict(yaml.safe_load(stack.demo("status", stack.name, "--json").stdout))


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
