"""Whether what is done for a request is recorded.

Whoever runs the demo reads the same telemetry as an agent does. Calls with the operators' token leave nothing that an
agent would find: no metric of the gateway's, no span, no line of its log. The guard decides for each request; metrics,
tracing and the lines about requests ask here.
"""

from __future__ import annotations

from contextvars import ContextVar

# Tasks inherit it: what is started for a request belongs to it.
_recorded: ContextVar[bool] = ContextVar("recorded", default=True)


def recorded() -> bool:
    """Return whether the request that is served now is recorded."""
    return _recorded.get()


def record(*, wanted: bool) -> None:
    """Decide for the request that is served now; for each one, since a connection's requests may share a context."""
    _recorded.set(wanted)
