"""The Docker engine as this project uses it: the one place that speaks docker-py, which is typed in parts only."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# docker-py's answers are the engine's JSON; every value is given a type here, before anyone else sees it.

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO, Any

import docker.errors
import requests
from docker import DockerClient

from infra import versions
from infra.errors import EngineError
from toolchain.engine_address import EngineAddress

__all__ = ["ContainerState", "Engine", "EngineInfo"]


@dataclass(frozen=True, kw_only=True, slots=True)
class ContainerState:
    """A container as the engine sees it now."""

    id: str
    name: str
    labels: Mapping[str, str]
    status: str
    """``created``, ``running``, ``restarting``, ``exited``, ``paused``, ``removing`` or ``dead``."""
    exit_code: int
    restarts: int
    restarts_always: bool
    health: str | None
    """``starting``, ``healthy`` or ``unhealthy``; ``None`` without a check."""
    started_at: str
    image: str
    memory_mib: int


@dataclass(frozen=True, kw_only=True, slots=True)
class EngineInfo:
    """The engine's machine."""

    version: str
    cpus: int
    memory_mib: int
    root: Path


class Engine:
    """A Docker engine that answers."""

    def __init__(self, client: DockerClient, host: str) -> None:
        self._client = client
        self.host = host

    @classmethod
    def connect(cls, configured: str = "", *, timeout_seconds: int = 60) -> "Engine":
        """Connect to the engine and check that it is new enough.

        Raises:
            EngineError: no engine, no rights, or too old; one sentence with what to do.
        """
        address = EngineAddress.resolve(configured)
        host, tls = address.host, address.tls
        try:
            client = DockerClient(base_url=host, tls=tls or False, timeout=timeout_seconds, version="auto")
            version: dict[str, Any] = client.version()
        except (docker.errors.DockerException, requests.RequestException) as error:
            raise EngineError(_sentence(host, error)) from None
        api = tuple(int(part) for part in str(version["ApiVersion"]).split("."))
        if api < versions.DOCKER_API_MINIMUM:
            raise EngineError(f"The Docker engine at {host} is {version['Version']}; 20.10 or newer is needed.")
        return cls(client, host)

    @cached_property
    def info(self) -> EngineInfo:
        """Size of the machine."""
        info: dict[str, Any] = self._client.info()
        return EngineInfo(
            version=str(info["ServerVersion"]),
            cpus=int(info["NCPU"]),
            memory_mib=int(info["MemTotal"]) // 2**20,
            root=Path(str(info["DockerRootDir"])),
        )

    # Images

    def image_references(self) -> set[str]:
        """The names of all images, as the engine writes them."""
        return {str(tag) for image in self._client.api.images() for tag in image.get("RepoTags") or ()}

    def has_image(self, reference: str) -> bool:
        """Whether the engine has the image."""
        try:
            self._client.images.get(reference)
        except docker.errors.ImageNotFound:
            return False
        return True

    def registry_answers(self, reference: str) -> bool:
        """Whether the registry of an image answers the engine, its mirrors and proxies included, in time."""
        try:
            self._client.api.inspect_distribution(reference)
        except (docker.errors.DockerException, requests.RequestException):
            return False
        return True

    def registry_digest(self, reference: str) -> str | None:
        """The digest that a registry has for a reference; ``None`` if it has none.

        Raises:
            EngineError: the registry does not answer the engine, or refuses; the message is the registry's own.
        """
        try:
            answer: dict[str, Any] = self._client.api.inspect_distribution(reference)
        except docker.errors.NotFound:
            return None
        except docker.errors.APIError as error:
            raise EngineError(str(error.explanation or error)) from None
        return str(answer["Descriptor"]["digest"])

    def push(self, reference: str, *, repository: str, tag: str) -> Iterator[Mapping[str, Any]]:
        """Push an image under another name, which the engine forgets again; yields its events, ``error`` among them."""
        self._client.images.get(reference).tag(repository, tag)
        try:
            yield from self._client.api.push(repository, tag=tag, stream=True, decode=True)
        finally:
            self.remove_image(f"{repository}:{tag}")

    def pull(self, repository: str, tag: str) -> Iterator[Mapping[str, Any]]:
        """Pull an image; yields the engine's progress events, ``error`` among them."""
        yield from self._client.api.pull(repository, tag=tag, stream=True, decode=True)

    def build(
        self, context: IO[bytes], *, reference: str, arguments: Mapping[str, str], labels: Mapping[str, str]
    ) -> Iterator[Mapping[str, Any]]:
        """Build an image from a tar of its context; yields the engine's progress events, ``error`` among them."""
        yield from self._client.api.build(
            fileobj=context,
            custom_context=True,
            tag=reference,
            buildargs=dict(arguments),
            labels=dict(labels),
            rm=True,
            forcerm=True,
            decode=True,
        )

    def import_image(self, archive: IO[bytes], *, repository: str, tag: str, changes: list[str]) -> None:
        """Make an image of a root file system.

        Raises:
            EngineError: the engine refused it.
        """
        answer = str(
            self._client.api.import_image_from_stream(archive, repository=repository, tag=tag, changes=changes)
        )
        if '"error"' in answer:
            raise EngineError(f"The Docker engine did not import {repository}: {answer.strip()}")

    def images_labelled(self, label: str) -> list[str]:
        """Ids of all images with a label."""
        return [str(image.id) for image in self._client.images.list(filters={"label": label})]

    def remove_image(self, image: str, *, all_names: bool = False) -> None:
        """Remove an image if it is there and no container uses it; by id it needs ``all_names`` if it has several."""
        try:
            self._client.images.remove(image, force=all_names)
        except (docker.errors.ImageNotFound, docker.errors.APIError):
            return

    # Containers

    def containers(self, label: str) -> list[ContainerState]:
        """All containers with a label (``key=value``), running or not."""
        found = self._client.containers.list(all=True, filters={"label": label}, ignore_removed=True)
        return [_state(container.attrs) for container in found]

    def container(self, name: str) -> ContainerState | None:
        """One container by name or id."""
        try:
            return _state(self._client.containers.get(name).attrs)
        except docker.errors.NotFound:
            return None

    def run_inside(self, container: str, command: list[str]) -> tuple[int, str]:
        """Exit code and output of a command in a container; -1 while it cannot run there."""
        try:
            result = self._client.containers.get(container).exec_run(command)
        except docker.errors.APIError as error:
            return -1, str(error.explanation or error)
        output: Any = result.output or b""
        code = -1 if result.exit_code is None else int(result.exit_code)
        return code, bytes(output).decode(errors="replace").strip()

    def logs(self, container: str, *, lines: int) -> list[str]:
        """The last lines that a container wrote; none from one that is being removed."""
        try:
            output: bytes = self._client.containers.get(container).logs(tail=lines)
        except docker.errors.APIError:
            return []
        return output.decode(errors="replace").splitlines()

    def follow_logs(self, container: str, *, lines: int) -> Iterator[bytes]:
        """The last lines that a container wrote, then what it writes, until it ends."""
        yield from self._client.containers.get(container).logs(tail=lines, stream=True, follow=True)

    def stop(self, container: str, *, grace_seconds: int) -> None:
        """Stop a container, which also ends its restarts."""
        self._client.containers.get(container).stop(timeout=grace_seconds)

    def remove(self, container: str) -> None:
        """Remove a container, running or not, with the nameless volumes that its image made; those with names stay."""
        try:
            self._client.containers.get(container).remove(force=True, v=True)
        except docker.errors.NotFound:
            return

    def published_ports(self, label: str | None = None) -> dict[int, str]:
        """Host port -> name of the container that holds it."""
        filters = {"label": label} if label else None
        return {
            int(port["PublicPort"]): str(container["Names"][0]).lstrip("/")
            for container in self._client.api.containers(filters=filters)
            for port in container.get("Ports", ())
            if "PublicPort" in port
        }

    def claimed_ports(self, label: str) -> set[int]:
        """Host ports that containers with a label have, or will have in a moment."""
        filters: dict[str, Any] = {"label": label, "status": ["created", "running", "restarting"]}
        found = self._client.containers.list(all=True, filters=filters, ignore_removed=True)
        return {
            int(binding["HostPort"])
            for container in found
            for bindings in (container.attrs["HostConfig"].get("PortBindings") or {}).values()
            for binding in bindings
        }

    def memory_bytes(self, container: str) -> int:
        """What ``docker stats`` shows as a container's memory: its usage without inactive file pages."""
        stats: dict[str, Any] = self._client.api.stats(container, stream=False, one_shot=True)
        memory: dict[str, Any] = stats.get("memory_stats") or {}
        detail: dict[str, Any] = memory.get("stats") or {}
        inactive = detail.get("total_inactive_file", detail.get("inactive_file", 0))
        return max(0, int(memory.get("usage", 0)) - int(inactive))

    # Networks and volumes

    def networks(self, name: str) -> dict[str, Mapping[str, str]]:
        """Id -> labels of the networks of exactly that name; the engine allows several."""
        found = self._client.networks.list(names=[name])
        return {str(n.id): dict(n.attrs.get("Labels") or {}) for n in found if n.name == name}

    def remove_network(self, network: str) -> None:
        """Remove a network, after taking every container off it."""
        found = self._client.networks.get(network)
        for container in found.containers:
            found.disconnect(container, force=True)
        found.remove()

    def disconnect_others(self, network: str, label: str) -> None:
        """Take every container off a network that does not have the label."""
        found = self._client.networks.get(network)
        for container in found.containers:
            if label not in container.labels:
                found.disconnect(container, force=True)

    def networks_labelled(self, label: str) -> list[str]:
        """Ids of all networks with a label."""
        return [str(network.id) for network in self._client.networks.list(filters={"label": label})]

    def volumes_labelled(self, label: str) -> list[str]:
        """Names of all volumes with a label."""
        return [str(volume.name) for volume in self._client.volumes.list(filters={"label": label})]

    def volume_labels(self, name: str) -> Mapping[str, str] | None:
        """Labels of a volume; ``None`` if there is none of that name."""
        try:
            volume = self._client.volumes.get(name)
        except docker.errors.NotFound:
            return None
        return dict(volume.attrs.get("Labels") or {})

    def remove_volume(self, name: str) -> None:
        """Remove a volume that no container uses."""
        self._client.volumes.get(name).remove(force=True)


def _state(attributes: Mapping[str, Any]) -> ContainerState:
    state: dict[str, Any] = attributes["State"]
    return ContainerState(
        id=str(attributes["Id"]),
        name=str(attributes["Name"]).lstrip("/"),
        labels=dict(attributes["Config"].get("Labels") or {}),
        status=str(state["Status"]),
        exit_code=int(state["ExitCode"]),
        restarts=int(attributes["RestartCount"]),
        restarts_always=attributes["HostConfig"]["RestartPolicy"]["Name"] == "unless-stopped",
        health=str(state["Health"]["Status"]) if state.get("Health") else None,
        started_at=str(state["StartedAt"]),
        image=str(attributes["Config"]["Image"]),
        memory_mib=int(attributes["HostConfig"]["Memory"]) // 2**20,
    )


def _sentence(host: str, error: Exception) -> str:
    # docker-py wraps the cause several times (requests, urllib3), so the words are all there is to go by.
    text = str(error)
    if "Permission denied" in text or "Access is denied" in text:
        return (
            f"There is a Docker engine at {host} but this user may not use it; "
            "add the user to the group docker (sudo usermod -aG docker $USER, then log in again) and try again."
        )
    return (
        f"No Docker engine answers at {host}; install and start Docker Desktop, Docker Engine "
        "or Debian's docker.io, then try again."
    )
