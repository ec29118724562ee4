"""Every stack on either target, rendered once and looked at by several modules."""

from collections.abc import Callable
from functools import cache
from typing import Any

from cluster_objects import deploy, on_a_cluster
from pulumi_recorder import Recorder

from infra.config import DemoConfig, TargetKind, load_stack_config
from infra.outputs import outputs
from infra.paths import REPOSITORY
from infra.program import make_topology
from infra.stack_secrets import StackSecrets
from infra.targets.docker.hooks import NoHooks
from infra.targets.docker.target import DockerTarget
from infra.topology.model import Topology

Run = Callable[[str, Callable[[], dict[str, Any]]], Recorder]

_rendered: dict[tuple[str, TargetKind, bool], Recorder] = {}


def cluster_config(stack: str) -> DemoConfig:
    return on_a_cluster(load_stack_config(REPOSITORY, stack))


@cache
def topology_of(stack: str) -> Topology:
    """The topology does not depend on the target."""
    return make_topology(stack, cluster_config(stack))


def secrets_of(topology: Topology) -> StackSecrets:
    """The same at every call, so that two renderings can be compared."""
    return StackSecrets("abcd1234", {name: f"value-of-{name}" for name in topology.secrets})


def render(run: Run, stack: str, target: TargetKind, *, dry_run: bool) -> Recorder:
    """What a program of this stack registers on the target, and its outputs."""
    key = (stack, target, dry_run)
    if key not in _rendered:
        _rendered[key] = run(stack, lambda: _program(stack, target))
    return _rendered[key]


def _program(stack: str, target: TargetKind) -> dict[str, Any]:
    config, topology = cluster_config(stack), topology_of(stack)
    secrets = secrets_of(topology)
    if target is TargetKind.DOCKER:
        deployment = DockerTarget(stack, hooks=NoHooks()).deploy(topology, secrets)
    else:
        deployment = deploy(stack, config, topology, secrets)
    return {**outputs(config, topology, deployment, secrets), "deployment": deployment}
