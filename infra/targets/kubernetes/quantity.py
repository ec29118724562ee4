"""Kubernetes' notation for amounts: ``500m``, ``1Gi``, ``2``."""

import re
from decimal import Decimal
from typing import Final

__all__ = ["amount", "shown"]

_FORM: Final = re.compile(r"([+-]?[0-9.]+(?:[eE][+-]?[0-9]+)?)(n|u|m|k|Ki|[MGTPE]i?)?")
_DECIMAL: Final = {"n": -9, "u": -6, "m": -3, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY: Final = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}


def amount(text: str) -> Decimal:
    """The number that a quantity means: bytes, processors or pieces.

    Raises:
        ValueError: it is no quantity.
    """
    match = _FORM.fullmatch(text.strip())
    if match is None:
        msg = f"{text!r} is no quantity"
        raise ValueError(msg)
    number, suffix = Decimal(match[1]), match[2] or ""
    if suffix in _BINARY:
        return number * 2 ** _BINARY[suffix]
    return number.scaleb(_DECIMAL.get(suffix, 0))


def shown(value: Decimal, resource: str) -> str:
    """An amount for a person: MiB where the resource is counted in bytes."""
    if resource.rpartition(".")[2] in {"memory", "storage", "ephemeral-storage"}:
        return f"{value / 2**20:.0f} MiB"
    return f"{value.normalize():f}"
