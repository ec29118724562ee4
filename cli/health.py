"""Whether the whole stack answers, as the gateway sees it from inside."""

import time
from typing import Any, Final

import requests

from cli.session import Session
from infra.errors import DemoError
from infra.topology import names

__all__ = ["stack_health", "wait_until_ready"]

_DEADLINE_SECONDS: Final = 120
_POLL_SECONDS: Final = 0.2
_LOOPBACK: Final = requests.Session()
_LOOPBACK.trust_env = False  # a company's proxy cannot reach this machine's loopback address


def stack_health(session: Session, *, timeout_seconds: float = 5) -> dict[str, Any]:
    """The gateway's answer to ``/ready/stack``, the failing services among it; empty if it does not answer."""
    port = session.topology.port(names.GATEWAY).host_port
    try:
        answer = _LOOPBACK.get(f"http://127.0.0.1:{port}/ready/stack", timeout=timeout_seconds)
        document: dict[str, Any] = answer.json()
        return {**document, "failing": document["failing"], "ready": answer.status_code == requests.codes.ok}
    except (requests.RequestException, ValueError, KeyError, TypeError):
        # Nobody answers, or another program has the gateway's port.
        return {}


def wait_until_ready(session: Session) -> None:
    """Return when every probe of the topology answers.

    Raises:
        DemoError: some still do not after the deadline; named, with their last log lines.
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
                raise DemoError(f"The stack is not ready after {_DEADLINE_SECONDS} seconds: {_missing(health)}.")
            time.sleep(_POLL_SECONDS)


def _missing(health: dict[str, Any]) -> str:
    if not health:
        return "the gateway does not answer"
    return "; ".join(f"{one['service']}: {one['reason']}" for one in health["failing"])
