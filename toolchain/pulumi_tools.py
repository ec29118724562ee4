"""The real Pulumi engine, by the first of three ways that works: PATH, official download, package registries."""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import semver

from infra import versions
from infra.errors import ToolError
from infra.paths import REPOSITORY, DemoHome
from toolchain.go import GoToolchain
from toolchain.programs import PROGRAMS
from toolchain.progress import Progress

__all__ = ["PulumiTools"]

_HOST: Final = "pulumi-language-python"
_PLUGIN: Final = "pulumi-resource-docker"
_DOWNLOAD_SECONDS: Final = 300
_NO_ATTRIBUTES: Final = "?metadata=skip"
"""The file backend's library writes attributes beside each file, not atomically: who is killed meanwhile has a state
that cannot be read again."""
_DOWNLOAD: Final = """
import socket, sys
socket.setdefaulttimeout(10)  # a closed network may swallow packets instead of refusing them
import semver
from pulumi.automation import PulumiCommand
PulumiCommand.install(root=sys.argv[1], version=semver.VersionInfo.parse(sys.argv[2]))
"""


@dataclass(frozen=True, slots=True)
class PulumiTools:
    """The engine's directory and how it came there: ``path``, ``download`` or ``packages``."""

    directory: Path
    origin: str
    home: DemoHome

    @classmethod
    def present(cls, home: DemoHome) -> "PulumiTools | None":
        """Tools that are ready to use, without fetching anything."""
        return _on_path(home) or _downloaded(home) or _built(home)

    @classmethod
    def ensure(cls, home: DemoHome, progress: Progress) -> "PulumiTools":
        """The engine with its Docker plugin, fetched or built where it is missing.

        Raises:
            ToolError: all three ways failed; the message is the last way's.
        """
        tools = cls.find_or_make(home, progress)
        tools.ensure_docker_plugin(progress)
        return tools

    @classmethod
    def find_or_make(cls, home: DemoHome, progress: Progress) -> "PulumiTools":
        """The engine alone, fetched or built where it is missing.

        Raises:
            ToolError: all three ways failed; the message is the last way's.
        """
        return cls.present(home) or _download(home, progress) or _build(home, progress)

    @property
    def executable(self) -> Path:
        """The ``pulumi`` program."""
        return self.directory / ("pulumi.exe" if os.name == "nt" else "pulumi")

    @property
    def pulumi_home(self) -> Path:
        """The user's own PULUMI_HOME where one is chosen, else the demo's."""
        chosen = os.environ.get("PULUMI_HOME")
        if chosen:
            return Path(chosen)
        return Path.home() / ".pulumi" if chose_backend() else self.home.pulumi_home

    def environment(self) -> dict[str, str]:
        """What ``pulumi`` needs to find its plugins, the program's interpreter, the state and its passphrase."""
        path = [
            str(Path(sys.prefix) / ("Scripts" if os.name == "nt" else "bin")),
            str(self.directory),
            os.environ.get("PATH", ""),
        ]
        environment = {
            "PATH": os.pathsep.join(path),
            "PULUMI_HOME": str(self.pulumi_home),
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            # The plugins are in place; a closed network makes every look for them wait.
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
        }
        if self.pulumi_home == self.home.pulumi_home:
            # Of its own logs, of which each run writes one; the default is half a gigabyte.
            environment["PULUMI_LOG_ROTATION_MAX_TOTAL_MB"] = "20"
        if not chose_backend():
            environment["PULUMI_BACKEND_URL"] = self.home.state.as_uri() + _NO_ATTRIBUTES
            # Backups of every update would keep secrets after the stack is gone.
            environment["PULUMI_DIY_BACKEND_DISABLE_CHECKPOINT_BACKUPS"] = "true"
            environment["PULUMI_CONFIG_PASSPHRASE_FILE"] = str(self.passphrase_file())
        return environment

    def passphrase_file(self) -> Path:
        """The passphrase of the local stacks, a constant: their salt is committed with them.

        It guards nothing by itself. Local state holds the same secrets as the 0600 file beside it, so what
        protects both is the mode of the directory. A shared stack has its own secrets provider.
        """
        path = self.home.root / "passphrase"
        if not path.exists():
            self.home.make_private()
            path.write_text("compass-demo\n", encoding="utf-8")
        return path

    def ensure_docker_plugin(self, progress: Progress) -> None:
        """Fetch or build the provider plugin if this PULUMI_HOME has none."""
        target = (
            self.pulumi_home
            / "plugins"
            / f"resource-docker-v{versions.DOCKER_PLUGIN}"
            / (_PLUGIN + (".exe" if os.name == "nt" else ""))
        )
        # Present only beside a plugin that was built here; one that was downloaded has nothing to be compared with.
        stamp = target.with_name("built-from")
        digest = PROGRAMS[_PLUGIN].digest
        if target.exists() and (not stamp.exists() or stamp.read_text(encoding="utf-8") == digest):
            return
        if self.origin != "packages":
            with progress.step(f"download Pulumi's Docker plugin {versions.DOCKER_PLUGIN}"):
                command = [
                    str(self.executable),
                    "plugin",
                    "install",
                    "resource",
                    "docker",
                    f"v{versions.DOCKER_PLUGIN}",
                ]
                environment = {**os.environ, **self.environment()}
                if _succeeds(command, seconds=_DOWNLOAD_SECONDS, environment=environment) and target.exists():
                    return
        _require_linux("the Docker plugin")
        built = GoToolchain.find_or_install(self.home, progress).build(PROGRAMS[_PLUGIN], progress)
        _place(built, target)
        stamp.write_text(digest, encoding="utf-8")


def chose_backend() -> bool:
    """Whether the user has chosen where Pulumi keeps its state."""
    return bool(os.environ.get("PULUMI_BACKEND_URL"))


def _on_path(home: DemoHome) -> PulumiTools | None:
    found = shutil.which("pulumi")
    if not found or not shutil.which(_HOST) or not _new_enough(Path(found)):
        return None
    return PulumiTools(Path(found).parent, "path", home)


def _downloaded(home: DemoHome) -> PulumiTools | None:
    tools = PulumiTools(home.tools / f"pulumi-{versions.PULUMI}" / "bin", "download", home)
    return tools if _works(tools.executable) else None


def _built(home: DemoHome) -> PulumiTools | None:
    tools = PulumiTools(_build_directory(home), "packages", home)
    if not _works(tools.executable):
        return None
    ours, placed = REPOSITORY / "toolchain" / "language-host" / _HOST, tools.directory / _HOST
    if not placed.exists() or placed.read_bytes() != ours.read_bytes():
        _place(ours, placed)
    return tools


def _build_directory(home: DemoHome) -> Path:
    return home.tools / f"pulumi-{versions.PULUMI}-{PROGRAMS['pulumi'].digest}" / "bin"


def _download(home: DemoHome, progress: Progress) -> PulumiTools | None:
    with progress.step(f"download Pulumi {versions.PULUMI}") as step:
        root = home.tools / f"pulumi-{versions.PULUMI}"
        if _succeeds([sys.executable, "-c", _DOWNLOAD, str(root), versions.PULUMI], seconds=_DOWNLOAD_SECONDS):
            return _downloaded(home)
        step.update("not reachable from here, building it from Go modules instead")
        shutil.rmtree(root, ignore_errors=True)
        return None


def _build(home: DemoHome, progress: Progress) -> PulumiTools:
    _require_linux("Pulumi")
    directory = _build_directory(home)
    _place(GoToolchain.find_or_install(home, progress).build(PROGRAMS["pulumi"], progress), directory / "pulumi")
    tools = _built(home)
    if tools is None:
        raise ToolError(f"The Pulumi engine in {directory} does not run; delete that directory and try again.")
    return tools


def _place(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f"{target.name}.{os.getpid()}")
    shutil.copy2(source, temporary)
    temporary.chmod(0o755)
    temporary.replace(target)


def _works(executable: Path) -> bool:
    """Whether one of our own engines runs; asked once, since asking costs as much as a tenth of an ``up``."""
    if not executable.exists():
        return False
    stamp = executable.with_name("checked")
    state = executable.stat()
    mark = f"{state.st_size} {state.st_mtime_ns}"
    if stamp.exists() and stamp.read_text() == mark:
        return True
    if not _new_enough(executable):
        return False
    stamp.write_text(mark)
    return True


def _new_enough(executable: Path) -> bool:
    try:
        answer = subprocess.run(
            [str(executable), "version"], capture_output=True, text=True, timeout=30, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return False
    match = re.match(r"v?(\d+\.\d+\.\d+)", answer.strip())
    return bool(match) and semver.VersionInfo.parse(match[1]) >= semver.VersionInfo.parse(versions.PULUMI_MINIMUM)


def _succeeds(command: list[str], *, seconds: float, environment: dict[str, str] | None = None) -> bool:
    try:
        subprocess.run(command, capture_output=True, timeout=seconds, check=True, env=environment)
    except (OSError, subprocess.SubprocessError):
        return False
    return True


def _require_linux(what: str) -> None:
    if sys.platform != "linux":
        raise ToolError(
            f"{what} {versions.PULUMI} is not on PATH and cannot be downloaded from here; "
            "install it by your usual way and try again (building it from Go modules is done on Linux alone)."
        )
