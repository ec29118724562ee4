"""``demo up`` and ``demo preview``: from a bare machine to a running stack."""

import os
import sys
import threading
from typing import Any, Final

from cli.engine_events import Changes
from cli.health import wait_until_ready
from cli.locks import dead_lock
from cli.session import Session, existing_stacks
from images.catalog import upstream_image
from infra.config import load_stack_config
from infra.errors import DemoError
from infra.paths import REPOSITORY, DemoHome
from infra.program import load_target
from infra.stack_secrets import StackSecrets
from toolchain.engine import Engine

__all__ = ["bring_up", "choose_stack", "likely_stack", "preview"]

_REGISTRY_SECONDS: Final = 2


def choose_stack(home: DemoHome) -> tuple[str, str]:
    """The stack for an ``up`` without a name, and why it is that one.

    Raises:
        DemoError: several exist, or none can run here.
    """
    found = existing_stacks(home)
    if len(found) == 1:
        return found[0], "it is the one that exists"
    if found:
        raise DemoError(f"Several stacks exist ({', '.join(found)}); say which one is meant.")
    config = load_stack_config(REPOSITORY, "local")
    engine = Engine.connect(config.docker_host, timeout_seconds=_REGISTRY_SECONDS)
    if engine.registry_answers(upstream_image("postgres", config.image_mirror).reference):
        return "local", "an image registry answers"
    if sys.platform != "linux" or os.geteuid() != 0:
        raise DemoError(
            f"No image registry answers within {_REGISTRY_SECONDS} seconds, and building the images from packages "
            "needs Linux and root; set compass-demo:imageMirror in Pulumi.local.yaml to a registry that answers, "
            "and run ./demo up local."
        )
    return "airgap", f"no image registry answers within {_REGISTRY_SECONDS} seconds"


def likely_stack(home: DemoHome) -> str:
    """The stack that an ``up`` without a name would take; ``local`` where that cannot be said."""
    try:
        return choose_stack(home)[0]
    except DemoError:
        return "local"


def bring_up(session: Session) -> tuple[Changes, dict[str, Any]]:
    """Bring the stack up to its configuration and wait until all of it answers; returns changes and outputs.

    Raises:
        DemoError: one sentence for each fault; the next ``up`` continues from what is there.
    """
    topology = session.topology
    with session.exclusively(), session.display.running():
        # Beside the waits for the platform's answers and for the engine's start.
        threading.Thread(target=load_target, args=(session.config.target,), daemon=True).start()
        session.platform.check()
        tools = session.platform.prepare()
        pulumi = session.with_tools(tools)
        drifted, new = _drifted(session), not StackSecrets.exist(session.home.stack(session.stack))
        if drifted or new:
            session.display.plan(container.name for container in topology.containers())
        if dead_lock(session.home.state, session.stack):
            pulumi.cancel_dead_lock()
        session.platform.before_up(pulumi)
        result = pulumi.up(refresh=drifted, create=new)
        wait_until_ready(session)
    return result


def preview(session: Session) -> Changes:
    """What ``bring_up`` would change; changes nothing itself.

    Raises:
        DemoError: as ``bring_up``.
    """
    with session.exclusively(), session.display.running():
        tools = session.platform.ensure_tools()
        pulumi = session.with_tools(tools)
        session.platform.before_up(pulumi)
        return pulumi.preview(refresh=_drifted(session))


def _drifted(session: Session) -> bool:
    """Whether the platform may differ from the state, so that a refresh is worth its seconds."""
    if not StackSecrets.exist(session.home.stack(session.stack)):
        return False
    return bool(session.platform.deviations())
