"""The kinds that this provider serves, and which of their fields the API server never changes in place.

The table of immutable fields is fixed: what Kubernetes 1.34 refuses to update, of what can be declared.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Final

from kubernetes_provider.paths import Json, Path, at, object_at

__all__ = ["BY_TOKEN", "KINDS", "Kind"]


@dataclass(frozen=True, slots=True)
class Fixed:
    """A field that cannot be changed in place, but for the given fields below it."""

    path: Path
    except_for: tuple[str, ...] = ()

    def parts(self, old: Json, new: Json) -> Iterator[Path]:
        """The paths that have to be the same in both objects."""
        if not self.except_for:
            yield self.path
            return
        keys = {**object_at(old, *self.path), **object_at(new, *self.path)}
        yield from ((*self.path, key) for key in keys if key not in self.except_for)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of object, with the names that the API and Pulumi have for it."""

    api_version: str
    name: str
    plural: str
    namespaced: bool = True
    fixed: tuple[Fixed, ...] = ()
    owns_pods: bool = False

    @property
    def token(self) -> str:
        """Pulumi's name of the type, the same as the real plugin's."""
        version = self.api_version if "/" in self.api_version else f"core/{self.api_version}"
        return f"kubernetes:{version}:{self.name}"

    @property
    def group(self) -> str:
        """The API group; empty for the oldest kinds."""
        return self.api_version.rpartition("/")[0]

    def collection(self, namespace: str | None) -> str:
        """The path of all objects of the kind."""
        root = f"/apis/{self.api_version}" if self.group else f"/api/{self.api_version}"
        return f"{root}/namespaces/{namespace}/{self.plural}" if namespace else f"{root}/{self.plural}"

    def replacing_paths(self, old: Json, new: Json) -> list[Path]:
        """The paths at which both objects differ and that make a new object necessary."""
        found = [path for fixed in self.fixed for path in fixed.parts(old, new) if at(old, path) != at(new, path)]
        if self.name in {"ConfigMap", "Secret"} and at(old, ("immutable",)) is True:
            keys = ("immutable", "data", "binaryData", "stringData")
            found += [(key,) for key in keys if at(old, (key,)) != at(new, (key,))]
        if self.name == "PersistentVolumeClaim" and _shrinks(at(old, _STORAGE), at(new, _STORAGE)):
            found.append(_STORAGE)
        return found


def _shrinks(old: Json, new: Json) -> bool:
    before, after = _quantity(old), _quantity(new)
    return before is not None and after is not None and after < before


def _quantity(text: Json) -> Decimal | None:
    """A Kubernetes quantity as a number, ``None`` if it is not one (the API server says so better)."""
    suffixes = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
    digits = str(text)
    suffix = next((suffix for suffix in suffixes if digits.endswith(suffix)), "")
    try:
        return Decimal(digits.removesuffix(suffix)) * suffixes.get(suffix, 1)
    except InvalidOperation:
        return None


_STORAGE: Final[Path] = ("spec", "resources", "requests", "storage")
_SELECTOR: Final = Fixed(("spec", "selector"))
_STATEFUL_SET: Final = Fixed(
    ("spec",),
    (
        "minReadySeconds",
        "ordinals",
        "persistentVolumeClaimRetentionPolicy",
        "replicas",
        "revisionHistoryLimit",
        "template",
        "updateStrategy",
    ),
)
_JOB: Final = Fixed(
    ("spec",), ("activeDeadlineSeconds", "backoffLimit", "parallelism", "suspend", "ttlSecondsAfterFinished")
)

KINDS: Final[tuple[Kind, ...]] = (
    Kind(api_version="v1", name="Namespace", plural="namespaces", namespaced=False),
    Kind(api_version="v1", name="ConfigMap", plural="configmaps"),
    Kind(api_version="v1", name="Secret", plural="secrets", fixed=(Fixed(("type",)),)),
    Kind(
        api_version="v1",
        name="Service",
        plural="services",
        fixed=(Fixed(("spec", "clusterIP")), Fixed(("spec", "clusterIPs"))),
    ),
    Kind(api_version="v1", name="ServiceAccount", plural="serviceaccounts"),
    Kind(
        api_version="v1",
        name="PersistentVolumeClaim",
        plural="persistentvolumeclaims",
        fixed=(Fixed(("spec",), ("resources", "volumeAttributesClassName")),),
    ),
    Kind(
        api_version="v1",
        name="ResourceQuota",
        plural="resourcequotas",
        fixed=(Fixed(("spec", "scopes")), Fixed(("spec", "scopeSelector"))),
    ),
    Kind(api_version="v1", name="LimitRange", plural="limitranges"),
    Kind(api_version="apps/v1", name="Deployment", plural="deployments", fixed=(_SELECTOR,), owns_pods=True),
    Kind(api_version="apps/v1", name="StatefulSet", plural="statefulsets", fixed=(_STATEFUL_SET,), owns_pods=True),
    Kind(api_version="batch/v1", name="Job", plural="jobs", fixed=(_JOB,), owns_pods=True),
    Kind(api_version="networking.k8s.io/v1", name="NetworkPolicy", plural="networkpolicies"),
    Kind(api_version="networking.k8s.io/v1", name="Ingress", plural="ingresses"),
    Kind(api_version="policy/v1", name="PodDisruptionBudget", plural="poddisruptionbudgets"),
    Kind(api_version="autoscaling/v2", name="HorizontalPodAutoscaler", plural="horizontalpodautoscalers"),
)

BY_TOKEN: Final[Mapping[str, Kind]] = {kind.token: kind for kind in KINDS}
