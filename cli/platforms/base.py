"""What commands need from where a stack runs, so that none of them asks which target it is."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from cli.doctor import Finding
    from cli.pulumi_stack import PulumiStack
    from toolchain.pulumi_tools import PulumiTools

__all__ = ["Platform", "ServiceStatus", "age", "with_unknown"]


@dataclass(frozen=True, kw_only=True, slots=True)
class ServiceStatus:
    """One container of the topology; on a cluster all its replicas together."""

    name: str
    state: str
    """``answers``, ``running``, ``done``, ``missing``, or what the platform or the probe says."""
    ok: bool
    since: str
    restarts: int
    memory_mib: float
    memory_limit_mib: int
    addresses: list[str]
    image: str


class Platform(Protocol):
    """Where one stack runs."""

    def make_reachable(self) -> None:
        """Make sure of what the platform needs on this machine, asking the person where that is theirs to decide.

        Raises:
            DemoError: it is not there and cannot be had.
        """
        ...

    def check(self) -> None:
        """Find out whether the stack can be brought up, before minutes are spent on tools and images.

        Raises:
            DemoError: one line for each fault.
        """
        ...

    def prepare(self) -> "PulumiTools":
        """Make sure of the engine, its plugin and the images.

        Raises:
            DemoError: one cannot be had.
        """
        ...

    def prepare_images(self) -> None:
        """Make sure of the images alone.

        Raises:
            DemoError: one cannot be had.
        """
        ...

    def ensure_tools(self) -> "PulumiTools":
        """Make sure of the engine and its plugin alone.

        Raises:
            ToolError: they cannot be had.
        """
        ...

    def deviations(self) -> list[str]:
        """What is not as ``up`` left it, by a glance that costs milliseconds; empty when a refresh can be saved."""
        ...

    def health(self, *, timeout_seconds: float) -> dict[str, Any]:
        """The gateway's answer to ``/ready/stack``, with ``ready`` and ``failing``; empty if it does not answer.

        What the gateway does not know of, since agents must not, is asked besides and counts too.
        """
        ...

    def trouble(self) -> list[str]:
        """Why the stack may not be ready, as far as the gateway does not know."""
        ...

    def services(self, health: Mapping[str, Any]) -> list[ServiceStatus]:
        """Every container of the topology, given the gateway's answer."""
        ...

    def remarks(self) -> list[str]:
        """What a person should know of the stack beside its state."""
        ...

    def logs(self, container: str, *, lines: int, follow: bool) -> Iterator[bytes]:
        """The last lines that a container wrote, then what it writes.

        Raises:
            DemoError: there is no such container now.
        """
        ...

    def tunnel(self) -> None:
        """Serve every published port on this machine's loopback addresses until it is interrupted.

        Raises:
            DemoError: a port is taken, or the platform publishes its ports by itself.
        """
        ...

    def before_up(self, pulumi: "PulumiStack") -> None:
        """Look at the state of a stack that exists, before it is changed.

        Raises:
            DemoError: this machine must not go on with it.
        """
        ...

    def before_destroy(self, pulumi: "PulumiStack") -> None:
        """Clear away what would hold up ``pulumi destroy``.

        Raises:
            DemoError: something that it needs is not there.
        """
        ...

    def remove_leftovers(self) -> None:
        """Remove what a killed ``pulumi`` made without writing it down.

        Raises:
            DemoError: something stays; it is named.
        """
        ...

    def how_to_join(self, network: str, env_file: str) -> str:
        """How a container gets the settings for the inside."""
        ...

    def findings(self) -> "Iterator[Finding]":
        """What ``doctor`` says of it."""
        ...


def with_unknown(health: Mapping[str, Any], failing: Sequence[Mapping[str, str]]) -> dict[str, Any]:
    """The gateway's answer together with what it cannot say: what fails of what agents must not know of."""
    return {
        **health,
        "ready": bool(health["ready"]) and not failing,
        "failing": [*health["failing"], *failing],
    }


def age(seconds: float) -> str:
    """A span of time in two units at most; negative ones are none, for another machine's clock may be ahead."""
    seconds = max(0, int(seconds))
    hours, minutes = seconds // 3600, seconds % 3600 // 60
    return f"{hours} h {minutes} min" if hours else (f"{minutes} min" if minutes else f"{seconds} s")
