"""A stack's containers as the Docker engine and the gateway see them."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

from cli.platforms.base import ServiceStatus, age
from infra.targets.docker.naming import LABEL_STACK, container_name
from infra.topology import names
from infra.topology.model import Container, Service, Task, Topology
from toolchain.engine import ContainerState, Engine

__all__ = ["container_rows"]


def container_rows(stack: str, topology: Topology, engine: Engine, health: Mapping[str, Any]) -> list[ServiceStatus]:
    """Ask the engine about every container."""
    states = {state.name: state for state in engine.containers(f"{LABEL_STACK}={stack}")}
    # The engine takes up to a second for each answer, so all are asked at once.
    running = [state.id for state in states.values() if state.status == "running"]
    with ThreadPoolExecutor(max_workers=len(running) or 1) as pool:
        memory = dict(zip(running, pool.map(engine.memory_bytes, running), strict=True))
    return [
        _row(container, states.get(container_name(stack, container.name)), health, memory)
        for container in topology.containers()
    ]


def _row(
    container: Container, state: ContainerState | None, health: Mapping[str, Any], memory: dict[str, int]
) -> ServiceStatus:
    word, ok = _judge(container, state, health)
    running = state is not None and state.status == "running"
    ports = container.ports if isinstance(container, Service) else ()
    return ServiceStatus(
        name=container.name,
        state=word,
        ok=ok,
        since=_age(state.started_at) if state and running else "",
        restarts=state.restarts if state else 0,
        memory_mib=round(memory.get(state.id, 0) / 2**20, 1) if state else 0.0,
        memory_limit_mib=container.memory_mib,
        addresses=[f"127.0.0.1:{port.host_port} {port.name}" for port in ports if port.host_port],
        image=container.image.reference,
    )


def _judge(container: Container, state: ContainerState | None, health: Mapping[str, Any]) -> tuple[str, bool]:
    if state is None:
        return "missing", False
    if isinstance(container, Task):
        done = (state.status, state.exit_code) == ("exited", 0)
        return ("done" if done else f"{state.status} ({state.exit_code})"), done
    if state.status != "running":
        return f"{state.status} ({state.exit_code})", False
    # The gateway's own check is the stack's, and the engine runs it every few seconds: its answer just now is newer.
    asked = container.name == names.GATEWAY.service and bool(health.get("ready"))
    if state.health == "unhealthy" and not asked:
        return "unhealthy", False
    for failing in health.get("failing", ()):
        if failing["service"] == container.name:
            return str(failing["reason"]), False
    answered = asked or container.name in health.get("services", {}) or state.health == "healthy"
    return ("answers" if answered else "running"), True


def _age(started_at: str) -> str:
    # The engine writes nanoseconds, which Python does not read.
    started = datetime.fromisoformat(started_at[:19]).replace(tzinfo=UTC)
    return age((datetime.now(UTC) - started).total_seconds())
