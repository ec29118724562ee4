"""Pulumi hooks, so that plain ``pulumi up`` too waits for containers and clears away what a killed run left."""

import asyncio
from collections.abc import Callable, Mapping

import pulumi

from infra.errors import DemoError
from infra.targets.docker.naming import LABEL_GENERATION, LABEL_STACK, container_name, network_name, volume_name
from infra.targets.docker.readiness import Readiness
from infra.topology.model import Container, ExecProbe, Service, Task
from toolchain.engine import Engine

__all__ = ["Hooks", "NoHooks"]


class NoHooks:
    """No hooks at all, for mocks: they have no callback server to register one with."""

    def container(self, container: Container) -> pulumi.ResourceHookBinding:  # noqa: ARG002 # the signature of Hooks
        """Nothing for a container."""
        return pulumi.ResourceHookBinding()

    def network(self) -> pulumi.ResourceHookBinding:
        """Nothing for the network."""
        return pulumi.ResourceHookBinding()

    def volume(self, name: str, generation: str) -> pulumi.ResourceHookBinding:  # noqa: ARG002 # the signature of Hooks
        """Nothing for a volume."""
        return pulumi.ResourceHookBinding()


class Hooks(NoHooks):
    """The hooks of one stack's resources; the engine runs them in updates, not in previews."""

    def __init__(self, stack: str, connect: Callable[[], Engine], readiness: Callable[[], Readiness]) -> None:
        """Take ways to the engine instead of the engine: mocked tests have none."""
        self._stack = stack
        self._connect = connect
        self._readiness = readiness

    def container(self, container: Container) -> pulumi.ResourceHookBinding:
        """Clear a leftover away; then wait until the container is ready (exec probe) or done (task)."""
        binding = pulumi.ResourceHookBinding(
            before_create=[_hook(f"{container.name}-leftover", lambda: self._remove_container(container.name))]
        )
        if isinstance(container, Task):
            binding.after_create = [
                _hook(f"{container.name}-done", lambda: self._readiness().wait_until_done(container))
            ]
        elif isinstance(container, Service) and isinstance(container.probe, ExecProbe):
            probe = container.probe
            ready = _hook(f"{container.name}-ready", lambda: self._readiness().wait_until_ready(container, probe))
            binding.after_create = [ready]
            binding.after_update = [ready]
        return binding

    def network(self) -> pulumi.ResourceHookBinding:
        """Clear leftover networks away: the engine lets two have one name, and then joins neither."""
        return pulumi.ResourceHookBinding(before_create=[_hook("network-leftover", self._remove_networks)])

    def volume(self, name: str, generation: str) -> pulumi.ResourceHookBinding:
        """Clear a volume away whose data was made with other secrets; the engine would hand out the old one."""
        return pulumi.ResourceHookBinding(
            before_create=[_hook(f"{name}-volume-leftover", lambda: self._remove_volume(name, generation))]
        )

    def _remove_container(self, service: str) -> None:
        name = container_name(self._stack, service)
        leftover = self._connect().container(name)
        if leftover is not None:
            self._require_ours("container", name, leftover.labels)
            self._connect().remove(leftover.id)

    def _remove_networks(self) -> None:
        name = network_name(self._stack)
        for network, labels in self._connect().networks(name).items():
            self._require_ours("network", name, labels)
            self._connect().remove_network(network)

    def _remove_volume(self, volume: str, generation: str) -> None:
        name = volume_name(self._stack, volume)
        labels = self._connect().volume_labels(name)
        if labels is None:
            return
        self._require_ours("volume", name, labels)
        if labels.get(LABEL_GENERATION) != generation:
            self._connect().remove_volume(name)

    def _require_ours(self, kind: str, name: str, labels: Mapping[str, str]) -> None:
        if labels.get(LABEL_STACK) != self._stack:
            raise DemoError(
                f"A {kind} named {name} exists and is not this demo's; remove it (docker {kind} rm {name})."
            )


def _hook(name: str, action: Callable[[], None]) -> pulumi.ResourceHook:
    async def run(_: pulumi.ResourceHookArgs) -> None:
        # The engine's client blocks, and the program's loop has other hooks to serve.
        await asyncio.to_thread(action)

    return pulumi.ResourceHook(name, run)
