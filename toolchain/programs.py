"""The Go programs of the packages distribution, each pinned by a module of its own in ``toolchain/go``."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from infra import versions
from toolchain.patches import PATCH_FILE

__all__ = ["PROGRAMS", "GoProgram"]

_MODULES = Path(__file__).parent / "go"


@dataclass(frozen=True, kw_only=True, slots=True)
class GoProgram:
    """A program, the module that pins it and the flags that it is built with."""

    name: str
    module: str
    """Folder below toolchain/go with go.mod and go.sum."""
    package: str = "."
    tags: tuple[str, ...] = ()
    linker_variables: tuple[str, ...] = ()
    """``-X`` assignments."""

    @property
    def directory(self) -> Path:
        """Where the module is."""
        return _MODULES / self.module

    @property
    def arguments(self) -> list[str]:
        """Arguments of ``go build`` that decide what comes out."""
        variables = "".join(f" -X {assignment}" for assignment in self.linker_variables)
        # The linker throws debug information away; a tenth of the time goes into making it.
        flags = ["-trimpath", "-gcflags=all=-dwarf=false", f"-ldflags=-s -w{variables}"]
        return [*flags, *([f"-tags={','.join(self.tags)}"] if self.tags else [])]

    @property
    def digest(self) -> str:
        """Twelve hexadecimal digits over all that decides what the program is, but for the Go release."""
        digest = hashlib.sha256("\0".join((self.package, *self.arguments)).encode())
        for path in sorted(self.directory.rglob("*")):
            if path.name in {"go.mod", "go.sum", PATCH_FILE} or path.suffix == ".go":
                digest.update(path.relative_to(self.directory).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
        return digest.hexdigest()[:12]

    def built(self, tools: Path) -> Path:
        """Where the executable is once it is built, in a directory of tools."""
        return tools / "programs" / f"{self.name}-{self.digest}"


_PROMETHEUS_TAGS: Final = ("netgo", "remove_all_sd", "enable_dns_sd")
"""Without the cloud providers' service discovery: half the time to build, and the demo scrapes by DNS name."""

PROGRAMS: Final = {
    program.name: program
    for program in (
        GoProgram(
            name="pulumi",
            module="pulumi",
            package="github.com/pulumi/pulumi/pkg/v3/cmd/pulumi",
            linker_variables=(f"github.com/pulumi/pulumi/sdk/v3/go/common/version.Version=v{versions.PULUMI}",),
        ),
        GoProgram(name="pulumi-resource-docker", module="docker-plugin"),
        GoProgram(name="loki", module="loki", package="github.com/grafana/loki/v3/cmd/loki"),
        GoProgram(
            name="prometheus",
            module="prometheus",
            package="github.com/prometheus/prometheus/cmd/prometheus",
            tags=_PROMETHEUS_TAGS,
        ),
        # In no image: the tests ask it what the rules compute.
        GoProgram(
            name="promtool",
            module="prometheus",
            package="github.com/prometheus/prometheus/cmd/promtool",
            tags=_PROMETHEUS_TAGS,
        ),
        GoProgram(name="jaeger", module="jaeger", package="github.com/jaegertracing/jaeger/cmd/jaeger"),
        GoProgram(name="collector", module="collector"),
        GoProgram(
            name="postgres-exporter",
            module="postgres-exporter",
            package="github.com/prometheus-community/postgres_exporter/cmd/postgres_exporter",
        ),
        # The lab cluster's.
        GoProgram(
            name="kubernetes",
            module="kubernetes",
            linker_variables=(
                f"k8s.io/component-base/version.gitVersion=v{versions.KUBERNETES}",
                f"k8s.io/component-base/version.gitMajor={versions.KUBERNETES.split('.')[0]}",
                f"k8s.io/component-base/version.gitMinor={versions.KUBERNETES.split('.')[1]}",
            ),
        ),
        GoProgram(name="coredns", module="coredns"),
        GoProgram(name="pause", module="pause"),
    )
}
"""By name of the executable."""
