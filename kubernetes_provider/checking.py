"""Checks of inputs and of the provider's own configuration, before anything is asked of a cluster."""

import re
from dataclasses import dataclass
from typing import Final

from kubernetes_provider.access import Address
from kubernetes_provider.faults import ProviderFault
from kubernetes_provider.kinds import BY_TOKEN, KINDS, Kind
from kubernetes_provider.paths import Json, Object, at
from kubernetes_provider.wire import UNKNOWN, has_unknown, plain

__all__ = ["Settings", "check_inputs", "kind_of", "settings_of"]

_NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")
_REFUSED: Final = (
    "alwaysRender",
    "cluster",
    "enablePatchForce",
    "helmReleaseSettings",
    "kubeClientSettings",
    "renderYamlToDirectory",
)
_TRUE: Final = frozenset({"true", "True", "TRUE", "1", True})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The provider's configuration. ``address`` is ``None`` while a preview does not know the cluster yet."""

    address: Address | None
    namespace: str
    identity: str
    """What must stay the same for objects to stay where they are."""
    delete_unreachable: bool


def kind_of(token: str) -> Kind:
    """The kind of a resource's type.

    Raises:
        ProviderFault: this provider does not serve it.
    """
    kind = BY_TOKEN.get(token)
    if kind is None:
        names = ", ".join(kind.name for kind in KINDS)
        raise ProviderFault(
            f"The demo's own Kubernetes provider does not serve {token}; it serves {names}. "
            "Where Pulumi's own plugin can be downloaded, that one is used."
        )
    return kind


def check_inputs(kind: Kind, inputs: Object, namespace: str) -> tuple[Object, dict[str, str]]:
    """The inputs with what is filled in, and what is wrong with them by property."""
    failures: dict[str, str] = {}
    for key, wanted in (("apiVersion", kind.api_version), ("kind", kind.name)):
        if plain(inputs.get(key, wanted)) != wanted:
            failures[key] = f"{key} is {wanted} for {kind.token}"
    metadata: Json = plain(inputs.get("metadata") or {})
    if metadata is UNKNOWN or not isinstance(metadata, dict):
        failures["metadata"] = f"metadata of a {kind.name} must be known and an object"
        return inputs, failures
    name = at(metadata, ("name",))
    if name is None:
        failures["metadata"] = f"metadata.name of a {kind.name} must be given: this provider makes up no names"
    elif name is not UNKNOWN and not _NAME.fullmatch(str(name)):
        failures["metadata"] = (
            f"metadata.name {name!r} of a {kind.name} is not a name for Kubernetes: lower case, digits, '-' and '.'"
        )
    if not kind.namespaced and at(metadata, ("namespace",)):
        failures["metadata"] = f"a {kind.name} belongs to no namespace"
    filled = {**inputs, "apiVersion": kind.api_version, "kind": kind.name}
    if kind.namespaced and not at(metadata, ("namespace",)):
        filled["metadata"] = (
            {**inputs["metadata"], "namespace": namespace} if isinstance(inputs.get("metadata"), dict) else metadata
        )
    return filled, failures


def settings_of(inputs: Object) -> Settings:
    """The provider's configuration.

    Raises:
        ProviderFault: it is wrong, or asks for something that is not served.
    """
    values = plain(inputs)
    for key in _REFUSED:
        if values.get(key) not in {None, "", False, "false"}:
            raise ProviderFault(f"The demo's own Kubernetes provider does not serve the provider's setting {key}.")
    if values.get("enableServerSideApply") in {"false", "0", False}:
        raise ProviderFault(
            "The demo's own Kubernetes provider always applies on the server; remove enableServerSideApply."
        )
    kubeconfig, context = values.get("kubeconfig"), values.get("context")
    if not context:
        raise ProviderFault(
            "The Kubernetes provider needs an explicit context: the current one of a kubeconfig may be any cluster."
        )
    address = None if has_unknown([kubeconfig, context]) else Address(kubeconfig, str(context))
    return Settings(
        address=address,
        namespace=str(values.get("namespace") or "default"),
        identity=str(values.get("clusterIdentifier") or context),
        delete_unreachable=values.get("deleteUnreachable") in _TRUE,
    )
