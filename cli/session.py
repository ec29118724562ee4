"""What every command works with: the demo's home, the stack that is meant, its engine and its Pulumi."""

import os
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property

from filelock import FileLock, Timeout

from cli.platforms.base import Platform
from cli.progress import Display
from cli.pulumi_stack import PulumiStack
from infra.config import DemoConfig, TargetKind, load_stack_config, stack_names
from infra.errors import DemoError
from infra.paths import REPOSITORY, DemoHome
from infra.program import make_topology
from infra.stack_secrets import StackSecrets
from infra.topology.model import Topology
from toolchain.engine import Engine
from toolchain.pulumi_tools import PulumiTools

__all__ = ["Session", "existing_stacks", "the_stack"]


@dataclass(frozen=True)
class Session:
    """A stack by name, with everything that is derived from it."""

    stack: str
    home: DemoHome
    display: Display

    @cached_property
    def config(self) -> DemoConfig:
        """The stack's validated configuration."""
        return load_stack_config(REPOSITORY, self.stack)

    @cached_property
    def topology(self) -> Topology:
        """The demo as this configuration makes it."""
        return make_topology(self.stack, self.config)

    @cached_property
    def engine(self) -> Engine:
        """The Docker engine."""
        return Engine.connect(self.config.docker_host)

    @cached_property
    def platform(self) -> Platform:
        """Where the stack runs."""
        # Here, because either is large and no command needs both.
        if self.config.target is TargetKind.KUBERNETES:
            from cli.platforms.kubernetes import KubernetesPlatform  # noqa: PLC0415

            return KubernetesPlatform(self)
        from cli.platforms.docker import DockerPlatform  # noqa: PLC0415

        return DockerPlatform(self)

    @cached_property
    def pulumi(self) -> PulumiStack:
        """The stack in Pulumi; the tools must be there."""
        tools = PulumiTools.present(self.home)
        if tools is None:
            raise DemoError("Pulumi is not here yet; ./demo up fetches or builds it.")
        return self.with_tools(tools)

    def with_tools(self, tools: PulumiTools) -> PulumiStack:
        """The stack in Pulumi, with these tools."""
        environment = tools.environment()
        os.environ.update(environment)
        if "PULUMI_CONFIG_PASSPHRASE_FILE" in environment:
            # A passphrase of other projects would win over the file.
            os.environ.pop("PULUMI_CONFIG_PASSPHRASE", None)
        return PulumiStack(self.stack, self.display)

    @contextmanager
    def exclusively(self) -> Generator[None]:
        """Keep other commands of the demo away from the stack.

        Raises:
            DemoError: another one is working on it.
        """
        directory = self.home.make_private().stack(self.stack)
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = FileLock(directory / "lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise DemoError(f"Another ./demo is working on the stack {self.stack}; wait until it is done.") from None
        try:
            yield
        finally:
            lock.release()


def existing_stacks(home: DemoHome) -> list[str]:
    """Stacks that were brought up on this machine and not destroyed since."""
    return [name for name in stack_names(REPOSITORY) if StackSecrets.exist(home.stack(name))]


def the_stack(home: DemoHome, name: str | None) -> str:
    """The stack that is meant: the named one, else the only one there is.

    Raises:
        DemoError: none or several exist, or the name is unknown.
    """
    if name is not None:
        load_stack_config(REPOSITORY, name)
        return name
    found = existing_stacks(home)
    if len(found) == 1:
        return found[0]
    if found:
        raise DemoError(f"Several stacks exist ({', '.join(found)}); say which one is meant.")
    raise DemoError("No stack exists yet; ./demo up makes one.")
