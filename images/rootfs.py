"""The root file system of the packages distribution: a minimal Debian that trusts what this machine trusts."""

import hashlib
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

from images.recipe import REPOSITORY_PREFIX, Recipe
from infra import versions
from infra.errors import ImageError
from infra.paths import DemoHome
from infra.topology.model import Image
from toolchain.debian import apt_get_install
from toolchain.engine import Engine

__all__ = ["base_image", "make_base"]

_PACKAGES: Final = ("ca-certificates",)
_CA_BUNDLE: Final = Path("/etc/ssl/certs/ca-certificates.crt")
"""Behind a proxy that inspects TLS, the machine's bundle has the company's certificate and Debian's has not."""


def _salt() -> str:
    bundle = _CA_BUNDLE.read_bytes() if _CA_BUNDLE.exists() else b""
    return f"{versions.DEBIAN_SUITE} {' '.join(_PACKAGES)} {hashlib.sha256(bundle).hexdigest()}"


def base_image() -> Image:
    """The base image of everything in the packages distribution that needs a userland."""
    return Recipe(name="base", dockerfile="base", salt=_salt()).image


def make_base(engine: Engine, workspace: Path, say: Callable[[str], None]) -> None:
    """Make the base image with debootstrap, in a folder that must not be mounted ``nodev`` as ``/tmp`` often is.

    Raises:
        ImageError: debootstrap failed; with its last line.
    """
    if shutil.which("debootstrap") is None:
        say("installing debootstrap")
        apt_get_install("debootstrap")
    with tempfile.TemporaryDirectory(prefix=DemoHome.UNFINISHED, dir=workspace) as directory:
        root = Path(directory) / "root"
        _debootstrap(root, say)
        if _CA_BUNDLE.exists():
            shutil.copyfile(_CA_BUNDLE, root / _CA_BUNDLE.relative_to("/"))
        say("importing")
        _import(engine, root)


def _debootstrap(root: Path, say: Callable[[str], None]) -> None:
    command = ["debootstrap", "--variant=minbase", f"--include={','.join(_PACKAGES)}", versions.DEBIAN_SUITE, str(root)]
    mirror = _host_mirror()
    if mirror:
        command.append(mirror)
    last = ""
    try:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    except OSError as error:
        raise ImageError(f"debootstrap cannot be started: {error}.") from None
    with process:
        for line in process.stdout or ():
            last = line.strip() or last
            say(last.removeprefix("I: ").lower())
    if process.returncode != 0:
        raise ImageError(
            f"Making the base image failed (debootstrap exited with {process.returncode}): {last.removeprefix('E: ')}. "
            "It needs root and a Debian mirror that answers."
        )


def _host_mirror() -> str | None:
    """The mirror that this machine's apt uses for the same release, else debootstrap's default."""
    try:
        answer = subprocess.run(
            ["apt-get", "--print-uris", "update"], capture_output=True, text=True, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    for line in answer.splitlines():
        uri, separator, rest = line.strip("'").partition(f"/dists/{versions.DEBIAN_SUITE}/")
        if separator and rest.startswith("InRelease"):
            return uri
    return None


def _import(engine: Engine, root: Path) -> None:
    image = base_image()
    exclude = ("./var/cache/apt/archives/*.deb", "./var/lib/apt/lists/*")
    command = ["tar", "--directory", str(root), *(f"--exclude={pattern}" for pattern in exclude), "--create", "."]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as archive:
        if archive.stdout is None:  # pragma: no cover # PIPE was asked for
            raise AssertionError
        engine.import_image(
            archive.stdout,
            repository=image.repository,
            tag=image.version,
            changes=[f"LABEL {REPOSITORY_PREFIX}.recipe=base", "ENV DEBIAN_FRONTEND=noninteractive"],
        )
    if archive.returncode != 0:
        raise ImageError(f"Making the base image failed (tar exited with {archive.returncode}).")
