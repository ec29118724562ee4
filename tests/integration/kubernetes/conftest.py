"""One lab cluster for all tests of this folder; its programs are the machine's own, everything else is apart."""

import os
import shutil
import sys
from collections.abc import Generator

import pytest
from lab_cluster import Lab
from machine_state import MachineState, machine_state

from infra.paths import DemoHome


@pytest.fixture(scope="session")
def lab_home() -> Generator[DemoHome]:
    """A home below the machine's own, on its disk: images in a ``/tmp`` that is memory would fill it."""
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("the lab cluster needs Linux and root")
    own = DemoHome.default().make_private()
    root = own.root / "cache" / "lab-test"
    root.mkdir(parents=True, exist_ok=True)
    own.tools.mkdir(exist_ok=True)
    for name in ("tools", "go-build", "go-mod"):
        # Building the programs anew takes minutes and proves nothing about the cluster.
        (root / "cache").mkdir(exist_ok=True)
        link, target = (
            (root / name, own.tools) if name == "tools" else (root / "cache" / name, own.root / "cache" / name)
        )
        if not link.is_symlink():
            link.symlink_to(target)
    home = DemoHome(root)
    lab = Lab(home)
    lab.succeed("down", "--all")
    yield home
    lab.succeed("down", "--all")
    shutil.rmtree(root)


@pytest.fixture(scope="session")
def untouched(lab_home: DemoHome) -> MachineState:
    """The machine before there was a cluster."""
    return machine_state(lab_home.root)


@pytest.fixture(scope="module")
def lab(lab_home: DemoHome, untouched: MachineState) -> Lab:
    """A cluster that runs; a module may break it or take it down, the next one finds a whole one."""
    assert untouched
    lab = Lab(lab_home)
    lab.up()
    return lab
