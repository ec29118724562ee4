"""A container of the topology as arguments of ``docker.Container``."""

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence

import pulumi
import pulumi_docker as docker

from infra.stack_secrets import StackSecrets
from infra.targets.docker.naming import LABEL_SERVICE, LABEL_SPEC, LABEL_STACK, container_name
from infra.topology.model import Container, Endpoint, ExecProbe, File, SecretFile, Service, Sidecar, Task, Topology

__all__ = ["container_args", "spec_digest"]

_LOOPBACK = "127.0.0.1"
_HEALTH_INTERVAL_SECONDS = 10
"""Each check starts a process through the engine, which costs more than the check; starting up does not wait for it."""


def container_args(
    stack: str,
    topology: Topology,
    container: Container,
    *,
    secrets: StackSecrets,
    image_id: pulumi.Input[str],
    networks: Sequence[pulumi.Input[str]],
    volumes: Mapping[str, pulumi.Input[str]],
) -> docker.ContainerArgs:
    """Arguments of the resource.

    Args:
        stack: name of the stack.
        topology: for the addresses in the environment.
        container: what to render.
        secrets: values for its secret files.
        image_id: the image, by id: by name it would be replaced for ever.
        networks: names of the networks on which others find it by its name.
        volumes: topology's volume name -> engine's volume name.
    """
    task = isinstance(container, Task)
    labels = {LABEL_STACK: stack, LABEL_SERVICE: container.name, LABEL_SPEC: spec_digest(topology, container)}
    return docker.ContainerArgs(
        name=container_name(stack, container.name),
        image=image_id,
        hostname=container.name,
        entrypoints=list(container.entrypoint) if container.entrypoint else None,
        command=list(container.command) or None,
        envs=[f"{name}={value}" for name, value in _environment(topology, container).items()],
        user=str(container.user),
        networks_advanced=[
            docker.ContainerNetworksAdvancedArgs(name=network, aliases=[container.name]) for network in networks
        ],
        ports=_ports(container),
        mounts=[
            *(_volume_mount(volume.path, volumes[volume.name], volume.read_only) for volume in container.volumes),
            *(_scratch_mount(scratch.path, scratch.size_mib) for scratch in container.scratch),
        ],
        uploads=[_upload(file, secrets) for file in container.files],
        memory=container.memory_mib,
        # Equal to the memory, or every refresh finds the engine's own value and a difference.
        memory_swap=container.memory_mib,
        cpus=str(float(container.cpus)),
        capabilities=docker.ContainerCapabilitiesArgs(drops=["ALL"]),
        security_opts=["no-new-privileges:true"],
        labels=[docker.ContainerLabelArgs(label=label, value=value) for label, value in sorted(labels.items())],
        healthcheck=_healthcheck(container),
        init=task,
        must_run=not task,
        restart="no" if task else "unless-stopped",
        log_driver="json-file",
        log_opts={"max-size": "5m", "max-file": "2"},
        destroy_grace_seconds=container.stop_grace_seconds,
        stop_timeout=container.stop_grace_seconds,
    )


def spec_digest(topology: Topology, container: Container) -> str:
    """Digest over everything that the topology says of a container.

    As a label it makes any change replace the container: the provider applies some edits (health checks, tmpfs)
    to nothing at all.
    """
    content = dataclasses.asdict(container) | {"env": _environment(topology, container), "sidecars": None}
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()[:16]


def _environment(topology: Topology, container: Container) -> dict[str, str]:
    return {
        name: topology.address(value) if isinstance(value, Endpoint) else value
        for name, value in sorted(container.env.items())
    }


def _ports(container: Container) -> list[docker.ContainerPortArgs]:
    if not isinstance(container, Service | Sidecar):
        return []
    return [
        docker.ContainerPortArgs(internal=port.number, external=port.host_port, ip=_LOOPBACK, protocol="tcp")
        for port in container.ports
        if port.host_port is not None
    ]


def _volume_mount(path: str, name: pulumi.Input[str], read_only: bool) -> docker.ContainerMountArgs:
    return docker.ContainerMountArgs(type="volume", source=name, target=path, read_only=read_only)


def _scratch_mount(path: str, size_mib: int) -> docker.ContainerMountArgs:
    return docker.ContainerMountArgs(
        type="tmpfs",
        target=path,
        tmpfs_options=docker.ContainerMountTmpfsOptionsArgs(size_bytes=size_mib * 1024 * 1024, mode=0o1777),
    )


def _upload(file: File | SecretFile, secrets: StackSecrets) -> docker.ContainerUploadArgs:
    # The container's user has no name in most images, and the engine wants a name to own a file: hence 0444.
    if isinstance(file, File):
        return docker.ContainerUploadArgs(file=file.path, content=file.content, permissions="0444")
    secret = pulumi.Output.secret(secrets.values[file.secret.name])
    return docker.ContainerUploadArgs(file=file.path, content=secret, permissions="0444")


def _healthcheck(container: Container) -> docker.ContainerHealthcheckArgs | None:
    probe = container.probe if isinstance(container, Service | Sidecar) else None
    if not isinstance(probe, ExecProbe):
        return None
    return docker.ContainerHealthcheckArgs(
        tests=["CMD", *probe.command],
        interval=f"{_HEALTH_INTERVAL_SECONDS}s",
        timeout="5s",
        retries=3,
        start_period=_go_duration(probe.deadline_seconds),
    )


def _go_duration(seconds: int) -> str:
    """Seconds as the engine writes them; any other form of the same time is a difference at every refresh."""
    minutes, rest = divmod(seconds, 60)
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"
