"""A cluster without a server: objects by path, and what was asked of it."""

from collections.abc import Iterable, Mapping
from typing import Any

from infra.config import DemoConfig, TargetKind
from infra.targets.kubernetes.client import Forbidden, KubeClient
from infra.targets.kubernetes.kube import KubeAccess

ACCESS = KubeAccess(None, "shop")
CONFIG = DemoConfig(target=TargetKind.KUBERNETES, kube_context="shop", image_registry="registry.example.com")
OURS = {"app.kubernetes.io/part-of": "compass-demo", "compass-demo/stack": "test"}


def meta(name: str, labels: Mapping[str, str] | None = None, **more: Any) -> dict[str, Any]:
    return {"name": name, "labels": dict(OURS if labels is None else labels), **more}


class FakeCluster(KubeClient):
    """Answers from ``objects``: a dict for an object, a list for a collection."""

    def __init__(self, objects: Mapping[str, Any] | None = None, denied: Iterable[str] = ()) -> None:  # pyright: ignore[reportMissingSuperCall] # no server
        self.access = ACCESS
        self.objects: dict[str, Any] = dict(objects or {})
        self.denied = set(denied)
        """Paths that may not be read, and ``verb resource`` that may not be done."""
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.deleted: list[tuple[str, int | None]] = []
        self.reviews: list[dict[str, Any]] = []

    def get(self, path: str, **parameters: str) -> dict[str, Any] | None:
        self.asked.append((path, parameters))
        if path in self.denied:
            raise Forbidden(f"no right to read {path}")
        found = self.objects.get(path)
        return {"items": found} if isinstance(found, list) else found

    def create(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        assert path.endswith("selfsubjectaccessreviews")
        attributes: dict[str, str] = body["spec"]["resourceAttributes"]
        self.reviews.append(attributes)
        asked = f"{attributes['verb']} {attributes['resource']}"
        if "subresource" in attributes:
            asked += f"/{attributes['subresource']}"
        return {"status": {"allowed": asked not in self.denied}}

    def delete(self, path: str, *, grace_seconds: int | None = None) -> bool:
        self.deleted.append((path, grace_seconds))
        return self.objects.pop(path, None) is not None
