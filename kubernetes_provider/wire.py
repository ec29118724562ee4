"""Pulumi's properties on the wire: a ``Struct`` of protobuf in which secrets and unknown values have signatures."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final, TypeGuard, cast

from google.protobuf.struct_pb2 import ListValue, NullValue, Struct, Value

from kubernetes_provider.faults import ProviderFault
from kubernetes_provider.paths import Json, Object

__all__ = [
    "UNKNOWN",
    "Object",
    "Secret",
    "Unknown",
    "decode",
    "encode",
    "has_unknown",
    "mark_secrets",
    "plain",
    "secret_texts",
]


_SIGNATURE: Final = "4dabf18193072939515e22adb298388d"
_SECRET: Final = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105 # a constant of the protocol
_OUTPUT: Final = "d0e6a833031e9bbcd3f4e8bde6ca49a4"
_KINDS_REFUSED: Final = {
    "c44067f5952c0a294b673a41bacd8c17": "an asset",
    "0def7320c3a5731c473e5ecbe6d01bc7": "an archive",
    "5cf8f73096256a8f31e491e813e4eb8e": "a resource",
}
_UNKNOWN_TEXT: Final = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
_UNKNOWN_TEXTS: Final = frozenset(
    {
        _UNKNOWN_TEXT,
        "1c4a061d-8072-4f0a-a4cb-0ff528b18fe7",  # a boolean
        "3eeb2bf0-c639-47a8-9e75-3b44932eb421",  # a number
        "6a19a0b0-7e62-4c92-b797-7f8e31da9cc2",  # a list
        "dd056dcd-154b-4c76-9bd3-c8f88648b5ff",  # an object
    }
)


class Unknown(Enum):
    """The type of ``UNKNOWN``: a value that only exists once something else was made."""

    UNKNOWN = _UNKNOWN_TEXT


UNKNOWN: Final = Unknown.UNKNOWN


@dataclass(frozen=True, slots=True)
class Secret:
    """A value that the engine encrypts in its state and hides in its output."""

    value: Json

    def __repr__(self) -> str:
        return "Secret(...)"


def decode(struct: Struct) -> Object:
    """The properties as Python values; whole numbers as ``int``, which is what Kubernetes wants.

    Raises:
        ProviderFault: an asset, an archive or a resource, which no field of Kubernetes takes.
    """
    return {key: _from_value(value) for key, value in struct.fields.items()}


def encode(properties: Mapping[str, Json]) -> Struct:
    """The properties for the wire, without those that are ``None``."""
    return Struct(fields={key: _to_value(value) for key, value in properties.items() if value is not None})


def plain(value: Json) -> Json:
    """The value without its marks of secrets; ``UNKNOWN`` stays."""
    if isinstance(value, Secret):
        return plain(value.value)
    if _is_object(value):
        return {key: plain(item) for key, item in value.items()}
    if _is_list(value):
        return [plain(item) for item in value]
    return value


def has_unknown(value: Json) -> bool:
    """Whether a part of the value is unknown."""
    if isinstance(value, Secret):
        return has_unknown(value.value)
    if _is_object(value):
        return any(has_unknown(item) for item in value.values())
    if _is_list(value):
        return any(has_unknown(item) for item in value)
    return value is UNKNOWN


def mark_secrets(value: Json, like: Json) -> Json:
    """The value, secret wherever ``like`` is."""
    if isinstance(like, Secret):
        return Secret(plain(value))
    if _is_object(value) and _is_object(like):
        return {key: mark_secrets(item, like.get(key)) for key, item in value.items()}
    if _is_list(value) and _is_list(like):
        marks = [*like, *[None] * len(value)]
        return [mark_secrets(item, mark) for item, mark in zip(value, marks, strict=False)]
    return value


def secret_texts(value: Json, *, inside: bool = False) -> set[str]:
    """Every text in the value that is a secret, so that it can be kept out of messages."""
    if isinstance(value, Secret):
        return secret_texts(value.value, inside=True)
    if _is_object(value):
        return {text for item in value.values() for text in secret_texts(item, inside=inside)}
    if _is_list(value):
        return {text for item in value for text in secret_texts(item, inside=inside)}
    return {value} if inside and isinstance(value, str) else set()


def _is_object(value: Json) -> TypeGuard[Object]:
    return isinstance(value, dict)


def _is_list(value: Json) -> TypeGuard[list[Json]]:
    return isinstance(value, list)


def _from_value(value: Value) -> Json:
    match value.WhichOneof("kind"):
        case "struct_value":
            return _from_struct(value.struct_value)
        case "list_value":
            return [_from_value(item) for item in value.list_value.values]
        case "string_value":
            return UNKNOWN if value.string_value in _UNKNOWN_TEXTS else value.string_value
        case "bool_value":
            return value.bool_value
        case "number_value":
            number = value.number_value
            return int(number) if number.is_integer() else number
        case _:
            return None


def _from_struct(struct: Struct) -> Json:
    if _SIGNATURE not in struct.fields:
        return decode(struct)
    signature = struct.fields[_SIGNATURE].string_value
    if signature == _SECRET:
        return Secret(_from_value(struct.fields["value"]))
    if signature == _OUTPUT:
        known = _from_value(struct.fields["value"]) if "value" in struct.fields else UNKNOWN
        return Secret(known) if struct.fields["secret"].bool_value else known
    raise ProviderFault(
        f"A field was given {_KINDS_REFUSED.get(signature, 'a special value')}, which Kubernetes has no use for."
    )


def _to_value(value: Json) -> Value:
    if _is_object(value):
        return Value(struct_value=encode(value))
    match value:
        case None:
            made = Value(null_value=NullValue.NULL_VALUE)
        case bool():
            made = Value(bool_value=value)
        case int() | float():
            made = Value(number_value=value)
        case str():
            made = Value(string_value=value)
        case Unknown():
            made = Value(string_value=_UNKNOWN_TEXT)
        case Secret():
            marked = {_SIGNATURE: Value(string_value=_SECRET), "value": _to_value(value.value)}
            made = Value(struct_value=Struct(fields=marked))
        case list():
            items = cast("list[Json]", value)
            made = Value(list_value=ListValue(values=[_to_value(item) for item in items]))
        case _:
            raise TypeError(f"{type(value).__name__} is no JSON value")
    return made
