"""Whether the engine still has what the state says: a glance that costs milliseconds, where a refresh costs seconds."""

from infra.targets.docker.naming import LABEL_STACK, clients_network_name, container_name, network_name, volume_name
from infra.topology.model import Topology
from toolchain.engine import Engine

__all__ = ["deviations"]


def deviations(topology: Topology, engine: Engine, stack: str) -> list[str]:
    """What is missing or not as it should be in a stack that was brought up; empty when a refresh can be saved."""
    states = {state.name: state for state in engine.containers(f"{LABEL_STACK}={stack}")}
    tasks = {task.name for task in topology.tasks}
    found: list[str] = []
    for container in topology.containers():
        state = states.get(container_name(stack, container.name))
        if state is None:
            found.append(f"{container.name} is missing")
        elif container.name in tasks:
            if (state.status, state.exit_code) != ("exited", 0):
                found.append(f"{container.name} is not done")
        elif state.status != "running":
            found.append(f"{container.name} is {state.status}")
    networks = (network_name(stack), clients_network_name(stack))
    found.extend(f"the network {name} is missing" for name in networks if not engine.networks(name))
    volumes = {volume.name for container in topology.containers() for volume in container.volumes}
    found.extend(
        f"the volume {name} is missing"
        for name in sorted(volumes)
        if engine.volume_labels(volume_name(stack, name)) is None
    )
    return found
