"""From a resource's inputs to what is applied, and from a live object to a resource's outputs."""

import base64
from dataclasses import dataclass
from typing import Final, cast

from kubernetes_provider.faults import ProviderFault
from kubernetes_provider.kinds import Kind
from kubernetes_provider.paths import Json, Object, at, object_at
from kubernetes_provider.wire import Secret, has_unknown, mark_secrets, plain

__all__ = ["OWNER_LABELS", "Manifest", "comparable", "inputs_of", "outputs", "parse_id", "same_owner"]

OWNER_LABELS: Final = ("compass-demo/stack", "app.kubernetes.io/part-of", "app.kubernetes.io/managed-by")
"""An object with the same values of all of these was made by the same stack."""

_VOLATILE: Final = ("creationTimestamp", "generation", "managedFields", "resourceVersion", "selfLink", "uid")


@dataclass(frozen=True, slots=True)
class Manifest:
    """An object as it is applied: plain JSON, without marks of secrets."""

    kind: Kind
    body: Object

    @classmethod
    def of(cls, kind: Kind, inputs: Object) -> "Manifest":
        """What the inputs declare; a Secret's ``stringData`` becomes ``data``.

        Server-side apply forgets who owns ``stringData``: a key that is left out later would stay in ``data``.
        """
        body: Object = _without_nulls(plain(inputs))
        texts = body.pop("stringData", None) if kind.name == "Secret" else None
        if isinstance(texts, dict) and not has_unknown(texts):
            known = cast("dict[str, str]", texts)
            encoded = {key: base64.b64encode(str(text).encode()).decode() for key, text in known.items()}
            body["data"] = {**(body.get("data") or {}), **encoded}
        elif texts is not None:
            body["stringData"] = texts
        return cls(kind, {**body, "apiVersion": kind.api_version, "kind": kind.name})

    @property
    def name(self) -> str:
        """The object's name."""
        return str(self.body["metadata"]["name"])

    @property
    def namespace(self) -> str | None:
        """The object's namespace, ``None`` if its kind has none."""
        return str(self.body["metadata"]["namespace"]) if self.kind.namespaced else None

    @property
    def id(self) -> str:
        """The id in Pulumi's state."""
        return f"{self.namespace}/{self.name}" if self.namespace else self.name

    @property
    def known(self) -> bool:
        """Whether nothing of it is unknown."""
        return not has_unknown(self.body)

    def annotation(self, name: str) -> str:
        """An annotation's value, or nothing."""
        return str(at(self.body, ("metadata", "annotations", name)) or "")


def parse_id(kind: Kind, text: str) -> tuple[str | None, str]:
    """Namespace and name of an id; the namespace ``default`` may be left out, as ``kubectl`` has it.

    Raises:
        ProviderFault: the id has another form.
    """
    namespace, slash, name = text.rpartition("/")
    if not name or "/" in namespace or (slash and not kind.namespaced):
        form = "namespace/name" if kind.namespaced else "name"
        raise ProviderFault(f"{text!r} is no id of a {kind.name}; ids have the form {form}.")
    return (namespace or "default") if kind.namespaced else None, name


def comparable(live: Object) -> Object:
    """What of a live object says how it was declared: neither its state nor the API server's bookkeeping."""
    metadata = {key: value for key, value in live.get("metadata", {}).items() if key not in _VOLATILE}
    return {**{key: value for key, value in live.items() if key != "status"}, "metadata": metadata}


def inputs_of(live: Object) -> Object:
    """The inputs that an imported object would have had."""
    return _hide_data(comparable(live))


def outputs(live: Object, inputs: Object) -> Object:
    """The resource's outputs: the whole live object, secret where the inputs are."""
    metadata = {key: value for key, value in live.get("metadata", {}).items() if key != "managedFields"}
    result = mark_secrets({**live, "metadata": metadata}, inputs)
    if live.get("kind") == "Secret" and "stringData" in inputs:
        result["stringData"] = inputs["stringData"]
    return _hide_data(result)


def same_owner(inputs: Object, live: Object) -> bool:
    """Whether a live object was made by the stack that declares these inputs."""
    ours: Object = object_at(plain(inputs), "metadata", "labels")
    theirs: Object = object_at(live, "metadata", "labels")
    return OWNER_LABELS[0] in ours and all(ours.get(label) == theirs.get(label) for label in OWNER_LABELS)


def _hide_data(result: Object) -> Object:
    """A Secret's data are secret, whoever declared them."""
    if result.get("kind") != "Secret":
        return result
    hidden = {key: Secret(plain(result[key])) for key in ("data", "stringData") if result.get(key)}
    return {**result, **hidden}


def _without_nulls(value: Json) -> Json:
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in cast("Object", value).items() if item is not None}
    if isinstance(value, list):
        return [_without_nulls(item) for item in cast("list[Json]", value)]
    return value
