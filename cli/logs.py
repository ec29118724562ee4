"""``demo logs SERVICE``: what a container wrote."""

import difflib
import sys

from cli.session import Session
from infra.errors import DemoError

__all__ = ["show_logs"]


def show_logs(session: Session, service: str, *, lines: int, follow: bool) -> None:
    """Print the last lines of a service, sidecar or task, then go on with ``follow``.

    Raises:
        DemoError: there is no such service, or it has no container.
    """
    known = [container.name for container in session.topology.containers()]
    if service not in known:
        near = difflib.get_close_matches(service, known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}."
        raise DemoError(f"No service is named {service}; {hint}")
    for chunk in session.platform.logs(service, lines=lines, follow=follow):
        sys.stdout.buffer.write(chunk)
        sys.stdout.buffer.flush()
