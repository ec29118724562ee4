"""The components of the Docker target: ``compass:demo:<Noun>``, children parented and prefixed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_docker as docker

from infra.stack_secrets import StackSecrets
from infra.targets.docker.hooks import NoHooks
from infra.targets.docker.naming import (
    LABEL_GENERATION,
    LABEL_STACK,
    clients_network_name,
    network_name,
    volume_name,
)
from infra.targets.docker.spec import container_args
from infra.topology.model import Container, Image, Service, Topology, Workload

__all__ = ["Images", "Network", "Surroundings", "WorkloadComponent"]


class Network(pulumi.ComponentResource):
    """Where services find each other by name: a bridge for the stack, and one that containers of others join.

    Bridges have no policies: whatever is on one can be reached from there. So on the clients' bridge is nothing but
    what is there for agents, and the back ends are behind the gateway for them too.
    """

    bridge: pulumi.Output[str]
    clients: pulumi.Output[str]

    def __init__(self, stack: str, hooks: NoHooks, *, opts: pulumi.ResourceOptions) -> None:
        super().__init__("compass:demo:Network", "network", None, opts)

        def make(suffix: str, name: str) -> pulumi.Output[str]:
            return docker.Network(
                f"network-{suffix}",
                name=name,
                labels=[docker.NetworkLabelArgs(label=LABEL_STACK, value=stack)],
                opts=pulumi.ResourceOptions(parent=self, hooks=hooks.network(name)),
            ).name

        self.bridge = make("bridge", network_name(stack))
        self.clients = make("clients", clients_network_name(stack))
        self.register_outputs({"bridge": self.bridge, "clients": self.clients})


class Images(pulumi.ComponentResource):
    """Every image once; official ones are pulled, ours are there."""

    ids: Mapping[Image, pulumi.Output[str]]

    def __init__(self, topology: Topology, *, opts: pulumi.ResourceOptions) -> None:
        super().__init__("compass:demo:Images", "images", None, opts)
        self.ids = {
            image: docker.RemoteImage(
                f"images-{image.repository.rpartition('/')[2]}",
                name=image.reference,
                keep_locally=True,
                opts=pulumi.ResourceOptions(parent=self),
            ).image_id
            for image in topology.images
        }
        self.register_outputs({image.reference: image_id for image, image_id in self.ids.items()})


@dataclass(frozen=True, kw_only=True, slots=True)
class Surroundings:
    """What every workload of one stack is rendered with."""

    stack: str
    topology: Topology
    secrets: StackSecrets
    network: Network
    images: Images
    hooks: NoHooks


class WorkloadComponent(pulumi.ComponentResource):
    """A service with its volumes and sidecars, or a task."""

    container: docker.Container

    def __init__(
        self,
        surroundings: Surroundings,
        workload: Workload,
        *,
        needs: Sequence[pulumi.Resource],
        opts: pulumi.ResourceOptions,
    ) -> None:
        noun = "Service" if isinstance(workload, Service) else "Task"
        super().__init__(f"compass:demo:{noun}", workload.name, None, opts)
        self._surroundings = surroundings
        names = dict.fromkeys(volume.name for member in workload.members for volume in member.volumes)
        self._volumes = {name: self._volume(name).name for name in names}
        self.container = self._container(workload, needs)
        for sidecar in workload.members[1:]:
            # After its service, as in a pod that is being made: it may read what the service writes.
            self._container(sidecar, [self.container])
        self.register_outputs({"container": self.container.name})

    def _volume(self, name: str) -> docker.Volume:
        around = self._surroundings
        return docker.Volume(
            f"{name}-volume",
            name=volume_name(around.stack, name),
            labels=[
                docker.VolumeLabelArgs(label=LABEL_GENERATION, value=around.secrets.generation),
                docker.VolumeLabelArgs(label=LABEL_STACK, value=around.stack),
            ],
            opts=pulumi.ResourceOptions(
                parent=self, delete_before_replace=True, hooks=around.hooks.volume(name, around.secrets.generation)
            ),
        )

    def _container(self, container: Container, needs: Sequence[pulumi.Resource]) -> docker.Container:
        around = self._surroundings
        networks = [around.network.bridge]
        if any(service.name == container.name for service, _ in around.topology.for_agents()):
            networks.append(around.network.clients)
        return docker.Container(
            f"{container.name}-container",
            container_args(
                around.stack,
                around.topology,
                container,
                secrets=around.secrets,
                image_id=around.images.ids[container.image],
                networks=networks,
                volumes=self._volumes,
            ),
            opts=pulumi.ResourceOptions(
                parent=self,
                depends_on=list(needs),
                delete_before_replace=True,
                hooks=around.hooks.container(container, needed=container.name in around.topology.needed),
            ),
        )
