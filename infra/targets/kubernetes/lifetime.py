"""The time to live of a demo on a cluster: an annotation of its namespace says when it is over."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from infra.targets.kubernetes.objects import STACK, annotations, labels, name_of

__all__ = ["EXPIRES", "expiry", "overdue"]

EXPIRES: Final = "compass-demo/expires"
"""Annotation of the namespace, RFC 3339."""


def expiry(namespace: Mapping[str, Any]) -> datetime | None:
    """When the demo in a namespace may be deleted; ``None`` if it has no time to live, or one that cannot be read."""
    try:
        moment = datetime.fromisoformat(annotations(namespace)[EXPIRES])
    except (KeyError, ValueError):
        # Unreadable counts as none: what is wrong must not delete anything.
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def overdue(namespace: Mapping[str, Any], now: datetime | None = None) -> str:
    """A sentence once the time is over, else nothing."""
    moment = expiry(namespace)
    if moment is None or moment > (now or datetime.now(UTC)):
        return ""
    stack = labels(namespace).get(STACK, name_of(namespace))
    return (
        f"The time to live of the stack {stack} was over at {moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC; "
        "./demo reap deletes it, compass-demo:timeToLiveHours and ./demo up give it more."
    )
