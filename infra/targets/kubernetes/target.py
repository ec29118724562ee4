"""The topology on a Kubernetes cluster."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal

import pulumi
import pulumi_kubernetes as kubernetes

from infra.config import DemoConfig
from infra.errors import DemoError
from infra.stack_secrets import StackSecrets
from infra.targets.base import Deployment, ExternalAddress
from infra.targets.kubernetes import preflight
from infra.targets.kubernetes.client import KubeClient
from infra.targets.kubernetes.kube import KubeAccess
from infra.targets.kubernetes.namespace import Bounds, Namespace, lifetime_annotations
from infra.targets.kubernetes.naming import Labels, stack_namespace
from infra.targets.kubernetes.network import Edge, Network
from infra.targets.kubernetes.objects import PROVIDER, annotations
from infra.targets.kubernetes.support import require_supported
from infra.targets.kubernetes.surroundings import Surroundings
from infra.targets.kubernetes.workload import WorkloadComponent
from infra.topology.model import Endpoint, Exposure, Image, Topology
from infra.topology.settings import edge_host

__all__ = ["Demo", "KubernetesTarget", "Plugin", "external_addresses", "references"]

_LOOPBACK: Final = "127.0.0.1"
_HTTPS: Final = 443


@dataclass(frozen=True, kw_only=True, slots=True)
class Plugin:
    """Which of the two provider plugins does the work; the state and the namespace remember it."""

    version: str
    kind: Literal["builtin", "official"]


class KubernetesTarget:
    """Renders a topology into a namespace of one cluster."""

    def __init__(
        self,
        stack: str,
        config: DemoConfig,
        access: KubeAccess,
        *,
        digests: Callable[[Topology], Mapping[Image, str]],
        plugin: Plugin,
    ) -> None:
        """Take what is needed to reach the cluster; nothing is asked before ``check``.

        Args:
            stack: The stack's name.
            config: The stack's configuration.
            access: Kubeconfig and context.
            digests: The registry's digest (``sha256:...``) of each image that is built here.
            plugin: The provider plugin that the engine will use.

        Raises:
            ConfigError: the stack's name is no name for a namespace.
        """
        self._stack = stack
        self._config = config
        self._access = access
        self._digests = digests
        self._plugin = plugin
        self._namespace = stack_namespace(stack, config)
        self._live: Mapping[str, str] = {}

    def check(self, topology: Topology, *, preview: bool) -> None:
        """Find out whether ``deploy`` can succeed; see the protocol."""
        require_supported(topology, self._config)
        client = KubeClient.connect(self._access)
        preflight.check(
            self._access,
            self._config,
            topology,
            stack=self._stack,
            preview=preview,
            provider=self._plugin.kind,
            client=client,
        )
        live = client.get(f"/api/v1/namespaces/{self._namespace}") or {}
        self._live = annotations(live)

    def deploy(self, topology: Topology, secrets: StackSecrets) -> Deployment:
        """Register the resources; see the protocol."""
        Demo(
            self._stack,
            self._namespace,
            self._config,
            topology,
            secrets,
            references=references(topology, self._config, self._known_digests(topology)),
            annotations={PROVIDER: self._plugin.kind, **lifetime_annotations(self._config, self._live)},
            provider=self._provider(),
        )
        return Deployment(external=dict(external_addresses(topology, self._config)), inside=self._namespace)

    def _provider(self) -> kubernetes.Provider:
        kubeconfig = self._access.kubeconfig
        return kubernetes.Provider(
            "kubernetes",
            kubeconfig=str(kubeconfig) if kubeconfig else None,
            context=self._access.context,
            namespace=self._namespace,
            # Two files may hold the same cluster; another context is another cluster, and all is made anew there.
            cluster_identifier=self._access.context,
            # Pods are rolled by the digests in their templates; a replaced object would be missing for a moment.
            enable_config_map_mutable=True,
            enable_secret_mutable=True,
            opts=pulumi.ResourceOptions(version=self._plugin.version),
        )

    def _known_digests(self, topology: Topology) -> Mapping[Image, str]:
        try:
            return self._digests(topology)
        except DemoError:
            if not pulumi.runtime.is_dry_run():
                raise
            # A preview shows the rest, with the names under which these will be pushed.
            return {}


def references(topology: Topology, config: DemoConfig, digests: Mapping[Image, str]) -> dict[Image, str]:
    """Image -> what the cluster pulls: ours from the registry by digest, the others by their exact tag."""
    return {
        image: image.reference
        if not image.built
        else f"{config.image_registry}/{image.repository}@{digests[image]}"
        if image in digests
        else f"{config.image_registry}/{image.reference}"
        for image in topology.images
    }


def external_addresses(topology: Topology, config: DemoConfig) -> Iterator[tuple[Endpoint, ExternalAddress]]:
    """Where a person reaches each published port: the ingress, else the loopback port that `./demo tunnel` opens."""
    for service, port in topology.published():
        endpoint = Endpoint(service.name, port.name)
        if config.ingress_host and port.exposure is Exposure.EDGE:
            yield endpoint, ExternalAddress(edge_host(config.ingress_host, port.name), _HTTPS, "https")
        elif port.host_port is not None:
            yield endpoint, ExternalAddress(_LOOPBACK, port.host_port)


class Demo(pulumi.ComponentResource):
    """The whole demo; every other resource is its child."""

    def __init__(
        self,
        stack: str,
        namespace: str,
        config: DemoConfig,
        topology: Topology,
        secrets: StackSecrets,
        *,
        references: Mapping[Image, str],
        annotations: Mapping[str, str],
        provider: kubernetes.Provider,
    ) -> None:
        super().__init__("compass:demo:Demo", "demo", None, pulumi.ResourceOptions(providers=[provider]))
        child = pulumi.ResourceOptions(parent=self)
        labels = Labels(stack=stack, owner=config.owner, cost_center=config.cost_center)
        around = Surroundings(
            stack=stack,
            namespace=namespace,
            config=config,
            topology=topology,
            secrets=secrets,
            labels=labels,
            references=references,
            owner=Namespace(namespace, labels, annotations, opts=child).namespace,
        )
        before = [Bounds(around, topology, opts=child), Network(around, opts=child)]
        if config.ingress_host:
            Edge(around, opts=child)
        ready: dict[str, pulumi.Resource] = {}
        for workload in topology.in_order():
            needs = [*before, *(ready[need] for need in workload.needs)]
            ready[workload.name] = WorkloadComponent(around, workload, needs=needs, opts=child).controller
        self.register_outputs({"namespace": namespace})
