"""``demo status``: every container of the stack, and whether the stack answers."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from rich.markup import escape
from rich.table import Table

from cli.health import stack_health
from cli.session import Session
from infra.targets.docker.naming import LABEL_STACK, container_name
from infra.topology import names
from infra.topology.model import Container, Service, Task
from toolchain.engine import ContainerState

__all__ = ["ServiceStatus", "StackStatus", "stack_status", "status_table"]


@dataclass(frozen=True, kw_only=True, slots=True)
class ServiceStatus:
    """One container."""

    name: str
    state: str
    """``answers``, ``running``, ``done``, ``missing``, or what the engine or the probe says."""
    ok: bool
    since: str
    restarts: int
    memory_mib: float
    memory_limit_mib: int
    addresses: list[str]
    image: str


@dataclass(frozen=True, kw_only=True, slots=True)
class StackStatus:
    """The whole stack."""

    stack: str
    ready: bool
    services: list[ServiceStatus]

    def as_json(self) -> dict[str, Any]:
        """The same as plain data."""
        return asdict(self)


def stack_status(session: Session) -> StackStatus:
    """Ask the engine and the gateway."""
    health = stack_health(session)
    states = {state.name: state for state in session.engine.containers(f"{LABEL_STACK}={session.stack}")}
    # The engine takes up to a second for each answer, so all are asked at once.
    running = [state.id for state in states.values() if state.status == "running"]
    with ThreadPoolExecutor(max_workers=len(running) or 1) as pool:
        memory = dict(zip(running, pool.map(session.engine.memory_bytes, running), strict=True))
    rows = [
        _row(container, states.get(container_name(session.stack, container.name)), health, memory)
        for container in session.topology.containers()
    ]
    return StackStatus(stack=session.stack, ready=bool(health.get("ready")) and all(r.ok for r in rows), services=rows)


def _row(
    container: Container, state: ContainerState | None, health: dict[str, Any], memory: dict[str, int]
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


def _judge(container: Container, state: ContainerState | None, health: dict[str, Any]) -> tuple[str, bool]:
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
    # The clock of the engine's machine may be ahead of ours.
    seconds = max(0, int((datetime.now(UTC) - started).total_seconds()))
    hours, minutes = seconds // 3600, seconds % 3600 // 60
    return f"{hours} h {minutes} min" if hours else (f"{minutes} min" if minutes else f"{seconds} s")


def status_table(status: StackStatus) -> Table:
    """The status for a person."""
    total = sum(row.memory_mib for row in status.services)
    table = Table(
        title=f"stack {status.stack}: {'ready' if status.ready else 'NOT READY'}, {total:.0f} MiB",
        title_style="bold green" if status.ready else "bold red",
        box=None,
        padding=(0, 2, 0, 0),
    )
    for column in ("service", "state", "since", "memory", "address"):
        table.add_column(column, justify="right" if column == "memory" else "left")
    for row in status.services:
        restarts = f", {row.restarts} restarts" if row.restarts else ""
        memory = f"{row.memory_mib:.0f} / {row.memory_limit_mib} MiB" if row.memory_mib else ""
        state = f"[{'green' if row.ok else 'red'}]{escape(row.state)}[/]{restarts}"
        table.add_row(row.name, state, row.since, memory, "\n".join(row.addresses))
    return table
