"""Which of the two Kubernetes plugins the state says made a stack, and what follows from it."""

from collections.abc import Iterable
from pathlib import Path

from infra.errors import DemoError
from infra.targets.kubernetes.preflight import switch_refused
from toolchain.kubernetes_plugin import chosen_version, install_builtin, is_builtin, is_installed

__all__ = ["go_on_with", "provide"]


def go_on_with(stack: str, recorded: Iterable[str], pulumi_home: Path) -> None:
    """Return if what made the stack is what this machine would change it with.

    Raises:
        DemoError: it is the other plugin.
    """
    chosen = chosen_version(pulumi_home)
    for version in recorded:
        if is_builtin(version) != is_builtin(chosen):
            made, now = ("builtin" if is_builtin(one) else "official" for one in (version, chosen))
            raise DemoError(switch_refused(stack, made, now))
    provide(stack, recorded, pulumi_home)


def provide(stack: str, recorded: Iterable[str], pulumi_home: Path) -> None:
    """Make sure of the plugins that the state names: the engine deletes with those, whatever else is there.

    Raises:
        DemoError: Pulumi's own made the stack, and it is not here.
    """
    for version in recorded:
        if is_builtin(version):
            install_builtin(pulumi_home, version)
        elif not is_installed(pulumi_home, version):
            raise DemoError(
                f"The stack {stack} was made with Pulumi's own plugin {version}, which is not on this machine; use the "
                f"machine that made it, or install it (pulumi plugin install resource kubernetes v{version})."
            )
