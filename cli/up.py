"""``demo up``, ``demo preview`` and ``demo images``: from a bare machine to a running stack."""

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from rich.prompt import Confirm

from cli.drift import deviations
from cli.health import wait_until_ready
from cli.locks import dead_lock
from cli.progress import Display
from cli.pulumi_stack import Changes
from cli.session import Session, existing_stacks
from images.build import check_builder, ensure_images, missing_images
from images.catalog import upstream_image
from infra.config import load_stack_config
from infra.errors import DemoError, EngineError
from infra.paths import REPOSITORY, DemoHome
from infra.stack_secrets import StackSecrets
from infra.targets.docker import preflight
from toolchain.engine import Engine
from toolchain.engine_setup import can_install, install
from toolchain.pulumi_tools import PulumiTools

__all__ = ["bring_up", "choose_stack", "ensure_engine", "prepare", "prepare_images", "preview"]

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


def ensure_engine(home: DemoHome, display: Display, configured: str = "") -> None:
    """Make sure that a Docker engine answers, installing Debian's where that is ours to do.

    Args:
        home: The demo's directory.
        display: Shows the installation.
        configured: The stack's ``dockerHost``; an engine that somebody chose is not replaced by another.

    Raises:
        EngineError: there is none and none can be installed here.
    """
    try:
        Engine.connect(configured)
    except EngineError:
        if configured or not can_install():
            raise
        if sys.stdin.isatty() and not Confirm.ask("No Docker engine answers. Install and start Debian's docker.io?"):
            raise
        display.say("No Docker engine answers; installing and starting Debian's docker.io.")
        with display.running():
            install(home, display)


def prepare_images(session: Session) -> None:
    """Pull or build every image that is missing.

    Raises:
        ImageError: one cannot be had.
    """
    ensure_images(session.config, session.topology.images, session.engine, session.home, session.display)


def prepare(session: Session) -> PulumiTools:
    """Make sure of the tools and the images, side by side: linkers and downloads leave processors idle.

    Raises:
        DemoError: one cannot be had.
    """
    missing = missing_images(session.engine, session.topology.images)
    check_builder(session.config, missing)
    home = session.home.make_private()
    with ThreadPoolExecutor(1, thread_name_prefix="tools") as pool:
        tools = pool.submit(PulumiTools.ensure, home, session.display)
        ensure_images(session.config, missing, session.engine, home, session.display)
        return tools.result()


def bring_up(session: Session) -> tuple[Changes, dict[str, Any]]:
    """Bring the stack up to its configuration and wait until all of it answers; returns changes and outputs.

    Raises:
        DemoError: one sentence for each fault; the next ``up`` continues from what is there.
    """
    topology, engine = session.topology, session.engine
    with session.exclusively(), session.display.running():
        preflight.require(
            [
                *preflight.check_ports(topology, engine, session.stack),
                *preflight.check_disk(topology, engine, session.stack),
                *preflight.check_machine(topology, engine),
            ]
        )
        tools = prepare(session)
        pulumi = session.with_tools(tools)
        drifted, new = _drifted(session), not StackSecrets.exist(session.home.stack(session.stack))
        if drifted or new:
            session.display.plan(container.name for container in topology.containers())
        if dead_lock(session.home.state, session.stack):
            pulumi.cancel_dead_lock()
        result = pulumi.up(refresh=drifted, create=new)
        wait_until_ready(session)
    return result


def preview(session: Session) -> Changes:
    """What ``bring_up`` would change; changes nothing itself.

    Raises:
        DemoError: as ``bring_up``.
    """
    with session.exclusively(), session.display.running():
        tools = PulumiTools.ensure(session.home, session.display)
        return session.with_tools(tools).preview(refresh=_drifted(session))


def _drifted(session: Session) -> bool:
    """Whether the engine may differ from the state, so that a refresh is worth its seconds."""
    if not StackSecrets.exist(session.home.stack(session.stack)):
        return False
    return bool(deviations(session.topology, session.engine, session.stack))
