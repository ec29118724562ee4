"""One stack through Pulumi's Automation API: the real engine, its events as progress, its faults as sentences."""

import contextlib
import json
import os
import signal
import threading
from collections.abc import Callable
from typing import Any, Final

import psutil
from pulumi import automation
from pulumi.automation import errors, events

from cli.engine_events import Changes, EngineEvents, deletions
from cli.engine_stack import open_stack, run_quietly
from cli.progress import Display
from infra.backend import local_checkpoint
from infra.errors import DemoError

__all__ = ["PulumiStack"]

_PARALLEL: Final = 32
"""Operations at once. Most of them wait for a container; the engine's own default is four for each processor."""
_CONTAINER: Final = "docker:index/container:Container"


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

        self._display.plan(deletions(self._resources()))
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
        return {str(one.get("id")) for one in self._resources() if one["type"] == _CONTAINER}

    def plugin_versions(self, package: str) -> set[str]:
        """Versions of a package's plugin that the state names; none if there is no state."""
        provider = f"pulumi:providers:{package}"
        return {str(one.get("inputs", {}).get("version")) for one in self._resources() if one["type"] == provider}

    def cancel_dead_lock(self) -> None:
        """Remove the lock that a killed ``pulumi`` left; the caller has made sure that no other one runs."""
        with contextlib.suppress(errors.CommandError):
            open_stack(self.name).cancel()

    def _resources(self) -> list[dict[str, Any]]:
        file = local_checkpoint(self.name, os.environ)
        if file is not None and not file.with_suffix(".json.gz").exists():
            if not file.exists():
                return []
            # Starting the engine for it would take a tenth of an `up` that changes nothing. What cannot be read here is
            # for the engine to explain.
            with contextlib.suppress(OSError, ValueError, KeyError):
                document: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
                latest: dict[str, Any] = document["checkpoint"].get("latest") or {}
                return list(latest.get("resources") or [])
        try:
            return list((open_stack(self.name).export_stack().deployment or {}).get("resources") or [])
        except errors.StackNotFoundError:
            return []
        except errors.CommandError as error:
            raise self._explain(error, []) from None

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
        follow = EngineEvents(self._display, planning=planning)
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
            finally:
                ended.set()

        ended = threading.Event()
        threading.Thread(target=work, name="pulumi").start()
        interrupted = self._wait_for(ended)
        follow.close()
        if interrupted:
            raise KeyboardInterrupt
        if failure:
            raise self._explain(failure[0], follow.faults) from None
        return Changes(follow.changes), follow.outputs

    def _wait_for(self, ended: threading.Event) -> bool:
        """Wait for the operation; on a signal let the engine end what it has begun. Whether there was one."""
        interrupted = False
        # Not for its thread: Python 3.11 takes one for dead when a signal interrupts the wait for it.
        while True:
            try:
                while not ended.wait(timeout=0.2):
                    pass
            except KeyboardInterrupt:
                if not interrupted:
                    self._display.say("Stopping: the engine finishes what it has begun. Ctrl-C again ends it at once.")
                interrupted = True
                _interrupt_engine()
            else:
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
