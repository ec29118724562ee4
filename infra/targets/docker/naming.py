"""Names and labels on the engine: pure functions, so that every part knows a name before the thing exists."""

from typing import Final

__all__ = ["LABEL_SERVICE", "LABEL_SPEC", "LABEL_STACK", "container_name", "network_name", "volume_name"]

_PREFIX: Final = "compass"
LABEL_STACK: Final = "compass-demo.stack"
LABEL_SERVICE: Final = "compass-demo.service"
LABEL_SPEC: Final = "compass-demo.spec"
LABEL_GENERATION: Final = "compass-demo.secrets"


def container_name(stack: str, service: str) -> str:
    """Name of a container; unique on the engine."""
    return f"{_PREFIX}-{stack}-{service}"


def network_name(stack: str) -> str:
    """Name of the stack's network, which other containers may join."""
    return f"{_PREFIX}-{stack}"


def volume_name(stack: str, volume: str) -> str:
    """Name of a volume."""
    return f"{_PREFIX}-{stack}-{volume}"
