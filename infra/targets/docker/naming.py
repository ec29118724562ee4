"""Names and labels on the engine: pure functions, so that every part knows a name before the thing exists."""

from typing import Final

__all__ = [
    "LABEL_SERVICE",
    "LABEL_SPEC",
    "LABEL_STACK",
    "clients_network_name",
    "container_name",
    "network_name",
    "volume_name",
]

_PREFIX: Final = "compass"
LABEL_STACK: Final = "compass-demo.stack"
LABEL_SERVICE: Final = "compass-demo.service"
LABEL_SPEC: Final = "compass-demo.spec"
LABEL_GENERATION: Final = "compass-demo.secrets"


def container_name(stack: str, service: str) -> str:
    """Name of a container; unique on the engine."""
    return f"{_PREFIX}-{stack}-{service}"


def network_name(stack: str) -> str:
    """Name of the stack's network."""
    return f"{_PREFIX}-{stack}"


def clients_network_name(stack: str) -> str:
    """Name of the network that other containers may join: of the stack, only what is there for agents is on it."""
    return f"{_PREFIX}-{stack}-clients"


def volume_name(stack: str, volume: str) -> str:
    """Name of a volume."""
    return f"{_PREFIX}-{stack}-{volume}"
