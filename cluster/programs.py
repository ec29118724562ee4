"""The programs that the cluster consists of: Go programs that are built, Debian packages that are only unpacked."""

import os
import platform
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from filelock import FileLock

from infra.errors import ToolError
from infra.paths import DemoHome
from toolchain.debian import apt_get_install, unpack
from toolchain.go import GoToolchain
from toolchain.programs import PROGRAMS
from toolchain.progress import Progress

__all__ = [
    "COREDNS_IMAGE",
    "PAUSE_IMAGE",
    "Programs",
    "check_machine",
    "ensure_programs",
    "installed_programs",
    "missing_packages",
]

PAUSE_IMAGE: Final = f"compass-demo.local/pause:{PROGRAMS['pause'].digest}"
COREDNS_IMAGE: Final = f"compass-demo.local/coredns:{PROGRAMS['coredns'].digest}"

_UNPACKED: Final = ("etcd-server", "docker-registry", "containernetworking-plugins")
"""Go programs that need nothing but the C library; installed, two of them would start services."""
_INSTALLED: Final = {
    "containerd": "containerd",
    "runc": "runc",
    "nft": "nftables",
    "iptables": "iptables",
    "ip": "iproute2",
}
"""Program -> Debian package; Docker brings most of them."""
_EXTRA_FOLDERS: Final = "/usr/local/sbin:/usr/sbin:/sbin"
"""Not every root shell has them on PATH."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Programs:
    """Where the programs are."""

    kubernetes: Path
    coredns: Path
    pause: Path
    etcd: Path
    registry: Path
    cni: Path
    """A folder."""
    containerd: Path
    runc: Path
    ctr: Path


def missing_packages() -> list[str]:
    """Debian packages that are to be installed because the machine lacks their programs."""
    return sorted({package for program, package in _INSTALLED.items() if _which(program) is None})


def check_machine() -> None:
    """Raise unless this is a machine that the cluster can run on.

    Raises:
        ToolError: it is not Linux, or this user is not root.
    """
    if sys.platform != "linux" or os.geteuid() != 0:
        raise ToolError("The lab cluster needs Linux and root; elsewhere name a cluster of your own in the stack.")


def ensure_programs(home: DemoHome, progress: Progress) -> Programs:
    """Build, unpack and install what is missing.

    Raises:
        ToolError: something cannot be had; one sentence.
    """
    check_machine()
    if missing := missing_packages():
        if shutil.which("apt-get") is None:
            raise ToolError(f"The lab cluster needs programs of {', '.join(missing)} on PATH; install them.")
        with progress.step(f"install {', '.join(missing)} with apt-get"):
            apt_get_install(*missing)
    debian = _debian(home)
    home.tools.mkdir(parents=True, exist_ok=True)
    with FileLock(debian.with_suffix(".lock")):
        if not debian.exists():
            with progress.step(f"unpack {', '.join(_UNPACKED)}"):
                unpack(debian, *_UNPACKED)
    go = GoToolchain.find_or_install(home, progress)
    built = {name: go.build(PROGRAMS[name], progress) for name in ("pause", "kubernetes", "coredns")}
    return _programs(built, debian)


def installed_programs(home: DemoHome) -> Programs:
    """The programs as ``ensure_programs`` left them; nothing is built and nothing is looked at."""
    built = {name: PROGRAMS[name].built(home.tools) for name in ("pause", "kubernetes", "coredns")}
    return _programs(built, _debian(home))


def _programs(built: dict[str, Path], debian: Path) -> Programs:
    return Programs(
        kubernetes=built["kubernetes"],
        coredns=built["coredns"],
        pause=built["pause"],
        etcd=debian / "usr/bin/etcd",
        registry=debian / "usr/bin/docker-registry",
        cni=debian / "usr/lib/cni",
        containerd=_which("containerd") or Path("containerd"),
        runc=_which("runc") or Path("runc"),
        ctr=_which("ctr") or Path("ctr"),
    )


def _debian(home: DemoHome) -> Path:
    return home.tools / f"debian-{platform.machine()}-{'-'.join(_UNPACKED)}"


def _which(program: str) -> Path | None:
    found = shutil.which(program, path=f"{os.environ.get('PATH', '')}:{_EXTRA_FOLDERS}")
    return Path(found) if found else None
