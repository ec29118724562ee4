"""The topology on a Docker engine."""

import hashlib
from functools import cached_property

import pulumi
import pulumi_docker as docker

from infra.stack_secrets import StackSecrets
from infra.targets.base import Deployment, ExternalAddress, UnsupportedSpec
from infra.targets.docker import preflight
from infra.targets.docker.components import Images, Network, Surroundings, WorkloadComponent
from infra.targets.docker.hooks import Hooks, NoHooks
from infra.targets.docker.naming import clients_network_name
from infra.targets.docker.readiness import Readiness
from infra.targets.docker.spec import spec_digest
from infra.topology.model import Endpoint, File, Topology
from toolchain.engine import Engine
from toolchain.engine_address import EngineAddress

__all__ = ["Demo", "DockerTarget"]

_LOOPBACK = "127.0.0.1"
_UPLOAD_LIMIT = 512 * 1024
"""Bytes. Files travel through Pulumi's state; a larger one belongs into an image or a volume."""


class DockerTarget:
    """Renders a topology into containers of one engine, published on the loopback address alone."""

    def __init__(self, stack: str, configured_host: str = "", hooks: NoHooks | None = None) -> None:
        self._stack = stack
        self._configured_host = configured_host
        self._hooks = hooks or Hooks(stack, lambda: self._engine, lambda: self._readiness)

    @cached_property
    def _engine(self) -> Engine:
        return Engine.connect(self._configured_host)

    @cached_property
    def _readiness(self) -> Readiness:
        return Readiness(self._engine, self._stack)

    def check(self, topology: Topology, *, preview: bool) -> None:
        """Find out whether ``deploy`` can succeed; see the protocol."""
        for container in topology.containers():
            for file in container.files:
                if isinstance(file, File) and len(file.content.encode()) > _UPLOAD_LIMIT:
                    raise UnsupportedSpec(container.name, f"the file {file.path}", f"larger than {_UPLOAD_LIMIT} bytes")
        _ = self._readiness  # remembers how the containers are now, before anything is changed
        preflight.require(
            [
                # A preview needs no images; an update says which are not built.
                *([] if preview else preflight.check_images(topology, self._engine)),
                *preflight.check_ports(topology, self._engine, self._stack),
                *preflight.check_disk(topology, self._engine, self._stack),
                *preflight.check_machine(topology, self._engine),
            ]
        )

    def deploy(self, topology: Topology, secrets: StackSecrets) -> Deployment:
        """Register the resources; see the protocol."""
        address = EngineAddress.resolve(self._configured_host)
        certificates = str(address.certificates) if address.certificates else None
        provider = docker.Provider("docker", host=address.host, cert_path=certificates)
        Demo(self._stack, topology, secrets, self._hooks, provider)
        return Deployment(
            external={
                Endpoint(service.name, port.name): ExternalAddress(_LOOPBACK, port.host_port)
                for service, port in topology.published()
                if port.host_port is not None
            },
            inside=clients_network_name(self._stack),
        )


class Demo(pulumi.ComponentResource):
    """The whole demo; every other resource is its child."""

    def __init__(
        self, stack: str, topology: Topology, secrets: StackSecrets, hooks: NoHooks, provider: docker.Provider
    ) -> None:
        # An input, so that whatever changes below changes the demo too, whose hook then waits for the whole of it.
        digests = "".join(spec_digest(topology, container) for container in topology.containers())
        specification = hashlib.sha256(digests.encode()).hexdigest()[:16]
        options = pulumi.ResourceOptions(providers=[provider], hooks=hooks.demo(topology))
        super().__init__("compass:demo:Demo", "demo", {"specification": specification}, options)
        child = pulumi.ResourceOptions(parent=self)
        around = Surroundings(
            stack=stack,
            topology=topology,
            secrets=secrets,
            network=Network(stack, hooks, opts=child),
            images=Images(topology, opts=child),
            hooks=hooks,
        )
        ready: dict[str, pulumi.CustomResource] = {}
        for workload in topology.in_order():
            needs = [ready[need] for need in workload.needs]
            ready[workload.name] = WorkloadComponent(around, workload, needs=needs, opts=child).container
        containers = pulumi.Output.all(*(container.id for container in ready.values()))
        # The engine takes the demo as made when its outputs are known: after the last container.
        self.register_outputs({"network": around.network.bridge, "containers": containers})
