"""One stack through Pulumi's Automation API: the real engine, its events as progress, its faults as sentences."""

import contextlib
import os
import re
import signal
import threading
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Final

import psutil
from pulumi import automation
from pulumi.automation import errors, events

from cli.engine_stack import open_stack, run_quietly
from cli.progress import Display
from infra.errors import DemoError
from toolchain.progress import Step

__all__ = ["Changes", "PulumiStack"]

_PARALLEL: Final = 32
"""Operations at once. Most of them wait for a container; the engine's own default is four for each processor."""
_NOISE: Final = re.compile(r"^(update|preview) failed|resource monitor shut down|\d+ errors? occurred:?$")
_PREFIX: Final = re.compile(r'^((before|after) hook "[^"]*" failed|an unhandled error occurred): ', re.MULTILINE)
"""What the engine writes before a sentence of the program's."""
_LIST: Final = re.compile(r"^\d+ errors? occurred:\n|^\t\* (?=\S)", re.MULTILINE)
"""How it writes several faults as one message."""
_CONTAINER: Final = "docker:index/container:Container"
_PROVIDERS: Final = ("docker:", "kubernetes:")
_KEPT: Final = "RemoteImage"
"""Resources that ``destroy`` forgets and leaves where they are."""
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
class _Events:
    """Follows the engine's events: one step for each resource that changes."""

    display: Display
    planning: bool = False
    """Whether nothing is really done, so that no step is shown."""
    changes: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    faults: list[str] = field(default_factory=list[str])
    outputs: dict[str, Any] = field(default_factory=dict[str, Any])
    steps: dict[str, AbstractContextManager[Step]] = field(default_factory=dict[str, AbstractContextManager[Step]])

    def __call__(self, event: events.EngineEvent) -> None:
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
        if operation in _UNINTERESTING or not metadata.type.startswith(_PROVIDERS):
            return
        if operation == "delete" and metadata.type.endswith(_KEPT):
            return
        name = _display_name(metadata)
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


class PulumiStack:
    """A stack of this project's program."""

    def __init__(self, name: str, display: Display) -> None:
        self.name = name
        self._display = display

    def up(self, *, refresh: bool, create: bool = False) -> tuple[Changes, dict[str, Any]]:
        """``pulumi up``; returns what changed and the outputs, secrets masked.

        Args:
            refresh: Whether to ask the provider first what is there.
            create: Whether the stack is probably new; a wrong guess costs a start of the engine.

        Raises:
            DemoError: the engine's or the program's own words.
        """

        def operate(stack: automation.Stack, follow: Callable[[events.EngineEvent], None]) -> None:
            stack.up(on_event=follow, refresh=refresh, program=run_quietly, **self._options())

        return self._follow(operate, create=create)

    def preview(self, *, refresh: bool) -> Changes:
        """``pulumi preview``; a stack that does not exist does not exist afterwards either."""

        def operate(stack: automation.Stack, follow: Callable[[events.EngineEvent], None]) -> None:
            stack.preview(on_event=follow, refresh=refresh, program=run_quietly, parallel=_PARALLEL)

        return self._follow(operate, planning=True)[0]

    def destroy(self) -> Changes:
        """``pulumi destroy`` and ``pulumi stack rm``."""

        def operate(stack: automation.Stack, follow: Callable[[events.EngineEvent], None]) -> None:
            stack.destroy(on_event=follow, **self._options())
            # By default this deletes Pulumi.<stack>.yaml, which is part of the checkout.
            stack.workspace.remove_stack(self.name, preserve_config=True)

        return self._follow(operate)[0]

    def forget(self) -> None:
        """``pulumi stack rm --force``: the state goes, the resources stay."""
        try:
            open_stack(self.name).workspace.remove_stack(self.name, force=True, preserve_config=True)
        except errors.StackNotFoundError:
            return
        except errors.CommandError as error:
            raise self._explain(error, []) from None

    def outputs(self) -> dict[str, Any]:
        """Output name -> value, secrets in clear.

        Raises:
            DemoError: the stack does not exist, or its state cannot be read.
        """
        try:
            return {name: output.value for name, output in open_stack(self.name).outputs().items()}
        except errors.CommandError as error:
            raise self._explain(error, []) from None

    def containers(self) -> set[str]:
        """Ids of the containers in the state."""
        try:
            resources = (open_stack(self.name).export_stack().deployment or {}).get("resources", [])
        except errors.StackNotFoundError:
            return set()
        except errors.CommandError as error:
            raise self._explain(error, []) from None
        return {str(one.get("id")) for one in resources if one["type"] == _CONTAINER}

    def cancel_dead_lock(self) -> None:
        """Remove the lock that a killed ``pulumi`` left; the caller has made sure that no other one runs."""
        with contextlib.suppress(errors.CommandError):
            open_stack(self.name).cancel()

    def _options(self) -> dict[str, Any]:
        return {"parallel": _PARALLEL, "show_secrets": False, "suppress_outputs": True, "color": "never"}

    def _follow(
        self,
        operation: Callable[[automation.Stack, Callable[[events.EngineEvent], None]], object],
        *,
        create: bool = False,
        planning: bool = False,
    ) -> tuple[Changes, dict[str, Any]]:
        """Run an operation in a thread, so that this one can pass signals on; a missing stack is created first.

        Args:
            operation: What to do with the stack.
            create: Whether it is probably missing.
            planning: Whether nothing is changed; a stack that had to be created for it is removed again.
        """
        follow = _Events(self._display, planning=planning)
        failure: list[Exception] = []

        def work() -> None:
            try:
                stack = open_stack(self.name, lambda: follow.outputs)
                if create:
                    with contextlib.suppress(errors.StackAlreadyExistsError):
                        stack.workspace.create_stack(self.name)
                try:
                    operation(stack, follow)
                except errors.StackNotFoundError:
                    stack.workspace.create_stack(self.name)
                    try:
                        operation(stack, follow)
                    finally:
                        if planning:
                            stack.workspace.remove_stack(self.name, preserve_config=True)
            except Exception as error:  # noqa: BLE001 # it is raised again below, in the caller's thread
                failure.append(error)

        thread = threading.Thread(target=work, name="pulumi")
        thread.start()
        interrupted = self._join(thread)
        follow.close()
        if interrupted:
            raise KeyboardInterrupt
        if failure:
            raise self._explain(failure[0], follow.faults) from None
        return Changes(follow.changes), follow.outputs

    def _join(self, thread: threading.Thread) -> bool:
        """Wait for the thread; on a signal let the engine end what it has begun. Whether there was one."""
        interrupted = False
        while thread.is_alive():
            try:
                thread.join(timeout=0.2)
            except KeyboardInterrupt:
                if not interrupted:
                    self._display.say("Stopping: the engine finishes what it has begun. Ctrl-C again ends it at once.")
                interrupted = True
                _interrupt_engine()
        return interrupted

    def _explain(self, error: Exception, faults: list[str]) -> DemoError:
        if isinstance(error, errors.ConcurrentUpdateError):
            return DemoError(
                f"Another pulumi is working on the stack {self.name}; wait for it. If none runs (it was killed), "
                "run ./demo up again: it clears the lock away."
            )
        if faults:
            return DemoError("\n".join(faults))
        if isinstance(error, errors.CommandError):
            lines = [line.strip() for line in str(error).splitlines() if "error:" in line]
            return DemoError("\n".join(line.partition("error:")[2].strip() for line in lines) or str(error))
        return DemoError(f"{type(error).__name__}: {error}")


def _display_name(metadata: events.StepEventMetadata) -> str:
    noun = metadata.type.rpartition(":")[2]
    name = metadata.urn.rpartition("::")[2]
    return _NOUNS.get(noun, f"{noun.lower()} ") + re.sub(r"(-container|-bridge|-volume)$|^images-", "", name)


def _interrupt_engine() -> None:
    """Pass an interrupt on, unless the terminal has given it to the whole process group already."""
    if os.name == "posix":
        with contextlib.suppress(OSError):
            if os.tcgetpgrp(0) == os.getpgrp():
                return
    else:
        return  # the console has told every process
    for child in psutil.Process().children():
        with contextlib.suppress(psutil.Error):
            if child.name().startswith("pulumi"):
                child.send_signal(signal.SIGINT)
