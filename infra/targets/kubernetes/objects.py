"""Reading the server's objects: the parts of metadata that may be left out."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

__all__ = [
    "NAME",
    "PART_OF",
    "PROJECT_NAME",
    "PROVIDER",
    "STACK",
    "annotations",
    "is_ours",
    "labels",
    "name_of",
    "part",
    "parts",
]

PART_OF: Final = "app.kubernetes.io/part-of"
"""Label of everything that is the demo's, with the value ``PROJECT_NAME``."""
PROJECT_NAME: Final = "compass-demo"
NAME: Final = "app.kubernetes.io/name"
"""Label with the workload's name in the topology."""
STACK: Final = "compass-demo/stack"
"""Label with the stack's name."""
PROVIDER: Final = "compass-demo/provider"
"""Annotation of the namespace: which provider plugin made it, ``builtin`` or ``official``."""


def part(document: Mapping[str, Any], *keys: str) -> Mapping[str, Any]:
    """What is below some keys; empty where one of them is left out."""
    found: Any = document
    for key in keys:
        found = found.get(key) or {}
    return found


def parts(document: Mapping[str, Any], *keys: str) -> Sequence[Mapping[str, Any]]:
    """The list below some keys; empty where one of them is left out."""
    *way, last = keys
    return part(document, *way).get(last) or ()


def labels(document: Mapping[str, Any]) -> Mapping[str, str]:
    """An object's labels."""
    return part(document, "metadata", "labels")


def annotations(document: Mapping[str, Any]) -> Mapping[str, str]:
    """An object's annotations."""
    return part(document, "metadata", "annotations")


def name_of(document: Mapping[str, Any]) -> str:
    """An object's name."""
    return str(document["metadata"]["name"])


def is_ours(document: Mapping[str, Any], stack: str | None = None) -> bool:
    """Whether an object is a demo's, or that of one stack."""
    found = labels(document)
    return found.get(PART_OF) == PROJECT_NAME and (stack is None or found.get(STACK) == stack)
