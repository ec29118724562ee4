"""Whether the whole stack answers, as the gateway sees it from inside."""

import time
from typing import Any, Final

from cli.session import Session
from infra.errors import DemoError

__all__ = ["stack_health", "wait_until_ready"]

_DEADLINE_SECONDS: Final = 120
_POLL_SECONDS: Final = 0.2


def stack_health(session: Session, *, timeout_seconds: float = 5) -> dict[str, Any]:
    """The gateway's answer to ``/ready/stack``, the failing services among it; empty if it does not answer."""
    return session.platform.health(timeout_seconds=timeout_seconds)


def wait_until_ready(session: Session) -> None:
    """Return when every probe of the topology answers.

    Raises:
        DemoError: some still do not after the deadline; named, with what the platform knows of them.
    """
    if stack_health(session).get("ready"):
        return
    deadline = time.monotonic() + _DEADLINE_SECONDS
    with session.display.step("everything answers") as step:
        while True:
            health = stack_health(session)
            if health.get("ready"):
                return
            step.update(_missing(health))
            if time.monotonic() > deadline:
                told = "\n".join(
                    [
                        f"The stack is not ready after {_DEADLINE_SECONDS} seconds: {_missing(health)}.",
                        *(f"    {line}" for line in session.platform.trouble()),
                    ]
                )
                raise DemoError(told)
            time.sleep(_POLL_SECONDS)


def _missing(health: dict[str, Any]) -> str:
    if not health:
        return "the gateway does not answer"
    return "; ".join(f"{one['service']}: {one['reason']}" for one in health["failing"])
