"""The provider starts anew with each command, and imports no more than it uses."""

import subprocess
import sys

import pytest

from infra.paths import REPOSITORY

pytestmark = pytest.mark.processes

START = """
import sys
from kubernetes_provider.partial_imports import import_in_part

import_in_part()
import grpc.aio
import kubernetes_provider.service
import kubernetes_provider.serving
from kr8s._auth import KubeAuth

unused = {"pulumi.automation", "pulumi.runtime.stack", "kr8s._api", "httpx_ws", "rich", "click"} & set(sys.modules)
print(KubeAuth.__name__, sorted(unused))
"""


def test_it_starts_without_what_it_does_not_use() -> None:
    ran = subprocess.run([sys.executable, "-c", START], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert ran.stdout.strip() == "KubeAuth []", ran.stderr
