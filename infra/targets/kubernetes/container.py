"""A container of the topology as a container of a pod."""

from typing import Final

from pulumi_kubernetes.core import v1

from infra.targets.kubernetes.files import file_mounts
from infra.targets.kubernetes.probes import probes
from infra.targets.kubernetes.sizing import cores, cpu_request, mebibytes, memory_request
from infra.topology.model import Container, Endpoint, Service, Sidecar, Topology

__all__ = ["PRESTOP_SECONDS", "container_args", "container_security", "scratch_volume"]

PRESTOP_SECONDS: Final = 5
"""Between the end of a pod's endpoint and its signal: nodes hear of endpoints with a delay of a second or two."""


def container_args(topology: Topology, container: Container, image: str, *, leaves_gently: bool) -> v1.ContainerArgs:
    """One container.

    Args:
        topology: for the addresses in the environment.
        container: what to render.
        image: the reference that the cluster pulls.
        leaves_gently: whether it goes on serving for a moment when it is told to stop.
    """
    startup, readiness, liveness = probes(container) if isinstance(container, Service | Sidecar) else (None,) * 3
    ports = container.ports if isinstance(container, Service | Sidecar) else ()
    return v1.ContainerArgs(
        name=container.name,
        image=image,
        image_pull_policy="IfNotPresent",
        command=list(container.entrypoint) if container.entrypoint else None,
        args=list(container.command) or None,
        env=[
            v1.EnvVarArgs(name=name, value=topology.address(value) if isinstance(value, Endpoint) else value)
            for name, value in sorted(container.env.items())
        ]
        or None,
        ports=[v1.ContainerPortArgs(name=port.name, container_port=port.number, protocol="TCP") for port in ports]
        or None,
        resources=v1.ResourceRequirementsArgs(
            requests={
                "cpu": cores(cpu_request(container.cpus)),
                "memory": mebibytes(memory_request(container)),
            },
            limits={"cpu": cores(container.cpus), "memory": mebibytes(container.memory_mib)},
        ),
        startup_probe=startup,
        readiness_probe=readiness,
        liveness_probe=liveness,
        lifecycle=_lifecycle() if leaves_gently else None,
        volume_mounts=[
            *(
                v1.VolumeMountArgs(name=volume.name, mount_path=volume.path, read_only=volume.read_only or None)
                for volume in container.volumes
            ),
            *(
                v1.VolumeMountArgs(name=scratch_volume(container, number), mount_path=scratch.path)
                for number, scratch in enumerate(container.scratch)
            ),
            *file_mounts(container),
        ]
        or None,
        security_context=container_security(container),
        # The last log lines of a container that fails are what a person needs to see.
        termination_message_policy="FallbackToLogsOnError",
    )


def container_security(container: Container) -> v1.SecurityContextArgs:
    """What the restricted Pod Security standard demands, and a root file system that cannot be written to."""
    return v1.SecurityContextArgs(
        run_as_non_root=True,
        run_as_user=container.user,
        run_as_group=container.user,
        allow_privilege_escalation=False,
        privileged=False,
        read_only_root_filesystem=True,
        capabilities=v1.CapabilitiesArgs(drop=["ALL"]),
        seccomp_profile=v1.SeccompProfileArgs(type="RuntimeDefault"),
    )


def scratch_volume(container: Container, number: int) -> str:
    """The pod's name of a container's scratch space: each has its own, as on Docker."""
    return f"{container.name}-scratch-{number}"


def _lifecycle() -> v1.LifecycleArgs:
    # The kubelet's own wait: an image without a shell has no command for it.
    sleep = v1.SleepActionArgs(seconds=PRESTOP_SECONDS)
    return v1.LifecycleArgs(pre_stop=v1.LifecycleHandlerArgs(sleep=sleep))
