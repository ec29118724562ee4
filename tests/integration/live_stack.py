"""A stack of its own for the tests: real engine, real platform, a copy of the checkout, other ports and names."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO, Any

import requests
import yaml
from eventually import eventually

from infra.paths import HOME_VARIABLE, REPOSITORY, DemoHome
from infra.stack_secrets import StackSecrets
from toolchain.engine import Engine

LABEL = "compass-demo.stack"
KIND_VARIABLE = "COMPASS_TEST_STACK"
"""Names the stack that the tests' own are copies of: airgap (Docker) or lab (Kubernetes)."""
KIND = os.environ.get(KIND_VARIABLE, "airgap")


@dataclass(frozen=True)
class Stack:
    """A stack that the tests may break, driven as a person drives it."""

    name: str
    checkout: Path
    home: Path
    offset: int
    kind: str = "airgap"

    @property
    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            HOME_VARIABLE: str(self.home),
            "PYTHONPATH": str(self.checkout),
            "NO_COLOR": "1",
            "COLUMNS": "200",
        }

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "cli", *arguments]

    def demo(self, *arguments: str, timeout: float = 300) -> "subprocess.CompletedProcess[str]":
        """Run ./demo to its end, whatever its exit code is."""
        return subprocess.run(
            self.command(*arguments),
            cwd=self.checkout,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def succeed(self, *arguments: str, timeout: float = 300) -> "subprocess.CompletedProcess[str]":
        result = self.demo(*arguments, timeout=timeout)
        assert result.returncode == 0, f"demo {' '.join(arguments)}:\n{result.stdout}\n{result.stderr}"
        return result

    def json(self, *arguments: str) -> Any:
        return json.loads(self.succeed(*arguments, "--json").stdout)

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        """Run ./demo in the background, in a session of its own as a terminal would."""
        return subprocess.Popen(
            self.command(*arguments),
            cwd=self.checkout,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def pulumi(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run plain pulumi with the environment that ./demo shell-env prints."""
        exports = self.succeed("shell-env").stdout
        script = f'{exports}\nexec pulumi "$@"'
        return subprocess.run(
            ["bash", "-c", script, "pulumi", *arguments, "--stack", self.name],
            cwd=self.checkout,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    def configure(self, **changes: Any) -> None:
        path = self.checkout / f"Pulumi.{self.name}.yaml"
        document = yaml.safe_load(path.read_text())
        for key, value in changes.items():
            if value is None:
                document["config"].pop(f"compass-demo:{key}", None)
            else:
                document["config"][f"compass-demo:{key}"] = value
        path.write_text(yaml.safe_dump(document))

    def container(self, service: str) -> str:
        return f"compass-{self.name}-{service}"

    @property
    def namespace(self) -> str:
        return f"compass-{self.name}"

    @cached_property
    def settings(self) -> Mapping[str, str]:
        """Asked once, which takes seconds: they stay the same until the stack is destroyed."""
        return self.json("env", self.name)

    def secret(self, name: str) -> str:
        """A secret that no setting of COMPASS has."""
        secrets = StackSecrets.load(DemoHome(self.home).stack(self.name))
        assert secrets is not None
        return secrets.values[name]

    def address_inside(self, service: str) -> str:
        """An address of a service that this machine reaches and nobody else does: of its container or of its pod."""
        if self.kind == "lab":
            from live_cluster import pod_address  # noqa: PLC0415 # only where there is a cluster

            return pod_address(self, service)
        template = f'{{{{(index .NetworkSettings.Networks "compass-{self.name}").IPAddress}}}}'
        inspect = ["docker", "inspect", "--format", template, self.container(service)]
        return subprocess.run(inspect, capture_output=True, text=True, check=True).stdout.strip()

    @contextmanager
    def reachable(self) -> Generator[None]:
        """Its addresses on this machine answer: Docker publishes them, a cluster needs a tunnel."""
        if self.kind != "lab":
            yield
            return
        with self.tunnel():
            yield

    @contextmanager
    def tunnel(self) -> Generator["subprocess.Popen[str]"]:
        """A ``./demo tunnel`` that serves; ended as a person ends it."""
        with (self.home / "tunnel.log").open("w+") as log:
            running = subprocess.Popen(
                self.command("tunnel", self.name),
                cwd=self.checkout,
                env={**self.environment, "PYTHONUNBUFFERED": "1"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )
            try:
                eventually(lambda: "Ctrl-C ends it" in _written(log) or running.poll() is not None, seconds=30)
                assert running.poll() is None, _written(log)
                yield running
            finally:
                running.send_signal(signal.SIGINT)
                running.wait(timeout=20)


def _written(log: IO[str]) -> str:
    return Path(log.name).read_text()


def sentence(result: "subprocess.CompletedProcess[str]") -> str:
    assert result.returncode == 1, result.stdout + result.stderr
    assert "Traceback" not in result.stderr
    return result.stderr[result.stderr.index("demo: ") :]


def make_stack(folder: Path, name: str, offset: int, kind: str = KIND, **config: Any) -> Stack:
    """A checkout with one more stack like ``kind``, and a home that shares the tools of this machine's."""
    checkout = folder / "checkout"
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    for file in listed.stdout.splitlines():
        if (REPOSITORY / file).is_file():
            (checkout / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(REPOSITORY / file, checkout / file)
    like = yaml.safe_load((REPOSITORY / f"Pulumi.{kind}.yaml").read_text())
    like["config"].update({f"compass-demo:{key}": value for key, value in {"portOffset": offset, **config}.items()})
    (checkout / f"Pulumi.{name}.yaml").write_text(yaml.safe_dump(like))
    home = folder / "home"
    home.mkdir(mode=0o700)
    for shared in ("tools", "pulumi-home", "cache", *(("cluster",) if kind == "lab" else ())):
        (DemoHome.default().root / shared).mkdir(parents=True, exist_ok=True)
        (home / shared).symlink_to(DemoHome.default().root / shared)
    (checkout / ".venv").symlink_to(REPOSITORY / ".venv")
    return Stack(name, checkout, home, offset, kind)


def what_is_left(engine: Engine, name: str) -> list[str]:
    label = f"{LABEL}={name}"
    return [
        *(state.name for state in engine.containers(label)),
        *engine.networks_labelled(label),
        *engine.volumes_labelled(label),
    ]


def files_of(stack: Stack) -> list[Path]:
    """Files and folders of the demo that are named after the stack."""
    found = [path for path in stack.home.rglob("*") if stack.name in path.name and not path.is_symlink()]
    # Shared with other homes by a link, which the search above does not follow.
    shared = (stack.home / "pulumi-home").resolve().rglob(f"*+{stack.name}-*")
    return [*found, *(path for path in shared if path.is_file())]


@dataclass(frozen=True)
class Telemetry:
    """The three signals, as an agent reads them through the gateway."""

    settings: Mapping[str, str]

    def promql(self, query: str) -> list[dict[str, Any]]:
        answer = requests.get(f"{self.settings['PROMETHEUS_URL']}/api/v1/query", params={"query": query}, timeout=10)
        assert answer.status_code == 200, answer.text
        return list(answer.json()["data"]["result"])

    def exemplars(self, query: str, seconds: float) -> list[dict[str, Any]]:
        now = time.time()
        answer = requests.get(
            f"{self.settings['PROMETHEUS_URL']}/api/v1/query_exemplars",
            params={"query": query, "start": str(now - seconds), "end": str(now)},
            timeout=10,
        )
        assert answer.status_code == 200, answer.text
        return [exemplar for series in answer.json()["data"] for exemplar in series["exemplars"]]

    def logql(self, query: str, limit: int = 20) -> list[tuple[dict[str, str], str]]:
        answer = requests.get(
            f"{self.settings['LOKI_URL']}/loki/api/v1/query_range",
            params={"query": query, "limit": str(limit)},
            timeout=10,
        )
        assert answer.status_code == 200, answer.text
        return [(stream["stream"], line) for stream in answer.json()["data"]["result"] for _, line in stream["values"]]

    def trace(self, trace_id: str) -> list[dict[str, Any]]:
        return list(self._trace(trace_id).get("spans", ()))

    def services_of_trace(self, trace_id: str) -> set[str]:
        """Who has spans in a trace; nobody if there is none."""
        return {process["serviceName"] for process in self._trace(trace_id).get("processes", {}).values()}

    def _trace(self, trace_id: str) -> dict[str, Any]:
        answer = requests.get(f"{self.settings['TEMPO_URL']}/api/traces/{trace_id}", timeout=10)
        return dict(answer.json()["data"][0]) if answer.status_code == 200 else {}
