"""Configuration -> topology -> target -> outputs, for ``__main__``, the command line and tests."""

import importlib
import os
from pathlib import Path
from typing import Any

import pulumi
from pulumi.runtime.config import CONFIG, get_config_env

from images.catalog import images
from infra.backend import pulumi_home, require_shared_state
from infra.config import PROJECT, DemoConfig, SecretsSource, TargetKind
from infra.errors import DemoError
from infra.outputs import outputs
from infra.paths import DemoHome
from infra.stack_secrets import StackSecrets
from infra.targets.base import Target
from infra.topology import names
from infra.topology.demo import demo_topology
from infra.topology.model import Topology
from infra.topology.site import Site

__all__ = ["build", "load_target", "make_target", "make_topology", "read_config", "run"]


def run() -> None:
    """The Pulumi program: build the selected stack and export its outputs.

    Raises:
        pulumi.RunError: with one sentence for each fault; Pulumi shows it as it is, without a traceback.
    """
    stack = pulumi.get_stack()
    try:
        values = build(stack, read_config(stack), dry_run=pulumi.runtime.is_dry_run())
    except DemoError as error:
        raise pulumi.RunError(str(error)) from None
    for name, value in values.items():
        pulumi.export(name, value)


def read_config(stack: str) -> DemoConfig:
    """The stack's configuration as the engine hands it to the program, secrets included."""
    prefix = f"{PROJECT}:"
    # Language hosts hand the configuration over in the environment or by a call.
    everything = {**get_config_env(), **CONFIG.get()}
    values = {key.removeprefix(prefix): value for key, value in everything.items() if key.startswith(prefix)}
    return DemoConfig.parse(values, where=f"Pulumi.{stack}.yaml")


def make_topology(stack: str, config: DemoConfig) -> Topology:
    """The validated topology of a stack."""
    return demo_topology(Site(stack=stack, config=config, images=images(config)))


def make_target(stack: str, config: DemoConfig) -> Target:
    """The target that the configuration names.

    Raises:
        DemoError: it names no cluster, or one that is not there.
    """
    # Imported here, because a provider's SDK is large: most users of this module want the topology alone, and no
    # stack needs the other target's.
    if config.target is TargetKind.DOCKER:
        from infra.targets.docker.target import DockerTarget  # noqa: PLC0415

        return DockerTarget(stack, config.docker_host)
    from images.push import registry_digests  # noqa: PLC0415
    from infra.targets.kubernetes.kube import resolve  # noqa: PLC0415
    from infra.targets.kubernetes.target import KubernetesTarget, Plugin  # noqa: PLC0415
    from toolchain.kubernetes_plugin import OFFICIAL_VERSION, chosen_version  # noqa: PLC0415

    home = DemoHome.default()
    version = chosen_version(pulumi_home(os.environ))
    return KubernetesTarget(
        stack,
        config,
        resolve(config, home),
        digests=lambda topology: registry_digests(config, topology.images),
        plugin=Plugin(version=version, kind="official" if version == OFFICIAL_VERSION else "builtin"),
    )


def load_target(kind: TargetKind) -> None:
    """Import what ``make_target`` needs for a kind: half a second, which can pass while others are waited for."""
    importlib.import_module(f"infra.targets.{kind.value}.target")


def build(stack: str, config: DemoConfig, *, dry_run: bool) -> dict[str, Any]:
    """Register every resource and return the outputs.

    Raises:
        DemoError: before anything is registered, with one sentence for each fault.
    """
    topology = make_topology(stack, config)
    require_shared_state(stack, config, os.environ)
    if config.secrets_source is SecretsSource.CONFIG:
        # Before the cluster is asked anything: nothing is made for a stack that lacks its secrets.
        configured = StackSecrets.configured(stack, config, topology.secrets)
    else:
        configured = None
    target = make_target(stack, config)
    target.check(topology, preview=dry_run)
    if configured and not dry_run:
        StackSecrets.note_configured(_directory(stack))
    secrets = configured or _secrets(stack, config, topology, dry_run=dry_run)
    deployment = target.deploy(topology, secrets)
    return outputs(config, topology, deployment, secrets)


def _secrets(stack: str, config: DemoConfig, topology: Topology, *, dry_run: bool) -> StackSecrets:
    token = config.gateway_token.get_secret_value() if config.gateway_token else None
    return _generated(stack, topology, dry_run=dry_run).with_override(names.GATEWAY_TOKEN, token)


def _generated(stack: str, topology: Topology, *, dry_run: bool) -> StackSecrets:
    directory = _directory(stack)
    if dry_run:
        # A preview changes nothing, not even a file.
        return StackSecrets.load_or_foresee(directory, topology.secrets)
    return StackSecrets.load_or_create(directory, topology.secrets)


def _directory(stack: str) -> Path:
    return DemoHome.default().make_private().stack(stack)
