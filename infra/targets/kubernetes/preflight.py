"""What must be true of the cluster before anything is created; each fault is one sentence."""

from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Any, Final

from infra.config import PROJECT, DemoConfig
from infra.errors import DemoError
from infra.targets.kubernetes.client import Forbidden, KubeClient
from infra.targets.kubernetes.kube import KubeAccess, namespace_name
from infra.targets.kubernetes.objects import PROVIDER, STACK, annotations, is_ours, labels, name_of
from infra.targets.kubernetes.quantity import amount, shown
from infra.targets.kubernetes.rights import missing_rights
from infra.targets.kubernetes.sizing import scale
from infra.topology.model import Topology

__all__ = ["check", "demand", "switch_refused"]

_DEFAULT_CLASS: Final = "storageclass.kubernetes.io/is-default-class"
_PLUGINS: Final = {"builtin": "the demo's own plugin", "official": "Pulumi's own plugin"}


def check(
    access: KubeAccess,
    config: DemoConfig,
    topology: Topology,
    *,
    stack: str,
    preview: bool,
    provider: str = "",
    client: KubeClient | None = None,
) -> None:
    """Find out whether a stack can be brought up on a cluster.

    Args:
        access: The cluster.
        config: The stack's configuration.
        topology: What is to be deployed.
        stack: The stack's name.
        preview: Whether it will only be shown, which needs no rights to change anything.
        provider: ``builtin`` or ``official``, the plugin that will do it; empty if it is not known yet.
        client: A connection that is there already.

    Raises:
        ClusterError: the cluster does not answer.
        DemoError: one line for each fault.
    """
    faults = list(_check_registry(config, topology))
    if faults:
        # Nothing of the cluster has to be known for this.
        raise DemoError("\n".join(faults))
    client = client or KubeClient.connect(access)
    name = namespace_name(stack, config)
    namespace = _namespace(client, name)
    faults = list(_check_namespace(access, name, namespace, stack, provider))
    if not preview:
        faults += _check_rights(client, config, name)
    if not faults:
        faults += _check_storage(client, config, topology)
    if namespace is not None and not faults:
        quotas = client.items(f"/api/v1/namespaces/{name}/resourcequotas")
        faults += _check_quota(name, quotas, demand(config, topology))
    if faults:
        raise DemoError("\n".join(faults))


def switch_refused(stack: str, made: str, chosen: str) -> str:
    """Why a stack that one plugin made does not go on with the other: ``builtin`` and ``official``, in either order."""
    made, chosen = (_PLUGINS.get(one, one) for one in (made, chosen))
    return (
        f"The stack {stack} was made with {made} and this machine would go on with {chosen}, which treats its "
        f"state differently; use the machine that made it, or ./demo destroy {stack} there first."
    )


def demand(config: DemoConfig, topology: Topology) -> dict[str, Decimal]:
    """What a namespace's quota must allow, by the names of quotas; limits, since requests are never above them."""
    pods = memory = cpus = Decimal(0)
    for workload in topology.workloads:
        times = scale(workload, config).replicas
        pods += times
        memory += times * sum(Decimal(member.memory_mib) for member in workload.members) * 2**20
        cpus += times * sum((Decimal(str(member.cpus)) for member in workload.members), Decimal(0))
    return {
        "pods": pods,
        "limits.memory": memory,
        "limits.cpu": cpus,
        "persistentvolumeclaims": Decimal(len(topology.volumes)),
        "requests.storage": Decimal(sum(topology.volumes.values())) * 2**20,
    }


def _namespace(client: KubeClient, name: str) -> dict[str, Any] | None:
    try:
        return client.get(f"/api/v1/namespaces/{name}")
    except Forbidden:
        # The question for the rights says it better.
        return None


def _check_registry(config: DemoConfig, topology: Topology) -> Iterator[str]:
    built = [image.reference for image in topology.images if image.built]
    if built and not config.image_registry:
        yield (
            f"The images {', '.join(built)} are built here, and {PROJECT}:imageRegistry does not say "
            "from which registry the cluster can pull them."
        )


def _check_namespace(
    access: KubeAccess, name: str, namespace: Mapping[str, Any] | None, stack: str, provider: str
) -> Iterator[str]:
    if namespace is None:
        return
    if not is_ours(namespace, stack):
        whose = f"belongs to the stack {labels(namespace)[STACK]}" if is_ours(namespace) else "is not the demo's"
        yield (
            f"The namespace {name} in the context {access.context} exists and {whose}; "
            f"choose another one with {PROJECT}:namespace."
        )
    elif namespace["metadata"].get("deletionTimestamp"):
        yield f"The namespace {name} is being deleted; try again when it is gone."
    elif provider and annotations(namespace).get(PROVIDER, provider) != provider:
        yield switch_refused(stack, annotations(namespace)[PROVIDER], provider)


def _check_rights(client: KubeClient, config: DemoConfig, namespace: str) -> Iterator[str]:
    verbs: dict[str, list[str]] = {}
    for right in missing_rights(client, config, namespace):
        verbs.setdefault(right.on, []).append(right.verb)
    if verbs:
        listed = "; ".join(f"{', '.join(those)} {on}" for on, those in verbs.items())
        yield (
            f"The user of the context {client.access.context} lacks rights for the namespace {namespace}: {listed}. "
            "Ask whoever runs the cluster for them (kubectl auth can-i --list shows what there is)."
        )


def _check_storage(client: KubeClient, config: DemoConfig, topology: Topology) -> Iterator[str]:
    if not any(container.volumes for container in topology.containers()):
        return
    try:
        classes = client.items("/apis/storage.k8s.io/v1/storageclasses")
    except Forbidden:
        # Many users may not look; a claim that is not bound says so later.
        return
    names = sorted(name_of(one) for one in classes)
    there = f"there are {', '.join(names)}" if names else "it has none at all"
    if config.storage_class:
        if config.storage_class not in names:
            yield f"The cluster has no storage class {config.storage_class} ({PROJECT}:storageClass); {there}."
    elif not any(annotations(one).get(_DEFAULT_CLASS) == "true" for one in classes):
        yield f"The cluster has no default storage class; set {PROJECT}:storageClass ({there})."


def _check_quota(namespace: str, quotas: Iterable[Mapping[str, Any]], wanted: Mapping[str, Decimal]) -> Iterator[str]:
    for quota in quotas:
        if is_ours(quota):
            continue
        hard: Mapping[str, str] = quota["spec"].get("hard") or {}
        short = [
            f"{shown(need - amount(hard[resource]), resource)} of {resource} "
            f"({shown(amount(hard[resource]), resource)} allowed, {shown(need, resource)} needed)"
            for resource, need in wanted.items()
            if resource in hard and amount(hard[resource]) < need
        ]
        if short:
            yield (
                f"The quota {name_of(quota)} of the namespace {namespace} is too small for the demo: "
                f"missing are {'; '.join(short)}. Ask whoever runs the cluster to raise it."
            )
