"""The provider's objects against a real API server: apply, diff, replace, adopt, refuse, read, delete."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from provider_client import TOKENS, Plugin, Refused, running_plugin
from pulumi.runtime.proto import provider_pb2 as protocol

from kubernetes_provider.access import Access, Address
from kubernetes_provider.kinds import BY_TOKEN
from kubernetes_provider.manifests import Manifest
from kubernetes_provider.objects import Objects
from kubernetes_provider.paths import Object
from kubernetes_provider.wire import UNKNOWN, Secret

pytestmark = pytest.mark.kubernetes

NONE, SOME = protocol.DiffResponse.DIFF_NONE, protocol.DiffResponse.DIFF_SOME
Make = Callable[..., Object]

POD_TEMPLATE: Object = {
    "metadata": {"labels": {"app": "web"}},
    "spec": {
        "containers": [
            {
                "name": "main",
                "image": "nothing.invalid/web:1",
                "resources": {"limits": {"cpu": "1000m", "memory": "1024Mi"}},
                "ports": [{"containerPort": 8080}],
            }
        ]
    },
}
SELECTOR: Object = {"matchLabels": {"app": "web"}}
SKIP: Object = {"annotations": {"pulumi.com/skipAwait": "true"}}

SPECIMENS: dict[str, Object] = {
    "ConfigMap": {"data": {"a.b": "1"}},
    "Secret": {"stringData": {"password": Secret("geheim")}, "type": "Opaque"},
    "Service": {"spec": {"selector": {"app": "web"}, "ports": [{"port": 80}]}},
    "ServiceAccount": {"automountServiceAccountToken": False},
    "PersistentVolumeClaim": {
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    },
    "ResourceQuota": {"spec": {"hard": {"requests.storage": "10Gi", "count/secrets": "100"}}},
    "LimitRange": {"spec": {"limits": [{"type": "Container", "default": {"cpu": "500m"}}]}},
    "Deployment": {"spec": {"replicas": 1, "selector": SELECTOR, "template": POD_TEMPLATE}},
    "StatefulSet": {"spec": {"replicas": 1, "serviceName": "x", "selector": SELECTOR, "template": POD_TEMPLATE}},
    "Job": {
        "spec": {
            "backoffLimit": 1,
            "template": {"spec": {**POD_TEMPLATE["spec"], "restartPolicy": "Never"}},
            "suspend": True,
        }
    },
    "NetworkPolicy": {"spec": {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}},
    "Ingress": {
        "spec": {"defaultBackend": {"service": {"name": "web", "port": {"number": 80}}}, "tls": [{"hosts": ["a.b"]}]}
    },
    "PodDisruptionBudget": {"spec": {"maxUnavailable": 1, "selector": SELECTOR}},
    "HorizontalPodAutoscaler": {
        "spec": {"maxReplicas": 3, "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}}
    },
}


@pytest.mark.parametrize("kind", SPECIMENS)
def test_every_kind_is_made_shows_no_difference_is_changed_and_goes(plugin: Plugin, make: Make, kind: str) -> None:
    inputs = make(f"each-{kind.lower()}", metadata=SKIP, **SPECIMENS[kind])
    plugin.create(kind, inputs, preview=True)
    identity, outputs = plugin.create(kind, inputs)
    assert outputs["metadata"]["uid"]
    assert "managedFields" not in outputs["metadata"]
    assert plugin.diff(kind, identity, inputs, inputs).changes == NONE
    more = {**inputs, "metadata": {**inputs["metadata"], "labels": {**inputs["metadata"]["labels"], "more": "x"}}}
    assert plugin.changed(kind, identity, inputs, more) == {"metadata.labels.more"}
    plugin.update(kind, identity, outputs, more, preview=True)
    assert plugin.update(kind, identity, outputs, more)["metadata"]["labels"]["more"] == "x"
    # What is no longer declared goes.
    assert plugin.changed(kind, identity, more, inputs) == {"metadata.labels.more"}
    assert "more" not in plugin.update(kind, identity, outputs, inputs)["metadata"]["labels"]
    found, live, known = plugin.read(kind, identity, inputs)
    assert (found, live["metadata"]["name"], known) == (identity, inputs["metadata"]["name"], inputs)
    plugin.delete(kind, identity, outputs)
    assert plugin.read(kind, identity, inputs)[0] == ""
    plugin.delete(kind, identity, outputs)


def test_a_secrets_values_come_back_as_secrets_alone(plugin: Plugin, make: Make) -> None:
    inputs = make("s", stringData={"a": Secret("geheim"), "b": "also"})
    identity, outputs = plugin.create("Secret", inputs)
    assert outputs["data"] == Secret({"a": "Z2VoZWlt", "b": "YWxzbw=="})
    fewer = make("s", stringData={"a": Secret("changed")})
    assert plugin.changed("Secret", identity, inputs, fewer) == {"stringData.a", "data.b"}
    assert plugin.update("Secret", identity, outputs, fewer)["data"] == Secret({"a": "Y2hhbmdlZA=="})
    _, imported, known = plugin.read("Secret", identity)
    assert isinstance(imported["data"], Secret)
    assert isinstance(known["data"], Secret)


def test_unknown_values_of_a_preview_stay_unknown(plugin: Plugin, make: Make) -> None:
    inputs = make("unknown", data={"a": UNKNOWN})
    _, outputs = plugin.create("ConfigMap", inputs, preview=True)
    assert outputs["data"] == {"a": UNKNOWN}
    assert outputs["metadata"]["uid"] is UNKNOWN
    known = make("unknown", data={"a": "1"})
    identity, made = plugin.create("ConfigMap", known)
    assert plugin.changed("ConfigMap", identity, known, inputs) == {"data.a"}
    assert plugin.update("ConfigMap", identity, made, inputs, preview=True)["data"] == {"a": UNKNOWN}


def test_immutable_fields_replace_after_a_deletion(plugin: Plugin, make: Make) -> None:
    old = make("job", metadata=SKIP, **SPECIMENS["Job"])
    template = {"spec": {**SPECIMENS["Job"]["spec"]["template"]["spec"], "activeDeadlineSeconds": 5}}
    new = {**old, "spec": {**old["spec"], "template": template}}
    identity, outputs = plugin.create("Job", old)
    found = plugin.diff("Job", identity, old, new)
    assert list(found.replaces) == ["spec"]
    assert found.deleteBeforeReplace
    replaced = protocol.PropertyDiff.ADD_REPLACE
    assert found.detailedDiff["spec.template.spec.activeDeadlineSeconds"].kind == replaced
    plugin.delete("Job", identity, outputs)


def test_what_the_api_server_writes_in_another_way_is_no_difference(plugin: Plugin, make: Make) -> None:
    first = make("normal", metadata=SKIP, **SPECIMENS["Deployment"])
    identity, outputs = plugin.create("Deployment", first)
    container = {**POD_TEMPLATE["spec"]["containers"][0], "resources": {"limits": {"cpu": "1", "memory": "1Gi"}}}
    template = {**POD_TEMPLATE, "spec": {"containers": [container]}}
    second = {**first, "spec": {**first["spec"], "template": template}}
    assert plugin.diff("Deployment", identity, first, second).changes == NONE
    plugin.delete("Deployment", identity, outputs)


def test_a_leftover_of_the_same_stack_is_taken_over(plugin: Plugin, make: Make) -> None:
    plugin.create("ConfigMap", make("leftover", data={"a": "1", "b": "1"}))
    _, outputs = plugin.create("ConfigMap", make("leftover", data={"a": "2"}))
    assert outputs["data"] == {"a": "2"}
    plugin.create("Job", make("leftover", metadata=SKIP, **SPECIMENS["Job"]))
    template = {"spec": {**SPECIMENS["Job"]["spec"]["template"]["spec"], "activeDeadlineSeconds": 5}}
    changed = make("leftover", metadata=SKIP, spec={**SPECIMENS["Job"]["spec"], "template": template})
    plugin.create("Job", changed, preview=True)
    identity, outputs = plugin.create("Job", changed)
    assert outputs["spec"]["template"]["spec"]["activeDeadlineSeconds"] == 5
    plugin.delete("Job", identity, outputs)


@pytest.mark.parametrize("preview", [True, False])
def test_an_object_of_someone_else_is_left_alone(plugin: Plugin, make: Make, *, preview: bool) -> None:
    theirs = make(f"foreign-{preview}".lower(), metadata={"labels": {"owner": "them"}}, data={"a": "1"})
    identity, _ = plugin.create("ConfigMap", theirs)
    with pytest.raises(Refused, match="exists already and was not made by this stack; it is left alone"):
        plugin.create("ConfigMap", make(f"foreign-{preview}".lower(), data={"a": "2"}), preview=preview)
    assert plugin.read("ConfigMap", identity)[1]["data"] == {"a": "1"}


def test_a_missing_namespace_is_one_sentence_but_none_in_a_preview(plugin: Plugin, make: Make) -> None:
    inputs = make("a", metadata={"namespace": "is-not-there"}, data={})
    plugin.create("ConfigMap", inputs, preview=True)
    with pytest.raises(Refused) as refused:
        plugin.create("ConfigMap", inputs)
    assert (
        refused.value.message == "ConfigMap is-not-there/a cannot be made: the namespace is-not-there does not exist."
    )
    assert refused.value.partial is None


def test_a_quota_says_what_is_missing(plugin: Plugin, make: Make) -> None:
    quota = make("small", spec={"hard": {"requests.storage": "1Gi"}})
    identity, outputs = plugin.create("ResourceQuota", quota)
    claim = SPECIMENS["PersistentVolumeClaim"]["spec"]
    big = make("big", spec={**claim, "resources": {"requests": {"storage": "2Gi"}}})
    # Whoever counts usage begins with a new quota a moment later; until then the API server says so.
    with pytest.raises(Refused, match=r"quota"):
        plugin.create("PersistentVolumeClaim", big)
    plugin.delete("ResourceQuota", identity, outputs)


def test_what_is_not_valid_is_refused_in_the_preview(plugin: Plugin, make: Make) -> None:
    with pytest.raises(Refused, match=r"Service .*/bad was refused: .*spec.ports"):
        plugin.create("Service", make("bad", spec={"ports": [{"port": 99999}]}), preview=True)
    with pytest.raises(Refused, match="nonsense"):
        plugin.create("Service", make("bad", spec={"nonsense": 1, "ports": [{"port": 80}]}), preview=True)


def test_what_someone_deleted_shows_as_a_change_and_is_made_again(plugin: Plugin, make: Make) -> None:
    inputs = make("gone", data={"a": "1"})
    identity, outputs = plugin.create("ConfigMap", inputs)
    plugin.delete("ConfigMap", identity, outputs)
    assert plugin.diff("ConfigMap", identity, inputs, inputs).changes == SOME
    assert plugin.update("ConfigMap", identity, outputs, inputs)["metadata"]["uid"] != outputs["metadata"]["uid"]


def test_an_import_makes_inputs_that_show_no_difference(plugin: Plugin, make: Make) -> None:
    identity, _ = plugin.create("Service", make("imported", **SPECIMENS["Service"]))
    _, _, inputs = plugin.read("Service", identity)
    assert "status" not in inputs
    assert plugin.diff("Service", identity, inputs, inputs).changes == NONE


def test_a_finalizer_that_holds_an_object_is_named(plugin: Plugin, make: Make, access: tuple[str, str]) -> None:
    held = make("held", metadata={"finalizers": ["example.com/hold"]}, data={})
    identity, outputs = plugin.create("ConfigMap", held)
    with pytest.raises(Refused, match=r"is not gone after 1 s: the finalizer example.com/hold holds it"):
        plugin.delete("ConfigMap", identity, outputs, timeout=1)
    assert plugin.read("ConfigMap", identity)[1]["metadata"]["deletionTimestamp"]

    async def release() -> None:
        server = Access(Address(*access))
        await Objects(server).apply(Manifest.of(BY_TOKEN[TOKENS["ConfigMap"]], make("held", data={})))
        await server.close()

    asyncio.run(release())
    plugin.delete("ConfigMap", identity, outputs)
    assert plugin.read("ConfigMap", identity)[0] == ""


def test_a_field_that_someone_else_manages_is_a_conflict_that_names_both(
    plugin: Plugin, make: Make, access: tuple[str, str]
) -> None:
    inputs = make("shared", data={"a": "1"})
    identity, outputs = plugin.create("ConfigMap", inputs)

    async def meddle() -> None:
        server = Access(Address(*access))
        body = {"apiVersion": "v1", "kind": "ConfigMap", "data": {"a": "2"}}
        path = f"/api/v1/namespaces/{identity.replace('/', '/configmaps/')}"
        parameters = {"fieldManager": "meddler", "force": "true"}
        kind = "application/apply-patch+yaml"
        await server.request("PATCH", path, what="it", parameters=parameters, body=body, content_type=kind)
        await server.close()

    asyncio.run(meddle())
    sentence = f"ConfigMap {identity} was not changed: meddler manages data.a."
    with pytest.raises(Refused) as refused:
        plugin.diff("ConfigMap", identity, inputs, inputs)
    assert refused.value.message == sentence
    forced = make("shared", metadata={"annotations": {"pulumi.com/patchForce": "true"}}, data={"a": "1"})
    assert plugin.update("ConfigMap", identity, outputs, forced)["data"] == {"a": "1"}


def test_lacking_rights_are_told_as_verb_and_resource(
    plugin: Plugin, make: Make, access: tuple[str, str], tmp_path: Path
) -> None:
    identity, _ = plugin.create("ServiceAccount", make("nobody"))
    namespace = identity.partition("/")[0]

    async def issue() -> str:
        server = Access(Address(*access))
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/nobody/token"
        answer = await server.request("POST", path, what="a token", body={"spec": {"expirationSeconds": 600}})
        await server.close()
        return str(answer["status"]["token"])

    config = yaml.safe_load(Path(access[0]).read_text())
    for user in config["users"]:
        user["user"] = {"token": asyncio.run(issue())}
    with running_plugin(tmp_path) as weak:
        weak.configure(kubeconfig=yaml.safe_dump(config), context=access[1])
        with pytest.raises(Refused) as refused:
            weak.create("Deployment", make("web", **SPECIMENS["Deployment"]))
    assert refused.value.message == (
        f"Deployment {namespace}/web: the user system:serviceaccount:{namespace}:nobody lacks the right to get "
        f"deployments of the API group apps in the namespace {namespace}."
    )
