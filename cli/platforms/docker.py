"""A stack on a Docker engine."""

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final

import requests

from cli.platforms.base import ServiceStatus, with_unknown
from cli.platforms.docker_drift import deviations
from cli.platforms.docker_engine import ensure_engine
from cli.platforms.docker_status import container_rows
from images.build import check_builder, ensure_images, missing_images
from infra.errors import DemoError
from infra.targets.docker import preflight
from infra.targets.docker.naming import LABEL_STACK, container_name
from infra.targets.docker.readiness import LOG_LINES
from infra.topology import names
from infra.topology.model import HttpProbe
from toolchain.engine import Engine
from toolchain.pulumi_tools import PulumiTools

if TYPE_CHECKING:
    from cli.doctor import Finding
    from cli.pulumi_stack import PulumiStack
    from cli.session import Session

__all__ = ["DockerPlatform", "remove_leftovers"]

_LOOPBACK: Final = requests.Session()
_LOOPBACK.trust_env = False  # a company's proxy cannot reach this machine's loopback address


class DockerPlatform:
    """See ``cli.platforms.base.Platform``."""

    def __init__(self, session: "Session") -> None:
        self._session = session

    def make_reachable(self) -> None:
        """An engine that answers."""
        ensure_engine(self._session.home, self._session.display, self._session.config.docker_host)

    def check(self) -> None:
        """Ports, disk and machine."""
        topology, engine, stack = self._session.topology, self._session.engine, self._session.stack
        preflight.require(
            [
                *preflight.check_ports(topology, engine, stack),
                *preflight.check_disk(topology, engine, stack),
                *preflight.check_machine(topology, engine),
            ]
        )

    def prepare(self) -> PulumiTools:
        """The engine with its Docker plugin, and every image on this machine."""
        one = self._session
        missing = missing_images(one.engine, one.topology.images)
        check_builder(one.config, missing)
        home = one.home.make_private()
        # Side by side: linkers and downloads leave processors idle.
        with ThreadPoolExecutor(1, thread_name_prefix="tools") as pool:
            tools = pool.submit(self.ensure_tools)
            ensure_images(one.config, missing, one.engine, home, one.display)
            return tools.result()

    def prepare_images(self) -> None:
        """Every image on this machine."""
        one = self._session
        ensure_images(one.config, one.topology.images, one.engine, one.home, one.display)

    def ensure_tools(self) -> PulumiTools:
        """The engine with its Docker plugin."""
        return PulumiTools.ensure(self._session.home.make_private(), self._session.display)

    def deviations(self) -> list[str]:
        """Containers, networks and volumes that are not as they should be."""
        return deviations(self._session.topology, self._session.engine, self._session.stack)

    def health(self, *, timeout_seconds: float) -> dict[str, Any]:
        """Asked on the gateway's published port."""
        port = self._session.topology.port(names.GATEWAY).host_port
        try:
            answer = _LOOPBACK.get(f"http://127.0.0.1:{port}/ready/stack", timeout=timeout_seconds)
            document: dict[str, Any] = answer.json()
            told = {**document, "failing": document["failing"], "ready": answer.status_code == requests.codes.ok}
        except (requests.RequestException, ValueError, KeyError, TypeError):
            # Nobody answers, or another program has the gateway's port.
            return {}
        return with_unknown(told, list(self._unknown_failing(timeout_seconds)))

    def _unknown_failing(self, timeout_seconds: float) -> Iterator[dict[str, str]]:
        for service in self._session.topology.services:
            probe = service.gate
            if service.known_to_agents or not isinstance(probe, HttpProbe):
                continue
            url = f"http://127.0.0.1:{service.port(probe.port).host_port}{probe.path}"
            try:
                status = _LOOPBACK.get(url, timeout=timeout_seconds).status_code
            except requests.RequestException:
                yield {"service": service.name, "reason": "does not answer"}
            else:
                if status != requests.codes.ok:
                    yield {"service": service.name, "reason": f"answers {status}"}

    def trouble(self) -> list[str]:
        """Every container that is down or was started again, with its last lines.

        The readiness hooks tell of those that die while they are made; an ``up`` with nothing to change runs none.
        """
        engine = self._session.engine
        told: list[str] = []
        for row in self.services({}):
            if row.ok and not row.restarts:
                continue
            told.append(f"{row.name}: {row.state}" + (f", started again {row.restarts} times" if row.restarts else ""))
            state = engine.container(container_name(self._session.stack, row.name))
            if state is not None:
                told.extend(f"    {line}" for line in engine.logs(state.id, lines=LOG_LINES))
        return told

    def services(self, health: Mapping[str, Any]) -> list[ServiceStatus]:
        """Every container as the engine sees it."""
        one = self._session
        return container_rows(one.stack, one.topology, one.engine, health)

    def remarks(self) -> list[str]:
        """None."""
        return []

    def logs(self, container: str, *, lines: int, follow: bool) -> Iterator[bytes]:
        """What the engine keeps of a container's output."""
        state = self._session.engine.container(container_name(self._session.stack, container))
        if state is None:
            raise DemoError(f"{container} has no container; run ./demo up.")
        if follow:
            yield from self._session.engine.follow_logs(state.id, lines=lines)
        else:
            for line in self._session.engine.logs(state.id, lines=lines):
                yield line.encode() + b"\n"

    def tunnel(self) -> None:
        """Refused: there is nothing to do."""
        raise DemoError(
            f"The stack {self._session.stack} runs on Docker, which publishes its ports on the loopback address itself."
        )

    def before_up(self, pulumi: "PulumiStack") -> None:
        """There is one plugin only."""

    def before_destroy(self, pulumi: "PulumiStack") -> None:
        """Remove what holds on to volumes and to the networks."""
        engine, stack = self._session.engine, self._session.stack
        # An interrupted `up` may have made containers that are not in the state; they would hold on to the volumes.
        known = pulumi.containers()
        for state in engine.containers(f"{LABEL_STACK}={stack}"):
            if state.id not in known:
                engine.remove(state.id)
        # A container of somebody else that joined a network would hold on to it.
        for network in engine.networks_labelled(f"{LABEL_STACK}={stack}"):
            engine.disconnect_others(network, LABEL_STACK)

    def remove_leftovers(self) -> None:
        """Everything that carries the stack's label."""
        remove_leftovers(self._session.engine, self._session.stack)

    def how_to_join(self, network: str, env_file: str) -> str:
        """By joining the network."""
        return f"For a container that joins the network: docker run --network {network} --env-file {env_file} ..."

    def findings(self) -> "Iterator[Finding]":
        """The engine, its machine, the images and the registry."""
        from cli.doctor import docker_findings  # noqa: PLC0415 # which asks for platforms

        yield from docker_findings(self._session)


def remove_leftovers(engine: Engine, stack: str) -> None:
    """What a killed ``pulumi`` made without writing it down."""
    label = f"{LABEL_STACK}={stack}"
    for state in engine.containers(label):
        engine.remove(state.id)
    for network in engine.networks_labelled(label):
        engine.remove_network(network)
    for volume in engine.volumes_labelled(label):
        engine.remove_volume(volume)
