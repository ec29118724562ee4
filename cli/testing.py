"""``demo test``: fast checks first, then the real thing."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from cli.progress import Display
from cli.session import Session
from infra.errors import DemoError
from infra.paths import LAB_CONTEXT, REPOSITORY, DemoHome
from toolchain.go import GoToolchain
from toolchain.programs import PROGRAMS

__all__ = ["LENGTH", "SUITES", "run_tests"]

_STACK = "airgap"
_POSTGRES = "TEST_POSTGRES_IMAGE"


@dataclass(frozen=True, slots=True)
class Stage:
    """One command of a suite."""

    name: str
    arguments: tuple[str, ...]
    needs_images: bool = False
    unfit: Callable[[DemoHome], str] = lambda _: ""
    """Why it cannot run here; empty if it can."""
    long: bool = False
    """Left out of a short run of the suite ``kubernetes``, together with the tests that are marked so."""


_PYTEST = ("-m", "pytest", "--durations=5", "--durations-min=2")
_SIDE_BY_SIDE = (*_PYTEST, "--numprocesses=logical", "--dist=loadfile")
"""For tests that share nothing but the processor."""
_ELSEWHERE = tuple(f"--ignore=tests/integration/{folder}" for folder in ("incidents", "kubernetes", "lab", "provider"))
"""Folders that are for the lab cluster, or a suite of their own."""
LENGTH = "COMPASS_TEST_KUBERNETES"
"""``whole`` (the default) or ``short``: how much of the suite ``kubernetes`` is run. The tests ask it themselves."""
_LENGTHS = ("whole", "short")
_ON_THE_CLUSTER = "index-lost,lock-queue,abandoned-slot"
"""The incidents that every run of the suite `kubernetes` proves there too."""


def _tests(*folders: str) -> tuple[str, ...]:
    return tuple(f"tests/{folder}" for folder in folders)


_UNIT = _tests("unit", "topology", "observability")


def _no_cluster_here(_: DemoHome) -> str:
    if sys.platform != "linux" or os.geteuid() != 0:
        return "the lab cluster needs Linux and root"
    return ""


def _no_second_cluster_here(home: DemoHome) -> str:
    running = "a lab cluster runs already, and a machine has addresses for one" if home.lab_kubeconfig.exists() else ""
    return _no_cluster_here(home) or running


def _lab(home: DemoHome) -> dict[str, str]:
    """Where the tests find the lab cluster of a home."""
    return {
        "KUBECONFIG": str(home.lab_kubeconfig),
        "KUBE_CONTEXT": LAB_CONTEXT,
        "COMPASS_TEST_STACK": "lab",
        "COMPASS_TEST_INCIDENTS": os.environ.get("COMPASS_TEST_INCIDENTS", _ON_THE_CLUSTER),
    }


SUITES: Mapping[str, tuple[Stage, ...]] = {
    "unit": (
        Stage("lint", ("-m", "ruff", "check")),
        Stage("format", ("-m", "ruff", "format", "--check")),
        Stage("types", ("-m", "pyright")),
        Stage("unit tests", (*_SIDE_BY_SIDE, "-m", "not processes", *_UNIT)),
        Stage("unit tests that start programs", (*_PYTEST, "-m", "processes", *_UNIT)),
        Stage(
            "tests of services on the loopback address",
            (*_PYTEST, "-m", "not postgres", *_tests("gateway", "incidents", "sample_app", "traffic")),
        ),
    ),
    "integration": (
        Stage("rules and alerts by promtool", (*_PYTEST, *_tests("observability")), needs_images=True),
        Stage("tests against PostgreSQL", (*_PYTEST, "-m", "postgres", *_tests("sample_app")), needs_images=True),
        Stage("tests of the running stack", (*_PYTEST, *_ELSEWHERE, *_tests("integration")), needs_images=True),
    ),
    "incidents": (
        Stage("every incident on the running stack", (*_PYTEST, *_tests("integration/incidents")), needs_images=True),
    ),
    "kubernetes": (
        Stage(
            "tests of the lab cluster itself",
            (*_PYTEST, *_tests("integration/kubernetes")),
            needs_images=True,
            unfit=_no_second_cluster_here,
        ),
        Stage("start of the lab cluster", ("-m", "cli", "cluster", "up"), unfit=_no_cluster_here),
        Stage(
            "tests of the provider on the lab cluster",
            (*_PYTEST, *_tests("integration/provider")),
            unfit=_no_cluster_here,
        ),
        Stage(
            "tests of the running stack on the lab cluster",
            (
                *_PYTEST,
                # The same as on Docker, unchanged.
                *_tests(
                    "integration/test_1_agents.py", "integration/test_1_stack.py", "integration/test_1_telemetry.py"
                ),
                *_tests("integration/lab"),
            ),
            needs_images=True,
            unfit=_no_cluster_here,
        ),
        Stage(
            "incidents on the lab cluster",
            (*_PYTEST, *_tests("integration/incidents/test_1_every_incident.py")),
            needs_images=True,
            unfit=_no_cluster_here,
            long=True,
        ),
    ),
}
"""Suite -> its stages, in order."""


def run_tests(suites: tuple[str, ...], home: DemoHome, display: Display) -> None:
    """Run the suites; stop at the first stage that fails. A lab cluster that was not there is not there afterwards.

    Raises:
        DemoError: a stage failed; its own output says why. Or the length that was asked for is none.
    """
    environment = dict(os.environ)
    length = environment.get(LENGTH) or _LENGTHS[0]
    if length not in _LENGTHS:
        raise DemoError(f"{LENGTH} is {length!r}; it can be {' or '.join(_LENGTHS)}.")
    had_cluster = home.lab_kubeconfig.exists()
    try:
        for suite in suites:
            for stage in SUITES[suite]:
                shortened = f"{LENGTH}=short leaves it out" if stage.long and length == "short" else ""
                reason = stage.unfit(home) or shortened
                if reason:
                    display.say(f"== {stage.name}: skipped, {reason}")
                    continue
                if stage.needs_images and _POSTGRES not in environment:
                    environment.update(_prepare(home, display))
                more = _lab(home) if suite == "kubernetes" else {}
                _run(stage, {**environment, **more}, display.say)
    finally:
        if "kubernetes" in suites and not had_cluster and home.lab_kubeconfig.exists():
            _run(Stage("end of the lab cluster", ("-m", "cli", "cluster", "down")), environment, display.say)


def _prepare(home: DemoHome, display: Display) -> dict[str, str]:
    """Make sure that the stack under test can start; returns where the tests find what they need of it."""
    session = Session(_STACK, home, display)
    session.platform.make_reachable()
    with display.running():
        # Pulumi too: the first test that needs it must not spend its time-out on building it.
        session.platform.prepare()
        promtool = GoToolchain.find_or_install(home, display).build(PROGRAMS["promtool"], display)
    return {_POSTGRES: session.topology.service("postgres").image.reference, "PROMTOOL": str(promtool)}


def _run(stage: Stage, environment: Mapping[str, str], say: Callable[[str], None]) -> None:
    say(f"== {stage.name}")
    started = time.monotonic()
    result = subprocess.run(
        [sys.executable, *stage.arguments],
        cwd=REPOSITORY,
        env={**environment, "PYTHONPATH": str(Path(REPOSITORY))},
        check=False,
    )
    seconds = time.monotonic() - started
    if result.returncode != 0:
        raise DemoError(f"{stage.name} failed after {seconds:.1f} s.")
    say(f"== {stage.name}: passed in {seconds:.1f} s")
