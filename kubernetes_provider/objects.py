"""Requests for single objects: get, apply, delete, log."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from kubernetes_provider.access import Access
from kubernetes_provider.faults import Conflict, NotFound
from kubernetes_provider.kinds import Kind
from kubernetes_provider.manifests import Manifest
from kubernetes_provider.paths import Object

__all__ = ["FIELD_MANAGER", "Objects", "describe"]

FIELD_MANAGER: Final = "compass-demo"
_FORCE: Final = "pulumi.com/patchForce"
_TOUCHED: Final = "compass-demo/touched"
_LOG_LINES: Final = 10


def describe(kind: Kind, namespace: str | None, name: str) -> str:
    """How messages call an object: ``Deployment shop/web``."""
    return f"{kind.name} {namespace}/{name}" if namespace else f"{kind.name} {name}"


@dataclass(frozen=True, slots=True)
class Objects:
    """The objects of one cluster."""

    access: Access

    async def get(self, kind: Kind, namespace: str | None, name: str) -> Object | None:
        """The live object, ``None`` if there is none.

        Raises:
            ApiFault: the API server refused it.
            Unreachable: it does not answer.
        """
        try:
            return await self.access.request("GET", _path(kind, namespace, name), what=describe(kind, namespace, name))
        except NotFound:
            return None

    async def apply(self, manifest: Manifest, *, dry_run: bool = False) -> Object:
        """Server-side apply; the result is the live object, or with ``dry_run`` what it would be.

        Raises:
            Conflict: fields are managed by someone else and have other values.
            Invalid: the object, or this change of it, is not valid.
            ApiFault: the API server refused it.
            Unreachable: it does not answer.
        """
        parameters = {"fieldManager": FIELD_MANAGER, "fieldValidation": "Strict"}
        if manifest.annotation(_FORCE) == "true":
            parameters["force"] = "true"
        if dry_run:
            parameters["dryRun"] = "All"
        return await self.access.request(
            "PATCH",
            _path(manifest.kind, manifest.namespace, manifest.name),
            what=describe(manifest.kind, manifest.namespace, manifest.name),
            parameters=parameters,
            body=manifest.body,
            content_type="application/apply-patch+yaml",
        )

    async def delete(self, kind: Kind, namespace: str | None, name: str, *, uid: str = "") -> bool:
        """Start the deletion; False if there is nothing to delete, or the object with this uid is gone already.

        Objects that own pods go in the foreground, so that their pods are gone when they are.

        Raises:
            ApiFault: the API server refused it.
            Unreachable: it does not answer.
        """
        options: Object = {"apiVersion": "v1", "kind": "DeleteOptions"}
        options["propagationPolicy"] = "Foreground" if kind.owns_pods else "Background"
        if uid:
            options["preconditions"] = {"uid": uid}
        try:
            await self.access.request(
                "DELETE", _path(kind, namespace, name), what=describe(kind, namespace, name), body=options
            )
        except (NotFound, Conflict):
            return False
        return True

    async def touch(self, kind: Kind, namespace: str | None, name: str) -> None:
        """Change an object in a way that means nothing, so that its controller looks at it again.

        Raises:
            ApiFault: the API server refused it.
            Unreachable: it does not answer.
        """
        patch: Object = {"metadata": {"annotations": {_TOUCHED: datetime.now(UTC).isoformat()}}}
        await self.access.request(
            "PATCH",
            _path(kind, namespace, name),
            what=describe(kind, namespace, name),
            body=patch,
            content_type="application/merge-patch+json",
        )

    async def end_pod(self, namespace: str, pod: str) -> None:
        """Tell a pod to end within its grace.

        Raises:
            ApiFault: the API server refused it, or it is gone.
            Unreachable: it does not answer.
        """
        path = f"/api/v1/namespaces/{namespace}/pods/{pod}"
        await self.access.request("DELETE", path, what=f"Pod {namespace}/{pod}")

    async def log_tail(self, namespace: str, pod: str, container: str, *, previous: bool) -> str:
        """The last lines of a container's log, of its run before this one if ``previous``.

        Raises:
            ApiFault: the API server refused it, or there is no such run.
            Unreachable: it does not answer.
        """
        parameters: Mapping[str, str] = {
            "container": container,
            "tailLines": str(_LOG_LINES),
            "previous": str(previous).lower(),
        }
        path = f"/api/v1/namespaces/{namespace}/pods/{pod}/log"
        return await self.access.text(path, what=f"The log of {namespace}/{pod}", parameters=parameters)

    async def storage_class(self, name: str) -> Object | None:
        """A StorageClass, ``None`` if there is none.

        Raises:
            ApiFault: the API server refused it.
            Unreachable: it does not answer.
        """
        try:
            path = f"/apis/storage.k8s.io/v1/storageclasses/{name}"
            return await self.access.request("GET", path, what=f"StorageClass {name}")
        except NotFound:
            return None


def _path(kind: Kind, namespace: str | None, name: str) -> str:
    return f"{kind.collection(namespace)}/{name}"
