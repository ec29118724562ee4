"""Where the demo keeps what is not in the checkout: tools, state, secrets."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final

import platformdirs

REPOSITORY = Path(__file__).resolve().parent.parent
HOME_VARIABLE = "COMPASS_DEMO_HOME"
LAB_CONTEXT: Final = "compass-demo-lab"
"""The context in ``DemoHome.lab_kubeconfig``: what the lab cluster is called there."""


@dataclass(frozen=True, slots=True)
class DemoHome:
    """The demo's own directory: the user's data directory, or ``$COMPASS_DEMO_HOME``."""

    root: Path

    CONTENTS: ClassVar = ("tools", "cache", "pulumi-home", "state", "stacks", "passphrase", "dockerd.log")
    """Everything that the demo puts there; ``destroy --all`` removes nothing else."""

    UNFINISHED: ClassVar = "rootfs-"
    """How folders begin in which a base image is being made; only a killed process leaves one."""

    @classmethod
    def default(cls) -> "DemoHome":
        """The directory that this process uses; nothing is created."""
        chosen = os.environ.get(HOME_VARIABLE)
        return cls(Path(chosen).expanduser().absolute() if chosen else platformdirs.user_data_path("compass-demo"))

    @property
    def tools(self) -> Path:
        """Programs that were downloaded or built; safe to delete."""
        return self.root / "tools"

    @property
    def state(self) -> Path:
        """Pulumi's local file backend."""
        return self.root / "state"

    @property
    def pulumi_home(self) -> Path:
        """Pulumi's own directory (plugins) unless the user chose one."""
        return self.root / "pulumi-home"

    @property
    def cluster(self) -> Path:
        """Everything of the lab cluster but its programs: keys, state, logs, its kubeconfig."""
        return self.root / "cluster"

    @property
    def lab_kubeconfig(self) -> Path:
        """The kubeconfig that `./demo cluster up` writes."""
        return self.cluster / "kubeconfig"

    def stack(self, name: str) -> Path:
        """Files of one stack: its secrets, its lock, its logs."""
        return self.root / "stacks" / name

    def make_private(self) -> "DemoHome":
        """Create the directory readable by its owner alone: state and secrets live in it."""
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.root.chmod(0o700)
        self.state.mkdir(exist_ok=True)
        return self
