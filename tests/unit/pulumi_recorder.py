"""Pulumi mocks that remember every registration, and how to look into one."""

# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false
# The SDK's mocks are not typed.

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pulumi
from pulumi.runtime import mocks

SECRET_SIGNATURE = "4dabf18193072939515e22adb298388d"  # Pulumi's wire marker; not a secret itself


@dataclass
class Registration:
    """One resource as the engine would be asked for it."""

    type: str
    name: str
    urn: str
    parent: str
    dependencies: frozenset[str]
    provider: str
    version: str
    delete_before_replace: bool
    deleted_with: str
    inputs: Mapping[str, Any]


@dataclass
class Recorder(mocks.MockMonitor):
    """A monitor that keeps the requests: plain mocks see inputs only."""

    registrations: list[Registration] = field(default_factory=list[Registration])
    outputs: dict[str, Any] = field(default_factory=dict[str, Any])
    completed_components: set[str] = field(default_factory=set[str])

    def __init__(self) -> None:
        super().__init__(Echo())
        self.registrations = []
        self.outputs = {}
        self.completed_components = set()

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802 # the protocol's name
        answer = super().RegisterResource(request)
        if request.type != "pulumi:pulumi:Stack":
            self.registrations.append(
                Registration(
                    type=request.type,
                    name=request.name,
                    urn=answer.urn,
                    parent=request.parent,
                    dependencies=frozenset(request.dependencies),
                    provider=request.provider,
                    version=request.version,
                    delete_before_replace=request.deleteBeforeReplace,
                    deleted_with=request.deletedWith,
                    inputs=pulumi.runtime.rpc.deserialize_properties(request.object, keep_unknowns=True),
                )
            )
        return answer

    def RegisterResourceOutputs(self, request: Any) -> Any:  # noqa: N802
        self.completed_components.add(request.urn)
        return super().RegisterResourceOutputs(request)

    def named(self, name: str) -> Registration:
        (found,) = [one for one in self.registrations if one.name == name]
        return found

    def of_type(self, kind: str) -> list[Registration]:
        return [one for one in self.registrations if one.type == kind]


class Echo(mocks.Mocks):
    """Gives back the plain texts among what it got (names are all that the program uses), and the computed outputs.

    The SDK would turn the rest into objects that nobody looks at, for a third of the time of a rendering.
    """

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str, dict[str, Any]]:
        outputs: dict[str, Any] = {name: value for name, value in args.inputs.items() if isinstance(value, str)}
        if args.typ == "docker:index/remoteImage:RemoteImage":
            outputs["imageId"] = f"sha256:{args.inputs['name']}"
        return f"{args.name}-id", outputs

    def call(self, args: mocks.MockCallArgs) -> tuple[dict[str, Any], None]:
        raise AssertionError(f"the program calls no provider function, but {args.token} was called")


def plain(value: Any) -> Any:
    """A property as YAML would show it: the wire knows no whole numbers, and wraps what is secret."""
    if isinstance(value, dict):
        return plain(value["value"]) if is_secret(value) else {key: plain(one) for key, one in value.items()}
    if isinstance(value, list):
        return [plain(one) for one in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def is_secret(value: Any) -> bool:
    """Whether a property was sent with Pulumi's secret marker."""
    return isinstance(value, dict) and SECRET_SIGNATURE in value
