"""What the topology is built from: the configuration, the images, the files that get mounted."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from infra.config import DemoConfig, Distribution
from infra.paths import REPOSITORY
from infra.topology.model import File, Image, SecretFile, SecretRef

__all__ = ["Site", "secret_file"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Site:
    """The inputs of every service's definition."""

    stack: str
    config: DemoConfig
    images: Mapping[str, Image]
    """Role -> image."""

    @property
    def upstream(self) -> bool:
        """Whether official images run, Grafana and Tempo among them."""
        return self.config.distribution is Distribution.UPSTREAM

    @property
    def most_gateways(self) -> int:
        """Replicas of the gateway."""
        return self.config.gateway_replicas

    @property
    def most_sample_apps(self) -> int:
        """Replicas of the sample app that may run, those of an autoscaler included."""
        return max(self.config.sample_app_replicas, self.config.sample_app_max_replicas)

    def file(self, path: str, source: str) -> File:
        """A file of ``observability/`` mounted at ``path``."""
        return File(path=path, content=(REPOSITORY / "observability" / source).read_text(encoding="utf-8"))

    def folder(self, path: str, source: str) -> tuple[File, ...]:
        """Every file below a folder of ``observability/``, mounted below ``path``."""
        root = REPOSITORY / "observability" / source
        files = sorted(file.relative_to(root) for file in root.rglob("*") if file.is_file())
        return tuple(self.file(f"{path}/{file.as_posix()}", f"{source}/{Path(file).as_posix()}") for file in files)


def secret_file(name: str) -> SecretFile:
    """A secret at its usual place."""
    return SecretFile(path=f"/run/secrets/{name}", secret=SecretRef(name))
