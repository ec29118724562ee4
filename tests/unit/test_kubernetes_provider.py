"""The provider's own rules, without a cluster: the wire format, differences, immutable fields, checks, messages."""

import pytest

from kubernetes_provider.checking import check_inputs, kind_of, settings_of
from kubernetes_provider.comparing import Change, changes, path_text
from kubernetes_provider.differences import declared_difference
from kubernetes_provider.faults import Conflict, Invalid, NoNamespace, NotFound, ProviderFault, api_fault
from kubernetes_provider.kinds import BY_TOKEN, KINDS, Kind
from kubernetes_provider.manifests import Manifest, comparable, outputs, parse_id, same_owner
from kubernetes_provider.paths import Json, Object
from kubernetes_provider.wire import UNKNOWN, Secret, decode, encode, has_unknown, plain, secret_texts


def kind(name: str) -> Kind:
    return next(kind for kind in KINDS if kind.name == name)


def manifest(name: str, **fields: Json) -> Manifest:
    return Manifest.of(kind(name), {"metadata": {"name": "web", "namespace": "shop"}, **fields})


class TestWire:
    def test_secrets_and_unknown_values_survive_the_way_there_and_back(self) -> None:
        given: Object = {"a": [1, 2.5, True, "x", None], "b": {"c": Secret({"d": "e"})}, "u": UNKNOWN, "e": {}, "l": []}
        assert decode(encode(given)) == given

    def test_whole_numbers_come_as_integers_and_booleans_as_booleans(self) -> None:
        back = decode(encode({"replicas": 3, "paused": True, "share": 0.5}))
        assert {key: type(value) for key, value in back.items()} == {"replicas": int, "paused": bool, "share": float}

    @pytest.mark.parametrize("secret", [True, False])
    @pytest.mark.parametrize("known", [True, False])
    def test_an_output_value_is_secret_and_unknown_as_it_says(self, *, secret: bool, known: bool) -> None:
        signature = {"4dabf18193072939515e22adb298388d": "d0e6a833031e9bbcd3f4e8bde6ca49a4"}
        value: Object = {**signature, **({"value": "x"} if known else {}), "secret": secret}
        bare = "x" if known else UNKNOWN
        assert decode(encode({"v": value}))["v"] == (Secret(bare) if secret else bare)

    def test_an_asset_is_refused(self) -> None:
        asset = {"4dabf18193072939515e22adb298388d": "c44067f5952c0a294b673a41bacd8c17", "text": "x"}
        with pytest.raises(ProviderFault, match="an asset"):
            decode(encode({"data": asset}))

    def test_unknown_and_secret_parts_are_found_inside(self) -> None:
        value: Object = {"a": [{"b": Secret("geheim")}], "c": Secret([UNKNOWN])}
        assert has_unknown(value)
        assert secret_texts(value) == {"geheim"}
        assert plain(value) == {"a": [{"b": "geheim"}], "c": [UNKNOWN]}

    def test_a_secret_does_not_show_in_a_representation(self) -> None:
        assert "geheim" not in repr(Secret("geheim"))


class TestComparing:
    def test_each_change_is_told_at_its_deepest_path(self) -> None:
        old = {"spec": {"replicas": 1, "list": [{"image": "a"}, {"image": "b"}], "gone": 1}}
        new: Object = {"spec": {"replicas": 2, "list": [{"image": "a"}, {"image": "c"}, {"image": "d"}], "more": {}}}
        assert {(path_text(change.path), change.kind) for change in changes(old, new)} == {
            ("spec.replicas", "update"),
            ("spec.list[1].image", "update"),
            ("spec.list[2]", "add"),
            ("spec.gone", "delete"),
            ("spec.more", "add"),
        }

    def test_nothing_and_null_are_the_same_but_zero_and_false_are_not(self) -> None:
        assert not list(changes({"a": None}, {}))
        assert [change.kind for change in changes({"a": 0}, {"a": False})] == ["update"]

    def test_keys_that_are_no_names_are_quoted(self) -> None:
        assert path_text(("metadata", "labels", "a.b/c")) == 'metadata.labels["a.b/c"]'
        assert path_text(("data", 'q"\\')) == 'data["q\\"\\\\"]'


class TestImmutableFields:
    @pytest.mark.parametrize(
        ("name", "old", "new", "replacing"),
        [
            ("Deployment", {"spec": {"replicas": 1}}, {"spec": {"replicas": 2}}, []),
            ("Deployment", {"spec": {"selector": {"a": "1"}}}, {"spec": {"selector": {"a": "2"}}}, ["spec.selector"]),
            ("StatefulSet", {"spec": {"serviceName": "a"}}, {"spec": {"serviceName": "b"}}, ["spec.serviceName"]),
            ("StatefulSet", {"spec": {"template": {"a": 1}}}, {"spec": {"template": {"a": 2}}}, []),
            ("Job", {"spec": {"template": {"a": 1}}}, {"spec": {"template": {"a": 2}}}, ["spec.template"]),
            ("Job", {"spec": {"backoffLimit": 1}}, {"spec": {"backoffLimit": 2}}, []),
            ("Service", {"spec": {"clusterIP": "None"}}, {"spec": {}}, ["spec.clusterIP"]),
            ("Service", {"spec": {"ports": [1]}}, {"spec": {"ports": [2]}}, []),
            ("Secret", {"type": "Opaque"}, {"type": "kubernetes.io/tls"}, ["type"]),
            ("Secret", {"data": {"a": "1"}}, {"data": {"a": "2"}}, []),
            ("ConfigMap", {"immutable": True, "data": {"a": "1"}}, {"immutable": True, "data": {"a": "2"}}, ["data"]),
            ("ConfigMap", {"data": {"a": "1"}}, {"immutable": True, "data": {"a": "2"}}, []),
        ],
    )
    def test_the_table_decides(self, name: str, old: Object, new: Object, replacing: list[str]) -> None:
        assert [path_text(path) for path in kind(name).replacing_paths(old, new)] == replacing

    @pytest.mark.parametrize(("size", "replaced"), [("2Gi", False), ("1Gi", False), ("1024Mi", False), ("512Mi", True)])
    def test_a_claim_may_grow_in_place_but_not_shrink(self, size: str, *, replaced: bool) -> None:
        old, new = ({"spec": {"resources": {"requests": {"storage": text}}}} for text in ("1Gi", size))
        assert bool(kind("PersistentVolumeClaim").replacing_paths(old, new)) == replaced

    def test_a_claim_of_another_storage_class_is_another_claim(self) -> None:
        old, new = {"spec": {"storageClassName": "a"}}, {"spec": {"storageClassName": "b"}}
        assert kind("PersistentVolumeClaim").replacing_paths(old, new) == [("spec", "storageClassName")]

    def test_an_object_of_the_same_name_is_deleted_first_and_one_of_another_name_afterwards(self) -> None:
        old = manifest("Job", spec={"template": {"a": 1}})
        same = manifest("Job", spec={"template": {"a": 2}})
        moved = Manifest.of(kind("Job"), {**same.body, "metadata": {"name": "other", "namespace": "shop"}})
        assert declared_difference(kind("Job"), old, same).delete_first
        found = declared_difference(kind("Job"), old, moved)
        assert not found.delete_first
        assert ("metadata", "name") in found.replacing
        assert found.replaces(Change(("metadata", "name"), "update"))


class TestManifests:
    def test_a_secrets_texts_are_applied_as_data_and_come_back_as_secrets(self) -> None:
        inputs: Object = {
            "metadata": {"name": "s", "namespace": "n"},
            "stringData": Secret({"a": "x"}),
            "kind": "Secret",
        }
        body = Manifest.of(kind("Secret"), inputs).body
        assert body["data"] == {"a": "eA=="}
        assert "stringData" not in body
        live: Object = {**body, "metadata": {**body["metadata"], "uid": "1", "managedFields": []}}
        result = outputs(live, inputs)
        assert result["data"] == Secret({"a": "eA=="})
        assert result["stringData"] == Secret({"a": "x"})
        assert "managedFields" not in result["metadata"]

    def test_outputs_are_secret_where_the_inputs_are(self) -> None:
        inputs: Object = {"spec": {"list": [{"value": Secret("x")}], "open": "y"}}
        live: Object = {
            "kind": "Deployment",
            "metadata": {},
            "spec": {"list": [{"value": "x", "more": 1}], "open": "y"},
        }
        assert outputs(live, inputs)["spec"] == {"list": [{"value": Secret("x"), "more": 1}], "open": "y"}

    def test_unknown_texts_keep_a_secret_from_being_applied(self) -> None:
        assert not manifest("Secret", stringData={"a": UNKNOWN}).known

    def test_bookkeeping_and_state_are_not_compared(self) -> None:
        live: Object = {
            "metadata": {"name": "a", "uid": "1", "resourceVersion": "2", "labels": {}},
            "spec": {},
            "status": {},
        }
        assert comparable(live) == {"metadata": {"name": "a", "labels": {}}, "spec": {}}

    def test_ids(self) -> None:
        assert parse_id(kind("Job"), "shop/a") == ("shop", "a")
        assert parse_id(kind("Job"), "a") == ("default", "a")
        assert parse_id(kind("Namespace"), "shop") == (None, "shop")
        for name, text in (("Job", "a/b/c"), ("Job", "a/"), ("Namespace", "a/b")):
            with pytest.raises(ProviderFault, match="form"):
                parse_id(kind(name), text)

    def test_only_the_same_stack_owns_an_object(self) -> None:
        labels = {"compass-demo/stack": "a", "app.kubernetes.io/part-of": "compass-demo"}
        ours: Object = {"metadata": {"labels": labels}}
        assert same_owner(ours, {"metadata": {"labels": {**labels, "more": "x"}}})
        assert not same_owner(ours, {"metadata": {"labels": {**labels, "compass-demo/stack": "b"}}})
        assert not same_owner({"metadata": {}}, {"metadata": {}})


class TestChecks:
    def test_other_kinds_are_refused_by_name(self) -> None:
        with pytest.raises(ProviderFault, match=r"does not serve kubernetes:core/v1:Pod; it serves Namespace"):
            kind_of("kubernetes:core/v1:Pod")
        assert len(BY_TOKEN) == len(KINDS) == 15

    def test_the_namespace_is_filled_in_and_a_name_is_not_made_up(self) -> None:
        filled, failures = check_inputs(kind("Job"), {"metadata": {"name": "a"}}, "shop")
        assert filled == {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "a", "namespace": "shop"}}
        assert not failures
        assert "makes up no names" in check_inputs(kind("Job"), {"metadata": {}}, "shop")[1]["metadata"]
        assert "not a name" in check_inputs(kind("Job"), {"metadata": {"name": "A_b"}}, "shop")[1]["metadata"]
        assert not check_inputs(kind("Job"), {"metadata": {"name": UNKNOWN}}, "shop")[1]

    def test_another_kind_than_the_types_is_refused(self) -> None:
        assert check_inputs(kind("Job"), {"kind": "Pod", "metadata": {"name": "a"}}, "shop")[1].keys() == {"kind"}

    @pytest.mark.parametrize(
        ("inputs", "message"),
        [
            ({}, "explicit context"),
            ({"context": "a", "renderYamlToDirectory": "x"}, "does not serve the provider's setting renderYaml"),
            ({"context": "a", "enableServerSideApply": "false"}, "always applies on the server"),
        ],
    )
    def test_a_provider_that_asks_for_more_is_refused(self, inputs: Object, message: str) -> None:
        with pytest.raises(ProviderFault, match=message):
            settings_of(inputs)

    def test_a_kubeconfig_that_is_not_known_yet_is_no_error(self) -> None:
        assert settings_of({"context": "a", "kubeconfig": UNKNOWN}).address is None


class TestMessages:
    def test_lacking_rights_are_told_as_verb_and_resource(self) -> None:
        said = (
            'deployments.apps "web" is forbidden: User "eve" cannot patch resource "deployments" in API group "apps" '
            'in the namespace "shop"'
        )
        text = str(api_fault("Deployment shop/web", 403, {"message": said}))
        assert text == (
            "Deployment shop/web: the user eve lacks the right to patch deployments of the API group apps "
            "in the namespace shop."
        )

    def test_a_quota_says_what_is_missing(self) -> None:
        said = (
            'persistentvolumeclaims "data" is forbidden: exceeded quota: small, requested: requests.storage=2Gi, '
            "used: requests.storage=0, limited: requests.storage=1Gi"
        )
        text = str(api_fault("PersistentVolumeClaim shop/data", 403, {"message": said}))
        assert "the quota small is too small: requests.storage=2Gi is asked for, requests.storage=0 is in use" in text

    def test_a_conflict_names_fields_and_managers(self) -> None:
        cause = {
            "reason": "FieldManagerConflict",
            "message": 'conflict with "kubectl" using apps/v1',
            "field": ".spec.a",
        }
        fault = api_fault("Deployment shop/web", 409, {"details": {"causes": [cause, {**cause, "field": ".spec.b"}]}})
        assert isinstance(fault, Conflict)
        assert str(fault) == "Deployment shop/web was not changed: kubectl manages spec.a, spec.b."

    @pytest.mark.parametrize(
        ("code", "status", "expected"),
        [
            (404, {"details": {"kind": "namespaces", "name": "shop"}}, NoNamespace),
            (404, {"details": {"kind": "deployments", "name": "web"}}, NotFound),
            (422, {"message": "spec.x: Invalid value"}, Invalid),
        ],
    )
    def test_the_kind_of_the_fault_follows_the_answer(self, code: int, status: Object, expected: type) -> None:
        assert type(api_fault("Deployment shop/web", code, status)) is expected
