"""``demo status``: every container of the stack, and whether the stack answers."""

from dataclasses import asdict, dataclass
from typing import Any

from rich.markup import escape
from rich.table import Table

from cli.health import stack_health
from cli.platforms.base import ServiceStatus
from cli.session import Session

__all__ = ["StackStatus", "stack_status", "status_table"]


@dataclass(frozen=True, kw_only=True, slots=True)
class StackStatus:
    """The whole stack."""

    stack: str
    ready: bool
    services: list[ServiceStatus]
    remarks: list[str]
    """What a person should know beside it, such as that its time to live is over."""

    def as_json(self) -> dict[str, Any]:
        """The same as plain data."""
        return asdict(self)


def stack_status(session: Session) -> StackStatus:
    """Ask the platform and the gateway."""
    health = stack_health(session)
    rows = session.platform.services(health)
    return StackStatus(
        stack=session.stack,
        ready=bool(health.get("ready")) and all(row.ok for row in rows),
        services=rows,
        remarks=session.platform.remarks(),
    )


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
