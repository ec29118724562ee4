"""A span as a query sees it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.traceql.model import Kind, Status

Scalar = str | bool | int | float


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """One span of a trace; times in nanoseconds, since 1970 where they are moments."""

    span_id: str
    parent_id: str | None
    name: str
    kind: Kind
    status: Status
    start: int
    duration: int
    attributes: Mapping[str, Scalar]
    resource: Mapping[str, Scalar]

    @property
    def service(self) -> str:
        """The name of the service that made it."""
        return str(self.resource.get("service.name", ""))
