"""Pulumi hooks, so that plain ``pulumi up`` too waits for containers and clears away what a killed run left."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

import pulumi

from infra.errors import DemoError
from infra.targets.docker.naming import LABEL_GENERATION, LABEL_STACK, container_name, volume_name
from infra.targets.docker.readiness import Readiness
from infra.topology.model import Container, ExecProbe, Service, Task, Topology
from toolchain.engine import Engine

__all__ = ["Hooks", "NoHooks"]


class NoHooks:
    """No hooks at all, for mocks: they have no callback server to register one with."""

    def demo(self, topology: Topology) -> pulumi.ResourceHookBinding:  # noqa: ARG002 # the signature of Hooks
        """Nothing for the whole demo."""
        return pulumi.ResourceHookBinding()

    def container(self, container: Container, *, needed: bool) -> pulumi.ResourceHookBinding:  # noqa: ARG002 # likewise
        """Nothing for a container."""
        return pulumi.ResourceHookBinding()

    def network(self, name: str) -> pulumi.ResourceHookBinding:  # noqa: ARG002 # the signature of Hooks
        """Nothing for a network."""
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

    def demo(self, topology: Topology) -> pulumi.ResourceHookBinding:
        """When every container is there: wait for the services that check themselves and that nobody needed before.

        The engine stops taking in resources while a hook of one of them runs, so a service whose probe looks at others
        must not be waited for when it is made itself.
        """
        needed = topology.needed
        waits = [
            self._ready(service, service.probe)
            for service in topology.services
            if isinstance(service.probe, ExecProbe) and service.name not in needed
        ]
        return pulumi.ResourceHookBinding(after_create=[*waits], after_update=[*waits])

    def container(self, container: Container, *, needed: bool) -> pulumi.ResourceHookBinding:
        """Clear a leftover away; then wait until a task is done, or a needed service ready (exec probe)."""
        binding = pulumi.ResourceHookBinding(
            before_create=[_hook(f"{container.name}-leftover", lambda: self._remove_container(container.name))]
        )
        if isinstance(container, Task):
            done = _waiting_hook(f"{container.name}-done", lambda: self._readiness().wait_until_done(container))
            binding.after_create = [done]
        elif needed and isinstance(container, Service) and isinstance(container.probe, ExecProbe):
            ready = self._ready(container, container.probe)
            binding.after_create = [ready]
            binding.after_update = [ready]
        return binding

    def _ready(self, service: Service, probe: ExecProbe) -> pulumi.ResourceHook:
        return _waiting_hook(f"{service.name}-ready", lambda: self._readiness().wait_until_ready(service, probe))

    def network(self, name: str) -> pulumi.ResourceHookBinding:
        """Clear leftover networks away: the engine lets two have one name, and then joins neither."""
        return pulumi.ResourceHookBinding(
            before_create=[_hook(f"{name}-leftover", lambda: self._remove_networks(name))]
        )

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

    def _remove_networks(self, name: str) -> None:
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
    # The engine's client blocks, and the program's loop has other hooks to serve.
    return _waiting_hook(name, lambda: asyncio.to_thread(action))


def _waiting_hook(name: str, action: Callable[[], Awaitable[None]]) -> pulumi.ResourceHook:
    async def run(_: pulumi.ResourceHookArgs) -> None:
        await action()

    return pulumi.ResourceHook(name, run)
