"""The methods of Pulumi's resource provider protocol."""

import json
from typing import Final, Protocol

from google.protobuf.empty_pb2 import Empty
from google.protobuf.struct_pb2 import Struct
from pulumi.runtime.proto import plugin_pb2, provider_pb2

from kubernetes_provider.access import Access
from kubernetes_provider.checking import Settings, check_inputs, kind_of, settings_of
from kubernetes_provider.comparing import Change, path_text
from kubernetes_provider.differences import Difference, declared_difference
from kubernetes_provider.faults import ProviderFault
from kubernetes_provider.kinds import KINDS, Kind
from kubernetes_provider.manifests import Manifest
from kubernetes_provider.operations import Operations
from kubernetes_provider.paths import Json, Object
from kubernetes_provider.version import VERSION
from kubernetes_provider.wire import decode, encode, plain

__all__ = ["KubernetesProvider"]

_KINDS: Final = {
    ("add", False): provider_pb2.PropertyDiff.ADD,
    ("add", True): provider_pb2.PropertyDiff.ADD_REPLACE,
    ("delete", False): provider_pb2.PropertyDiff.DELETE,
    ("delete", True): provider_pb2.PropertyDiff.DELETE_REPLACE,
    ("update", False): provider_pb2.PropertyDiff.UPDATE,
    ("update", True): provider_pb2.PropertyDiff.UPDATE_REPLACE,
}


class KubernetesProvider:
    """Serves one engine; configured once. Methods are those of the protocol."""

    def __init__(self) -> None:
        self._settings: Settings | None = None
        self._operations: Operations | None = None

    async def handshake(self, request: provider_pb2.ProviderHandshakeRequest) -> provider_pb2.ProviderHandshakeResponse:  # noqa: ARG002
        """Say what this provider understands."""
        return provider_pb2.ProviderHandshakeResponse(accept_secrets=True, accept_outputs=True)

    async def get_plugin_info(self, request: Empty) -> plugin_pb2.PluginInfo:  # noqa: ARG002
        """Say its version."""
        return plugin_pb2.PluginInfo(version=VERSION)

    async def get_schema(self, request: provider_pb2.GetSchemaRequest) -> provider_pb2.GetSchemaResponse:  # noqa: ARG002
        """The types that it serves, without their fields: the SDK of the real plugin has those."""
        resources: Object = {kind.token: {"description": f"A {kind.name} of {kind.api_version}."} for kind in KINDS}
        schema = {"name": "kubernetes", "version": VERSION, "resources": resources}
        return provider_pb2.GetSchemaResponse(schema=json.dumps(schema))

    async def check_config(self, request: provider_pb2.CheckRequest) -> provider_pb2.CheckResponse:
        """Refuse a configuration of the provider that is wrong or not served."""
        settings_of(decode(request.news))
        return provider_pb2.CheckResponse(inputs=request.news)

    async def diff_config(self, request: provider_pb2.DiffRequest) -> provider_pb2.DiffResponse:
        """What changes of the provider's configuration mean: another cluster replaces everything."""
        old, new = plain(decode(request.old_inputs)), plain(decode(request.news))
        keys = sorted(key for key in {**old, **new} if old.get(key) != new.get(key))
        moved = bool(old) and settings_of(old).identity != settings_of(new).identity
        return provider_pb2.DiffResponse(
            changes=provider_pb2.DiffResponse.DIFF_SOME if keys else provider_pb2.DiffResponse.DIFF_NONE,
            diffs=keys,
            replaces=["clusterIdentifier" if "clusterIdentifier" in keys else "context"] if moved else [],
        )

    async def configure(self, request: provider_pb2.ConfigureRequest) -> provider_pb2.ConfigureResponse:
        """Take the configuration; nothing is asked of the cluster yet."""
        self._settings = settings_of(decode(request.args))
        if self._settings.address:
            access = Access(self._settings.address)
            self._operations = Operations(access, delete_unreachable=self._settings.delete_unreachable)
        return provider_pb2.ConfigureResponse(acceptSecrets=True, supportsPreview=True, acceptOutputs=True)

    async def check(self, request: provider_pb2.CheckRequest) -> provider_pb2.CheckResponse:
        """Fill in and check a resource's inputs."""
        namespace = self._settings.namespace if self._settings else "default"
        inputs, failures = check_inputs(_kind(request), decode(request.news), namespace)
        return provider_pb2.CheckResponse(
            inputs=encode(inputs),
            failures=[provider_pb2.CheckFailure(property=key, reason=text) for key, text in failures.items()],
        )

    async def diff(self, request: provider_pb2.DiffRequest) -> provider_pb2.DiffResponse:
        """What an update would change."""
        kind, old, new = _kind(request), decode(request.old_inputs), decode(request.news)
        if self._operations is None:
            found = declared_difference(kind, Manifest.of(kind, old), Manifest.of(kind, new))
        else:
            found = await self._operations.diff(kind, old, new)
        return _difference(found, new)

    async def create(self, request: provider_pb2.CreateRequest) -> provider_pb2.CreateResponse:
        """Make an object and wait until it is ready; or say what would be made."""
        kind, inputs = _kind(request), decode(request.properties)
        if request.preview:
            known = await self._operations.preview(kind, inputs, {}) if self._operations else inputs
            return provider_pb2.CreateResponse(properties=encode(known))
        result = await self._ready.put(kind, inputs, {}, seconds=request.timeout)
        return provider_pb2.CreateResponse(id=result.id, properties=encode(result.outputs))

    async def update(self, request: provider_pb2.UpdateRequest) -> provider_pb2.UpdateResponse:
        """Change an object and wait until it is ready; or say what would be."""
        kind, inputs, known = _kind(request), decode(request.news), decode(request.olds)
        if request.preview:
            expected = await self._operations.preview(kind, inputs, known) if self._operations else inputs
            return provider_pb2.UpdateResponse(properties=encode(expected))
        result = await self._ready.put(kind, inputs, known, seconds=request.timeout)
        return provider_pb2.UpdateResponse(properties=encode(result.outputs))

    async def read(self, request: provider_pb2.ReadRequest) -> provider_pb2.ReadResponse:
        """The object as it is, for a refresh or an import."""
        result = await self._ready.read(_kind(request), request.id, decode(request.inputs))
        return provider_pb2.ReadResponse(
            id=result.id, properties=encode(result.outputs), inputs=encode(result.inputs) if result.id else Struct()
        )

    async def delete(self, request: provider_pb2.DeleteRequest) -> Empty:
        """Delete an object and wait until it is gone."""
        await self._ready.delete(_kind(request), request.id, decode(request.properties), seconds=request.timeout)
        return Empty()

    def cancel(self) -> None:
        """End all waiting; what was made is reported as not ready."""
        if self._operations:
            self._operations.cancel()

    @property
    def _ready(self) -> Operations:
        if self._operations is None:
            raise ProviderFault("The Kubernetes provider's kubeconfig or context is not known.")
        return self._operations


class _OfResource(Protocol):
    """A request about one resource."""

    urn: str
    type: str


def _kind(request: _OfResource) -> Kind:
    """The kind of the resource of a request; the type is the last but one part of its URN."""
    return kind_of(request.type or str(request.urn).split("::")[2].rpartition("$")[2])


def _difference(found: Difference, inputs: Object) -> provider_pb2.DiffResponse:
    if not found.changes:
        return provider_pb2.DiffResponse(changes=provider_pb2.DiffResponse.DIFF_NONE)
    replacing = bool(found.replacing)
    texts = inputs.get("stringData")
    return provider_pb2.DiffResponse(
        changes=provider_pb2.DiffResponse.DIFF_SOME,
        diffs=list(dict.fromkeys(str(_shown(change, texts)[0]) for change in found.changes)),
        replaces=list(dict.fromkeys(str(path[0]) for path in found.replacing)),
        deleteBeforeReplace=replacing and found.delete_first,
        hasDetailedDiff=True,
        detailedDiff={
            path_text(_shown(change, texts)): provider_pb2.PropertyDiff(
                kind=_KINDS[change.kind, replacing and found.replaces(change)]
            )
            for change in found.changes
        },
    )


def _shown(change: Change, texts: Json) -> tuple[str | int, ...]:
    """Where the program has the value: a Secret's ``stringData`` is applied as ``data``."""
    path = change.path
    known = plain(texts)
    if len(path) > 1 and path[0] == "data" and isinstance(known, dict) and path[1] in known:
        return ("stringData", *path[1:])
    return path
