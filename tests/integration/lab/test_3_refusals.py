"""What is refused before anything is made: one clear sentence, a non-zero exit, and nothing was touched."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from eventually import eventually
from live_cluster import client, kubeconfig_of, limited_user
from live_stack import Stack, sentence

from cluster.layout import REGISTRY
from infra.paths import LAB_CONTEXT

pytestmark = pytest.mark.integration

SPACE = "/api/v1/namespaces/compass-lfault"


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


def test_missing_rights_are_named_by_verb_and_resource(fragile: Stack, tmp_path: Path) -> None:
    rules = [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["get", "list", "watch", "create"]}]
    fragile.configure(kubeconfig=str(limited_user(tmp_path, rules)))
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


def test_a_storage_class_that_is_not_there_is_named(fragile: Stack) -> None:
    fragile.configure(storageClass="fast")
    try:
        told = sentence(fragile.demo("up", fragile.name))
        assert "no storage class fast (compass-demo:storageClass); there are lab" in told
    finally:
        fragile.configure(storageClass=None)


def test_a_registry_that_does_not_answer_is_one_sentence(fragile: Stack) -> None:
    fragile.configure(imageRegistry="127.0.0.1:9")
    try:
        assert "The registry 127.0.0.1:9 (compass-demo:imageRegistry) does not answer" in sentence(
            fragile.demo("up", fragile.name)
        )
    finally:
        fragile.configure(imageRegistry=REGISTRY)
