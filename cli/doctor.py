"""``demo doctor``: what the machine has of what the demo needs, each with what to do about it."""

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cli.session import Session, existing_stacks
from images.build import missing_images
from images.push import pushed_digests
from infra import versions
from infra.errors import DemoError
from infra.paths import DemoHome
from infra.targets.docker import preflight
from toolchain.engine import Engine
from toolchain.pulumi_tools import PulumiTools

if TYPE_CHECKING:
    from cli.platforms.kubernetes import KubernetesPlatform

__all__ = ["Finding", "docker_findings", "examine", "kubernetes_findings"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    what: str
    ok: bool
    detail: str


def examine(home: DemoHome, make_session: Callable[[str], Session], stack: str) -> Iterator[Finding]:
    """Look at everything that ``up`` of the stack needs; changes nothing."""
    yield Finding("Python", ok=True, detail=sys.version.split()[0])
    yield Finding("demo's directory", ok=True, detail=str(home.root))
    yield Finding("stacks on this machine", ok=True, detail=", ".join(existing_stacks(home)) or "none")
    tools = PulumiTools.present(home)
    detail = f"{tools.executable} ({tools.origin})" if tools else f"{versions.PULUMI} will be fetched or built by up"
    yield Finding("Pulumi engine", ok=tools is not None, detail=detail)
    session = make_session(stack)
    try:
        _ = session.topology
    except DemoError as error:
        yield Finding(f"configuration of {stack}", ok=False, detail=str(error))
        return
    yield Finding(
        f"configuration of {stack}", ok=True, detail=f"{session.config.distribution} on {session.config.target}"
    )
    yield from session.platform.findings()


def docker_findings(session: Session) -> Iterator[Finding]:
    """The engine, its machine, the images and the registry."""
    topology, stack = session.topology, session.stack
    try:
        engine = session.engine
    except DemoError as error:
        yield Finding("Docker engine", ok=False, detail=str(error))
        return
    info = engine.info
    size = f"{info.version} at {engine.host}, {info.cpus} processors, {info.memory_mib} MiB"
    yield Finding("Docker engine", ok=True, detail=size)
    checks = {
        "processors and memory": preflight.check_machine(topology, engine),
        "disk": preflight.check_disk(topology, engine, stack),
        "ports": preflight.check_ports(topology, engine, stack),
    }
    for what, faults in checks.items():
        found = list(faults)
        yield Finding(
            what, ok=not found, detail=" ".join(found) or "enough" if what != "ports" else " ".join(found) or "free"
        )
    missing = missing_images(engine, topology.images)
    have = len(topology.images) - len(missing)
    yield Finding("images", ok=not missing, detail=f"{have} of {len(topology.images)} here; up gets the rest")
    yield from _registry(session)


def kubernetes_findings(session: Session, platform: "KubernetesPlatform") -> Iterator[Finding]:
    """The cluster, what it lacks for the stack, and the registry."""
    try:
        access, server, version = platform.access, platform.client.server, platform.version
    except DemoError as error:
        yield Finding("cluster", ok=False, detail=str(error))
        return
    where = f" of {access.kubeconfig}" if access.kubeconfig else ""
    yield Finding("cluster", ok=True, detail=f"{version} at {server}, context {access.context}{where}")
    try:
        platform.check()
    except DemoError as error:
        yield Finding(f"namespace {platform.namespace}", ok=False, detail=str(error))
    else:
        yield Finding(f"namespace {platform.namespace}", ok=True, detail="rights, quota and storage will do")
    built = [image for image in session.topology.images if image.built]
    if built and session.config.image_registry:
        try:
            there = pushed_digests(session.config, built)
        except DemoError as error:
            yield Finding("image registry", ok=False, detail=str(error))
        else:
            detail = f"{len(there)} of {len(built)} in {session.config.image_registry}; up pushes the rest"
            yield Finding("images", ok=len(there) == len(built), detail=detail)


def _registry(session: Session) -> Iterator[Finding]:
    wanted = [image for image in session.topology.images if not image.built]
    if wanted:
        quick = Engine.connect(session.config.docker_host, timeout_seconds=2)
        answers = quick.registry_answers(wanted[0].reference)
        yield Finding(
            "image registry",
            ok=answers,
            detail=f"{'answers' if answers else 'does not answer'} for {wanted[0].reference}",
        )
