"""A recipe says what goes into an image; its version is a digest of exactly that."""

import hashlib
import io
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from infra.paths import REPOSITORY
from infra.topology.model import Image
from toolchain.programs import PROGRAMS

__all__ = ["REPOSITORY_PREFIX", "Recipe"]

REPOSITORY_PREFIX = "compass-demo"
"""First part of the name of every image that is built here."""

_IGNORED = frozenset({"__pycache__", ".DS_Store"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """A Dockerfile below ``images/`` with its context.

    The version is a function of the checkout (and of the machine's CA bundle, which the base image holds), so the
    Pulumi program can name an image before it exists.
    """

    name: str
    dockerfile: str
    """Folder below images/ that holds the Dockerfile; its other files are in the context too."""
    base: Image | None = None
    """Build argument BASE."""
    sources: Mapping[str, str] = field(default_factory=dict[str, str])
    """Path in the context -> path in the checkout (a file or a folder)."""
    program: str | None = None
    """A Go program, put into the context as ``program``."""
    arguments: Mapping[str, str] = field(default_factory=dict[str, str])
    salt: str = ""
    """What else decides the content (the base image's root file system has no Dockerfile)."""

    @property
    def image(self) -> Image:
        """The image that this recipe makes."""
        return Image(repository=f"{REPOSITORY_PREFIX}/{self.name}", version=self.version, built=True)

    @property
    def version(self) -> str:
        """Twelve hexadecimal digits; a letter in front, or a tag of digits alone would be a number in YAML."""
        digest = hashlib.sha256(self.salt.encode())
        for key, value in sorted(self.build_arguments.items()):
            digest.update(f"{key}={value}\0".encode())
        if self.program:
            digest.update(PROGRAMS[self.program].digest.encode())
        for name, path in self._files():
            digest.update(name.encode() + b"\0" + path.read_bytes() + b"\0")
        return f"v{digest.hexdigest()[:12]}"

    @property
    def build_arguments(self) -> dict[str, str]:
        """Arguments of the build."""
        return {**({"BASE": self.base.reference} if self.base else {}), **self.arguments}

    def context(self, program: Path | None) -> io.BytesIO:
        """The build context as a tar; owners and times are fixed, so that equal input hits the engine's cache."""
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as archive:
            files = dict(self._files())
            if program is not None:
                files["program"] = program
            for name, path in sorted(files.items()):
                _add(archive, name, path)
        buffer.seek(0)
        return buffer

    def _files(self) -> Iterator[tuple[str, Path]]:
        yield from _walk("", REPOSITORY / "images" / self.dockerfile)
        for name, source in sorted(self.sources.items()):
            yield from _walk(name, REPOSITORY / source)


def _walk(prefix: str, path: Path) -> Iterator[tuple[str, Path]]:
    if path.is_file():
        yield prefix or path.name, path
        return
    for child in sorted(path.iterdir()):
        if child.name not in _IGNORED and child.suffix != ".pyc":
            yield from _walk(f"{prefix}/{child.name}".lstrip("/"), child)


def _add(archive: tarfile.TarFile, name: str, path: Path) -> None:
    info = archive.gettarinfo(str(path), arcname=name)
    info.uid = info.gid = 0
    info.uname = info.gname = "root"
    info.mtime = 0
    # Git keeps no more of a mode than this, and a umask must not change the image.
    info.mode = 0o755 if info.mode & 0o100 else 0o644
    with path.open("rb") as content:
        archive.addfile(info, content)
