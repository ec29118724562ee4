"""What must be true of the machine before anything is created; each fault is one sentence."""

import shutil
from collections.abc import Iterable, Iterator
from typing import Final

from images.build import missing_images
from infra.errors import DemoError
from infra.ports import holder, is_taken, taken_sentence
from infra.targets.docker.naming import LABEL_STACK, volume_name
from infra.topology.model import Topology
from toolchain.engine import Engine

__all__ = ["check_disk", "check_images", "check_machine", "check_ports", "require"]

_SPARE_MIB: Final = 1024
"""Beside the volumes: images' layers, logs, and what a database writes before it stops when a disk is full."""


def require(faults: Iterable[str]) -> None:
    """Raise one error with all faults, if there are any.

    Raises:
        DemoError: one line for each fault.
    """
    found = list(faults)
    if found:
        raise DemoError("\n".join(found))


def check_ports(topology: Topology, engine: Engine, stack: str) -> Iterator[str]:
    """Ports that another program holds: which program, and which key moves the port."""
    ours = engine.published_ports(f"{LABEL_STACK}={stack}")
    for service, port in topology.published():
        number = port.host_port
        if number is None or number in ours or not is_taken(number):
            continue
        # The engine does not list the ports of a container of ours that an interrupted `up` is just starting.
        if number not in engine.claimed_ports(f"{LABEL_STACK}={stack}"):
            container = engine.published_ports().get(number)
            yield taken_sentence(service.name, port, f"the container {container}" if container else holder(number))


def check_images(topology: Topology, engine: Engine) -> Iterator[str]:
    """Images of ours that are not built; official ones are pulled by the provider."""
    missing = [image for image in missing_images(engine, topology.images) if image.built]
    if missing:
        names = ", ".join(image.reference for image in missing)
        yield f"Not built yet: {names}. Run ./demo up, or ./demo images and then pulumi up."


def check_disk(topology: Topology, engine: Engine, stack: str) -> Iterator[str]:
    """Room for the volumes to be made and to spare, where the engine's disk can be seen (not with Docker Desktop)."""
    made = set(engine.volumes_labelled(f"{LABEL_STACK}={stack}"))
    wanted = _SPARE_MIB + sum(size for name, size in topology.volumes.items() if volume_name(stack, name) not in made)
    root = engine.info.root
    if root.is_dir():
        free = shutil.disk_usage(root).free // 2**20
        if free < wanted:
            yield f"{root} has {free} MiB free and the demo may take {wanted}; free some space (docker system prune)."


def check_machine(topology: Topology, engine: Engine) -> Iterator[str]:
    """Processors and memory of the engine's machine."""
    info = engine.info
    cpus = max(container.cpus for container in topology.containers())
    if info.cpus < cpus:
        yield f"The Docker engine has {info.cpus} processor and the demo needs {cpus:g}."
    most = max(container.memory_mib for container in topology.containers())
    if info.memory_mib < 2 * most:
        yield f"The Docker engine has {info.memory_mib} MiB of memory and the demo needs {2 * most} MiB."
