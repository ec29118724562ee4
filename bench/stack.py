"""How long the stack takes to come up, to change nothing and to go, and what it weighs; beside plain ``docker run``.

    .venv/bin/python bench/stack.py [--stack airgap] [--runs 3] [--minutes 5]

Needs the tools and images (./demo up makes them) and that the stack does not run. Prints a markdown table.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests
from machine import describe_machine

from cli.progress import make_display
from cli.session import Session
from infra.paths import REPOSITORY, DemoHome
from infra.stack_secrets import StackSecrets
from infra.topology.model import Container, Endpoint, ExecProbe, File, HttpProbe, Service, Sidecar, Task

_POLL_SECONDS = 0.05
_NETWORK = "compass-bench"


@dataclass
class Figures:
    """Seconds of one run."""

    up: float
    seed: float
    nothing: float
    destroy: float


def demo(*arguments: str) -> float:
    """Run ./demo as a person does; seconds from start to exit."""
    started = time.monotonic()
    subprocess.run([sys.executable, str(REPOSITORY / "demo"), *arguments], check=True, capture_output=True, text=True)
    return time.monotonic() - started


def task_seconds(name: str) -> float:
    """How long a container ran that has ended."""
    answer = subprocess.run(
        ["docker", "inspect", "--format", "{{.State.StartedAt}} {{.State.FinishedAt}}", name],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split()
    begin, end = (_seconds(text) for text in answer)
    return end - begin


def _seconds(timestamp: str) -> float:
    hours, minutes, seconds = timestamp.rstrip("Z").partition("T")[2].split(":")
    return int(hours) * 3600 + int(minutes) * 60 + float(seconds)


def measure_demo(session: Session) -> Figures:
    """One life of the stack."""
    up = demo("up", session.stack)
    seed = task_seconds(f"compass-{session.stack}-database")
    nothing = demo("up", session.stack)
    destroy = demo("destroy", session.stack)
    return Figures(up, seed, nothing, destroy)


def memory_mib(session: Session, minutes: float) -> float:
    """The sum of what docker stats shows after some minutes of default traffic."""
    time.sleep(minutes * 60)
    states = session.engine.containers(f"compass-demo.stack={session.stack}")
    return sum(session.engine.memory_bytes(state.id) for state in states if state.status == "running") / 2**20


class PlainDocker:
    """The same containers by plain ``docker run``, all at once; nothing waits for anything but its own probe."""

    def __init__(self, session: Session, folder: Path) -> None:
        self._session = session
        self._folder = folder
        self._secrets = StackSecrets.ephemeral(session.topology.secrets)
        self._docker_started = threading.Event()

    def run(self) -> tuple[float, float]:
        """Seconds until everything answers, and those of the task among them."""
        topology = self._session.topology
        subprocess.run(["docker", "network", "create", _NETWORK], check=True, capture_output=True)
        started = time.monotonic()
        with ThreadPoolExecutor(32) as pool:
            for future in [pool.submit(self._start, container) for container in topology.containers()]:
                future.result()
        ready = time.monotonic() - started
        task = next(iter(topology.tasks))
        return ready, task_seconds(self._name(task))

    def remove(self) -> None:
        """Everything that ``run`` made."""
        names = [self._name(container) for container in self._session.topology.containers()]
        subprocess.run(["docker", "rm", "-f", "-v", *names], check=False, capture_output=True)
        subprocess.run(["docker", "network", "rm", _NETWORK], check=False, capture_output=True)
        volumes = {volume.name for container in self._session.topology.containers() for volume in container.volumes}
        subprocess.run(
            ["docker", "volume", "rm", *(f"{_NETWORK}-{name}" for name in volumes)], check=False, capture_output=True
        )

    def _name(self, container: Container) -> str:
        return f"{_NETWORK}-{container.name}"

    def _start(self, container: Container) -> None:
        needs = container.needs if isinstance(container, Service | Task) else ()
        databases = [self._session.topology.service(name) for name in needs if name == "postgres"]
        for database in databases:
            self._wait(database)
        if "database" in needs:
            # Without its tables the service would only start again and again.
            self._wait_for_task()
        subprocess.run(["docker", "run", "-d", *self._arguments(container)], check=True, capture_output=True, text=True)
        if isinstance(container, Service | Sidecar) and container.probe is not None:
            self._wait(container)

    def _wait_for_task(self) -> None:
        task = next(iter(self._session.topology.tasks))
        _until(
            lambda: (state := self._session.engine.container(self._name(task))) is not None and state.status == "exited"
        )

    def _wait(self, container: Service | Sidecar) -> None:
        match container.probe:
            case ExecProbe(command=command):
                _until(lambda: self._session.engine.run_inside(self._name(container), list(command))[0] == 0)
            case HttpProbe(port=port, path=path):
                number = self._session.topology.port(Endpoint(container.name, port)).number
                _until(lambda: self._answers(container, number, path))
            case None:
                pass

    def _answers(self, container: Container, number: int, path: str) -> bool:
        name = self._name(container)
        address = subprocess.run(
            [
                "docker",
                "inspect",
                "--format",
                f'{{{{(index .NetworkSettings.Networks "{_NETWORK}").IPAddress}}}}',
                name,
            ],
            check=False,
            capture_output=True,
            text=True,
        ).stdout.strip()
        try:
            return requests.get(f"http://{address}:{number}{path}", timeout=1).ok
        except requests.RequestException:
            return False

    def _arguments(self, container: Container) -> Iterator[str]:
        yield from ("--name", self._name(container), "--network", _NETWORK, "--network-alias", container.name)
        yield from (
            "--user",
            str(container.user),
            "--memory",
            f"{container.memory_mib}m",
            "--cpus",
            str(container.cpus),
        )
        for key, value in container.env.items():
            text = self._session.topology.address(value) if isinstance(value, Endpoint) else value
            yield from ("--env", f"{key}={text}")
        for file in container.files:
            host = self._folder / container.name / file.path.lstrip("/")
            host.parent.mkdir(parents=True, exist_ok=True)
            host.write_text(file.content if isinstance(file, File) else self._secrets.values[file.secret.name])
            host.chmod(0o444)
            yield from ("--volume", f"{host}:{file.path}:ro")
        for volume in container.volumes:
            yield from ("--volume", f"{_NETWORK}-{volume.name}:{volume.path}")
        for scratch in container.scratch:
            yield from ("--tmpfs", f"{scratch.path}:mode=1777,size={scratch.size_mib}m")
        for port in container.ports if isinstance(container, Service) else ():
            if port.host_port:
                yield from ("--publish", f"127.0.0.1:{port.host_port}:{port.number}")
        if container.entrypoint:
            yield from ("--entrypoint", container.entrypoint[0])
        yield container.image.reference
        yield from (container.entrypoint or ())[1:]
        yield from container.command


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 300
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(_POLL_SECONDS)


@contextmanager
def plain(session: Session) -> Generator[PlainDocker]:
    """Plain docker in a folder that the containers' users can read, removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="compass-bench-") as folder:
        Path(folder).chmod(0o755)
        docker = PlainDocker(session, Path(folder))
        docker.remove()
        try:
            yield docker
        finally:
            docker.remove()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stack", default="airgap")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--minutes", type=float, default=5)
    options = parser.parse_args()
    session = Session(options.stack, DemoHome.default(), make_display())
    plains: list[tuple[float, float]] = []
    figures: list[Figures] = []
    for _ in range(options.runs):
        # In turn, so that a machine that drifts slows both.
        with plain(session) as docker:
            plains.append(docker.run())
        figures.append(measure_demo(session))
    demo("up", options.stack)
    memory = memory_mib(session, options.minutes)
    demo("destroy", options.stack)
    _print(figures, plains, memory, options.minutes)


def _print(figures: list[Figures], plains: list[tuple[float, float]], memory: float, minutes: float) -> None:
    def median(values: Iterator[float]) -> float:
        return statistics.median(values)

    up, seed = median(f.up for f in figures), median(f.seed for f in figures)
    plain_ready, plain_seed = median(p[0] for p in plains), median(p[1] for p in plains)
    allowed = median(1.5 * (ready - task) + f.seed for (ready, task), f in zip(plains, figures, strict=True))
    print(describe_machine())
    print(f"\nMedians of {len(figures)} runs.\n")
    print("| what | measured | at most |\n|---|---|---|")
    print(f"| `up` with tools and images present, to all ready, seed included | {up:.1f} s | 45 s |")
    print(f"| of that the seed | {seed:.1f} s | 25 s |")
    print(f"| the same containers by plain `docker run` in parallel, seed included | {plain_ready:.1f} s | |")
    print(f"| of that the seed | {plain_seed:.1f} s | |")
    print(f"| our `up` against 1.5 times plain `docker run` plus the seed | {up:.1f} s | {allowed:.1f} s |")
    print(f"| `up` with nothing to change | {median(f.nothing for f in figures):.1f} s | 3 s |")
    print(f"| `destroy` | {median(f.destroy for f in figures):.1f} s | 15 s |")
    print(f"| memory of the whole stack after {minutes:g} min of default traffic | {memory / 1024:.2f} GiB | 0.6 GiB |")


if __name__ == "__main__":
    main()
