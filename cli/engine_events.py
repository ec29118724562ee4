"""What the engine's events mean to a person: a step for each resource, the changes, the faults, the outputs."""

import contextlib
import re
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Final

from pulumi.automation import events

from cli.progress import Display
from infra.errors import DemoError
from toolchain.progress import Step

__all__ = ["Changes", "EngineEvents", "deletions"]

_NOISE: Final = re.compile(r"^(update|preview) failed|resource monitor shut down|\d+ errors? occurred:?$")
_PREFIX: Final = re.compile(r'^((before|after) hook "[^"]*" failed|an unhandled error occurred): ', re.MULTILINE)
"""What the engine writes before a sentence of the program's."""
_LIST: Final = re.compile(r"^\d+ errors? occurred:\n|^\t\* (?=\S)", re.MULTILINE)
"""How it writes several faults as one message."""
_PROVIDERS: Final = ("docker:", "kubernetes:")
_KEPT: Final = "RemoteImage"
"""Resources that ``destroy`` forgets and leaves where they are."""
_NOT_MADE: Final = frozenset({"same", "update"})
"""What becomes of a resource that is not made, as it was planned: nothing, or a step of another name."""
_UNINTERESTING: Final = frozenset({"same", "read", "refresh", "replace", "discard", "read-discard"})
"""``replace`` only announces the deletion and the creation that are told too."""
_DELETE_REPLACED: Final = "delete-replaced"
"""The other half of a replacement."""
_VERBS: Final = {"create": "", "create-replacement": "", _DELETE_REPLACED: "remove old "}
_NOUNS: Final = {
    "Container": "",
    "Network": "",
    "Volume": "volume ",
    "RemoteImage": "image ",
    "Deployment": "",
    "StatefulSet": "",
    "Job": "",
    "PersistentVolumeClaim": "volume ",
}


@dataclass(frozen=True, slots=True)
class Changes:
    """What an operation did or would do: operation -> names of resources, unchanged ones left out."""

    by_operation: dict[str, list[str]]

    def __bool__(self) -> bool:
        return bool(self.by_operation)

    def planned(self) -> str:
        """What a preview shows, as in "2 to create, 1 to replace"."""
        return self._told({"create-replacement": "replace"}, "{} to {}")

    def made(self) -> str:
        """What an update has done, as in "2 created, 1 replaced"."""
        return self._told(
            {"create": "created", "update": "updated", "delete": "deleted", "create-replacement": "replaced"}, "{} {}"
        )

    def _told(self, words: Mapping[str, str], form: str) -> str:
        counted = {
            operation: len(names) for operation, names in self.by_operation.items() if operation != _DELETE_REPLACED
        }
        told = [form.format(number, words.get(operation, operation)) for operation, number in sorted(counted.items())]
        return ", ".join(told) or "nothing to change"


@dataclass(slots=True)
class EngineEvents:
    """Follows the engine's events: one step for each resource that changes."""

    display: Display
    planning: bool = False
    """Whether nothing is really done, so that no step is shown."""
    changes: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    faults: list[str] = field(default_factory=list[str])
    outputs: dict[str, Any] = field(default_factory=dict[str, Any])
    steps: dict[str, AbstractContextManager[Step]] = field(default_factory=dict[str, AbstractContextManager[Step]])

    def __call__(self, event: events.EngineEvent) -> None:
        """Take in one event."""
        if event.resource_pre_event:
            self._start(event.resource_pre_event.metadata)
        elif event.res_outputs_event:
            metadata = event.res_outputs_event.metadata
            self._end(metadata.urn, failed=False)
            if metadata.type == "pulumi:pulumi:Stack" and metadata.new is not None:
                self.outputs.update(metadata.new.outputs or {})
        elif event.res_op_failed_event:
            self._end(event.res_op_failed_event.metadata.urn, failed=True)
        elif event.diagnostic_event and event.diagnostic_event.severity == "error":
            self._fault(event.diagnostic_event.message)
            # A hook that fails is told in no event of its own, and the resource counts as made.
            self._end(event.diagnostic_event.urn or "", failed=True)

    def _start(self, metadata: events.StepEventMetadata) -> None:
        operation = str(getattr(metadata.op, "value", metadata.op))
        if not metadata.type.startswith(_PROVIDERS):
            return
        if operation in _NOT_MADE:
            self.display.drop(_display_name(metadata.type, metadata.urn))
        if operation in _UNINTERESTING:
            return
        if operation == "delete" and metadata.type.endswith(_KEPT):
            return
        name = _display_name(metadata.type, metadata.urn)
        self.changes.setdefault(operation, []).append(name)
        if self.planning:
            return
        verb = _VERBS.get(operation, f"{operation} ")
        step = self.display.step(f"{verb}{name}")
        self._end(metadata.urn, failed=False)
        step.__enter__()
        self.steps[metadata.urn] = step

    def _end(self, urn: str, *, failed: bool) -> None:
        step = self.steps.pop(urn, None)
        if step is not None:
            error = DemoError("failed") if failed else None
            with contextlib.suppress(DemoError):
                step.__exit__(type(error) if error else None, error, None)

    def _fault(self, message: str) -> None:
        text = _PREFIX.sub("", re.sub(r"<\{%.*?%\}>", "", message))
        text = _LIST.sub("", text).strip()
        if text and not _NOISE.search(text) and text not in self.faults:
            self.faults.append(text)

    def close(self) -> None:
        """End what the engine left open when it was stopped."""
        for urn in list(self.steps):
            self._end(urn, failed=True)


def deletions(resources: Iterable[Mapping[str, Any]]) -> list[str]:
    """Names of the steps of a ``destroy``, given the state's resources."""
    return [
        f"delete {_display_name(one['type'], one['urn'])}"
        for one in resources
        if one["type"].startswith(_PROVIDERS) and not one["type"].endswith(_KEPT)
    ]


def _display_name(kind: str, urn: str) -> str:
    noun = kind.rpartition(":")[2]
    name = urn.rpartition("::")[2]
    return _NOUNS.get(noun, f"{noun.lower()} ") + re.sub(r"(-container|-bridge|-volume)$|^images-", "", name)
