"""``demo destroy``: nothing of the stack is left, and with ``--all`` nothing of the demo."""

import contextlib
import json
import re
import shutil
from pathlib import Path

from cli.env_file import written_files
from cli.locks import dead_lock
from cli.session import Session, existing_stacks
from images.recipe import REPOSITORY_PREFIX
from infra.config import PROJECT, load_stack_config, stack_names
from infra.errors import ClusterError, DemoError
from infra.paths import REPOSITORY, DemoHome
from infra.program import make_topology
from infra.topology.model import Image
from toolchain.engine import Engine
from toolchain.progress import Progress

__all__ = ["remove_lab_cluster", "remove_stack", "remove_tools_and_images", "upstream_images"]


def remove_stack(session: Session, *, forget: bool = False) -> None:
    """Destroy the stack's resources, forget the stack, delete its files.

    Args:
        session: The stack.
        forget: Leave the resources where they are: their cluster is gone for good.

    Raises:
        DemoError: something could not be removed; what is left is named and the next ``destroy`` continues.
    """
    directory = session.home.stack(session.stack)
    with session.exclusively(), session.display.running():
        if dead_lock(session.home.state, session.stack):
            session.pulumi.cancel_dead_lock()
        if forget:
            session.pulumi.forget()
        else:
            _remove_resources(session)
        for path in written_files(directory):
            path.unlink(missing_ok=True)
        _remove_state(session.home, session.stack)
        _remove_records(session.home, session.stack)
    shutil.rmtree(directory, ignore_errors=True)


def _remove_resources(session: Session) -> None:
    try:
        session.platform.before_destroy(session.pulumi)
    except ClusterError as error:
        raise DemoError(
            f"{error} If that cluster is gone for good, ./demo destroy {session.stack} --forget deletes what is here."
        ) from None
    session.pulumi.destroy()
    with session.display.step("leftovers"):
        session.platform.remove_leftovers()


def remove_lab_cluster(home: DemoHome, progress: Progress) -> None:
    """Take the lab cluster down, if there is one, with its images and its registry's content."""
    from cluster.layout import Layout  # noqa: PLC0415 # the certificates' library costs 0.2 s
    from cluster.lifecycle import exclusively  # noqa: PLC0415
    from cluster.programs import installed_programs  # noqa: PLC0415
    from cluster.teardown import take_down  # noqa: PLC0415

    layout = Layout.of(home)
    if layout.root.exists():
        with exclusively(layout):
            take_down(layout, installed_programs(home), progress, everything=True)


def upstream_images() -> tuple[Image, ...]:
    """The official images of every stack that this checkout describes."""
    found: dict[Image, None] = {}
    for stack in stack_names(REPOSITORY):
        # One that is configured wrongly has brought nothing here.
        with contextlib.suppress(DemoError):
            topology = make_topology(stack, load_stack_config(REPOSITORY, stack))
            found.update(dict.fromkeys(image for image in topology.images if not image.built))
    return tuple(found)


def remove_tools_and_images(home: DemoHome, engine: Engine, upstream: tuple[Image, ...], progress: Progress) -> None:
    """Delete the demo's images, tools, caches and state once no stack is left.

    Raises:
        DemoError: a stack still exists.
    """
    found = existing_stacks(home)
    if found:
        raise DemoError(f"Stacks still exist ({', '.join(found)}); destroy them first.")
    with progress.step("images"):
        for image in engine.images_labelled(f"{REPOSITORY_PREFIX}.recipe"):
            engine.remove_image(image, all_names=True)
        for image in upstream:
            engine.remove_image(image.reference)
    with progress.step("tools, caches and state"):
        for path in [*(home.root / name for name in home.CONTENTS), *home.root.glob(f"{home.UNFINISHED}*")]:
            _remove_tree(path)
        with contextlib.suppress(OSError):
            # What else is there is not ours.
            home.root.rmdir()
    for name in (".pytest_cache", ".ruff_cache", ".hypothesis"):
        shutil.rmtree(REPOSITORY / name, ignore_errors=True)


def _remove_state(home: DemoHome, stack: str) -> None:
    """A local backend keeps the last checkpoint, backups, history and empty lock folders of a stack that is gone."""
    for path in list((home.state / ".pulumi").rglob(f"{stack}*")):
        # Every kind of file is in <kind>/<project>/; another project may have a stack of this name.
        if path.parent.name != PROJECT:
            continue
        if path.is_dir() and path.name == stack:
            shutil.rmtree(path)
        elif path.is_file() and path.name.startswith(f"{stack}.json"):
            path.unlink()


def _remove_records(home: DemoHome, stack: str) -> None:
    """The engine keeps a log of each of its runs, and for each checkout which stack was the last one."""
    log = re.compile(rf"\w+\+{re.escape(PROJECT)}\+{re.escape(stack)}-[\dT]+\.log")
    for path in (home.pulumi_home / "logs").glob("*.log"):
        if log.fullmatch(path.name):
            path.unlink(missing_ok=True)
    for path in (home.pulumi_home / "workspaces").glob(f"{PROJECT}-*.json"):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            chosen = json.loads(path.read_text(encoding="utf-8")).get("stacks", {}).items()
            ours = [name for url, name in chosen if url.partition("?")[0] == home.state.as_uri()]
            if len(ours) == len(chosen) and all(name.split("/")[1:] == [PROJECT, stack] for name in ours):
                path.unlink()


def _remove_tree(root: Path) -> None:
    """Remove a file or a tree in which Go's module cache may have left folders read-only."""
    if root.is_symlink() or root.is_file():
        root.unlink()
    elif root.exists():
        for folder in root.rglob("*"):
            if folder.is_dir() and not folder.is_symlink():
                folder.chmod(0o700)
        shutil.rmtree(root)
