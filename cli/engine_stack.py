"""Pulumi's Automation API without the questions that it asks beside each operation.

Every one of them starts the ``pulumi`` program, which takes a quarter of a second: its version, whether the stack
exists, its outputs (twice), its history. The demo knows the first, and the engine's events tell the others.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

import semver
from pulumi import automation, log
from pulumi.automation._stack import StackInitMode  # the base class asks for it, and nothing exports it

from infra import versions
from infra.paths import REPOSITORY
from infra.program import run

__all__ = ["EngineStack", "open_stack", "run_quietly"]

_ENVIRONMENT: Final = {"GOGC": "400"}
"""The engine and its plugins live for seconds: memory that they need not collect saves a tenth of their time."""


class _CheckedCommand(automation.PulumiCommand):
    """The program that `toolchain.pulumi_tools` has found or made, and whose version it has checked."""

    def __init__(self) -> None:  # pyright: ignore[reportMissingSuperCall] # the base class runs `pulumi version`
        self.command = "pulumi"
        self.version = semver.VersionInfo.parse(versions.PULUMI_MINIMUM)


class _Workspace(automation.LocalWorkspace):
    """Every command names its stack, so none needs to be selected."""

    def select_stack(self, stack_name: str) -> None:
        """Do nothing; a command whose stack does not exist raises ``StackNotFoundError`` itself."""


class EngineStack(automation.Stack):
    """A stack whose ``up`` and ``destroy`` are one run of the engine each.

    Args:
        name: The stack's name.
        workspace: Where its program is.
        outputs: Gives the outputs that the engine's events told, secrets masked.
    """

    def __init__(
        self, name: str, workspace: automation.Workspace, outputs: Callable[[], dict[str, Any]] | None = None
    ) -> None:
        super().__init__(name, workspace, StackInitMode.SELECT)
        self._told = outputs

    def outputs(self) -> automation.OutputMap:
        """What the engine's events told, or if nobody listens, what it answers when asked."""
        if self._told is None:
            return super().outputs()
        return {name: automation.OutputValue(value=value, secret=False) for name, value in self._told().items()}

    def info(self, show_secrets: bool = True) -> automation.UpdateSummary:  # noqa: ARG002 # the base's
        """That the operation succeeded: one that fails raises. Its changes are in the events."""
        return automation.UpdateSummary(
            kind="update", start_time=datetime.now(UTC), message="", environment={}, config={}, result="succeeded"
        )


def open_stack(name: str, outputs: Callable[[], dict[str, Any]] | None = None) -> EngineStack:
    """The stack of that name, whether it exists or not."""
    workspace = _Workspace(work_dir=str(REPOSITORY), pulumi_command=_CheckedCommand(), env_vars=_ENVIRONMENT)
    return EngineStack(name, workspace, outputs)


def run_quietly() -> None:
    """The program without the SDK's debug messages: hundreds of calls to the engine, which drops all of them.

    ``pulumi up --debug`` shows them.
    """
    debug, log.debug = log.debug, _ignore
    try:
        run()
    finally:
        log.debug = debug


def _ignore(*_: object, **__: object) -> None:
    """Say nothing."""
