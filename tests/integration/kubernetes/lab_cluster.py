"""A lab cluster that the tests start, break and take down, driven as a person drives it."""

# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false
# docker-py's push and tag are not typed.

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

import docker

from cluster.api import Api
from cluster.layout import REGISTRY, Layout
from cluster.processes import stop
from infra.paths import HOME_VARIABLE, REPOSITORY, DemoHome

_SECONDS = 900
"""The programs are compiled by the first ``up`` of a machine."""


@dataclass(frozen=True)
class Lab:
    """The cluster of one home."""

    home: DemoHome

    @property
    def layout(self) -> Layout:
        return Layout.of(self.home)

    @property
    def api(self) -> Api:
        return Api(self.layout.keys)

    def demo(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "cli", "cluster", *arguments],
            cwd=REPOSITORY,
            env={**os.environ, HOME_VARIABLE: str(self.home.root), "PYTHONPATH": str(REPOSITORY), "NO_COLOR": "1"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )

    def succeed(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        result = self.demo(*arguments)
        assert result.returncode == 0, f"cluster {' '.join(arguments)}:\n{result.stdout}\n{result.stderr}"
        return result

    def up(self) -> list[str]:
        """Bring it up; returns the names of the parts that were started."""
        return json.loads(self.succeed("up", "--json").stdout)["started"]

    def status(self) -> dict[str, Any]:
        return json.loads(self.demo("status", "--json").stdout)

    def pid(self, part: str) -> int:
        return next(one["pid"] for one in self.status()["parts"] if one["name"] == part)

    def kill(self, part: str) -> None:
        """End a part as a crash does; ``up`` starts it again."""
        stop(self.layout, part, grace_seconds=0)

    def push(self, image: str, name: str) -> str:
        """Push an image of the Docker engine to the cluster's registry; returns its name there."""
        client, repository = docker.from_env(), f"{REGISTRY}/{name}"
        client.images.get(image).tag(repository, "test")
        answer = str(client.images.push(repository, "test"))
        client.images.remove(f"{repository}:test")
        assert '"error"' not in answer, answer
        return f"{repository}:test"

    def create(self, path: str, document: dict[str, Any]) -> None:
        self.api.apply(path, document)

    def phase(self, namespace: str, pod: str) -> str:
        found = self.api.find(f"/api/v1/namespaces/{namespace}/pods/{pod}")
        return "" if found is None else str(found["status"].get("phase", ""))

    def address(self, namespace: str, pod: str) -> str:
        return str(self.api.get(f"/api/v1/namespaces/{namespace}/pods/{pod}")["status"]["podIP"])

    def inside(self, namespace: str, pod: str, *command: str) -> tuple[int, str]:
        """Exit code and output of a command in a pod, run through containerd; -1 while it has no container."""
        ctr = ("ctr", "-a", str(self.layout.containerd_socket), "-n", "k8s.io")
        status = self.api.get(f"/api/v1/namespaces/{namespace}/pods/{pod}")["status"]
        container = status["containerStatuses"][0].get("containerID", "").removeprefix("containerd://")
        if not container:
            return -1, "no container"
        result = subprocess.run(
            [*ctr, "tasks", "exec", "--exec-id", os.urandom(4).hex(), container, *command],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return result.returncode, (result.stdout + result.stderr).strip()
