"""How long a stack takes on a cluster to come up, to change nothing and to go, and what it weighs.

    .venv/bin/python bench/kubernetes.py [--stack lab] [--runs 3] [--minutes 5]

Needs the cluster (./demo cluster up), the images in its registry (./demo images lab), and that the stack is not up.
Prints a markdown table.
"""

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from machine import describe_machine
from steady_load import Outcome, payments_while

from cli.platforms.kubernetes import KubernetesPlatform
from cli.progress import make_display
from cli.session import Session
from infra.paths import REPOSITORY, DemoHome
from infra.targets.kubernetes.objects import part

_RATE = 50.0
_ROLLED = "compass-demo/rolled"
_ROLL_SECONDS = 180


@dataclass
class Figures:
    """Seconds of one run."""

    up: float
    nothing: float
    destroy: float


def demo(*arguments: str) -> float:
    """Run ./demo as a person does; seconds from start to exit."""
    started = time.monotonic()
    command = [sys.executable, str(REPOSITORY / "demo"), *arguments]
    answer = subprocess.run(command, check=False, capture_output=True, text=True)
    if answer.returncode != 0:
        sys.exit(answer.stderr)
    return time.monotonic() - started


def measure_life(stack: str) -> Figures:
    """One life of the stack."""
    return Figures(up=demo("up", stack), nothing=demo("up", stack), destroy=demo("destroy", stack))


def memory_mib(platform: KubernetesPlatform, minutes: float) -> float:
    """The sum of the containers' working sets after some minutes of default traffic."""
    time.sleep(minutes * 60)
    return sum(row.memory_mib for row in platform.services({}))


def roll(platform: KubernetesPlatform) -> Outcome:
    """A rolling update of the sample app under load; the lab's node is this machine, so a Service's address answers."""
    space, client = platform.namespace, platform.client
    service = client.get(f"/api/v1/namespaces/{space}/services/sample-app") or {}
    path = f"/apis/apps/v1/namespaces/{space}/deployments/sample-app"

    def replace_pods() -> None:
        document = client.get(path) or {}
        template: dict[str, Any] = document["spec"]["template"]["metadata"]
        template["annotations"] = {**template.get("annotations", {}), _ROLLED: str(time.time())}
        wanted = client.replace(path, document)["metadata"]["generation"]
        deadline = time.monotonic() + _ROLL_SECONDS
        while not _rolled(client.get(path) or {}, int(wanted)):
            if time.monotonic() > deadline:
                raise TimeoutError
            time.sleep(0.2)

    return payments_while(str(part(service, "spec")["clusterIP"]), 8000, _RATE, replace_pods)


def _rolled(deployment: dict[str, Any], generation: int) -> bool:
    status, replicas = part(deployment, "status"), part(deployment, "spec").get("replicas")
    counts = {status.get(name) for name in ("replicas", "updatedReplicas", "availableReplicas")}
    return status.get("observedGeneration", 0) >= generation and counts == {replicas}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stack", default="lab")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--minutes", type=float, default=5)
    options = parser.parse_args()
    platform = Session(options.stack, DemoHome.default(), make_display()).platform
    if not isinstance(platform, KubernetesPlatform):
        sys.exit(f"The stack {options.stack} is not on Kubernetes.")
    figures = [measure_life(options.stack) for _ in range(options.runs)]
    demo("up", options.stack)
    outcome = roll(platform)
    memory = memory_mib(platform, options.minutes)
    demo("destroy", options.stack)
    _print(figures, outcome, memory, options.minutes)


def _print(figures: list[Figures], outcome: Outcome, memory: float, minutes: float) -> None:
    def median(values: Iterator[float]) -> float:
        return statistics.median(values)

    print(describe_machine())
    print(f"\nMedians of {len(figures)} runs.\n")
    print("| what | measured | at most |\n|---|---|---|")
    print(f"| `up` to all ready, images loaded, seed included | {median(f.up for f in figures):.1f} s | 90 s |")
    print(f"| `up` with nothing to change | {median(f.nothing for f in figures):.1f} s | 5 s |")
    print(f"| `destroy` | {median(f.destroy for f in figures):.1f} s | 45 s |")
    print(f"| memory of the pods after {minutes:g} min of default traffic | {memory / 1024:.2f} GiB | 1.2 GiB |")
    what = f"failed of {outcome.sent} payments at {_RATE:g}/s during a rolling update of the sample app"
    print(f"| {what} | {len(outcome.failures)} | 0 |")
    for failure in sorted(set(outcome.failures)):
        print(f"\n{outcome.failures.count(failure)} times: {failure}")


if __name__ == "__main__":
    main()
