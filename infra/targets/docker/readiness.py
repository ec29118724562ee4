"""Waiting until a container is ready or done.

The provider's own ``wait`` asks once a second, sees a check's result only after its interval, and spends the whole
time-out on a container that died at once, without a word of its log. This runs the probe directly, stops at the
first container of the stack that dies, and puts its last lines into the error.
"""

import math
import time
from asyncio import sleep, to_thread
from typing import Final

from infra.errors import DemoError
from infra.targets.docker.naming import LABEL_SERVICE, LABEL_STACK, container_name
from infra.topology.model import ExecProbe, Service, Task
from toolchain.engine import ContainerState, Engine

__all__ = ["LOG_LINES", "Readiness"]

_POLL_SECONDS: Final = 0.1
_EXEC_SECONDS: Final = 0.25
"""Between two runs of a probe: each starts a process in the container, and other containers are starting too."""
_OTHERS_SECONDS: Final = 1.0
"""Between two looks at all the others, which cost the engine a question for each."""
LOG_LINES: Final = 12
"""Of a container that died, for the sentence that says so."""
_STOP_SECONDS: Final = 2
_DOWN: Final = frozenset({"exited", "restarting", "dead"})


class Readiness:
    """Waits for the containers of one stack; made before anything is changed."""

    def __init__(self, engine: Engine, stack: str) -> None:
        self._engine = engine
        self._stack = stack
        # What died last week or was stopped by hand says nothing about this start.
        self._before = {state.id: state for state in self._members()}
        self._looked_at = -math.inf

    async def wait_until_done(self, task: Task) -> None:
        """Return when the task has ended well.

        Raises:
            DemoError: it failed or takes too long, or another container died.
        """
        deadline = time.monotonic() + task.deadline_seconds
        # Each question in a thread of its own: a wait that is cancelled must not hold the process until its deadline.
        while not await to_thread(self._is_done, task, late=time.monotonic() > deadline):  # noqa: ASYNC110 # no event to wait for
            await sleep(_POLL_SECONDS)

    async def wait_until_ready(self, service: Service, probe: ExecProbe) -> None:
        """Return when the probe succeeds.

        Raises:
            DemoError: it does not within its deadline, or a container died.
        """
        deadline = time.monotonic() + probe.deadline_seconds
        while not await to_thread(self._is_ready, service, probe, late=time.monotonic() > deadline):  # noqa: ASYNC110 # likewise
            await sleep(_EXEC_SECONDS)

    def _is_done(self, task: Task, *, late: bool) -> bool:
        state = self._state(task.name)
        if state.status == "exited":
            if state.exit_code == 0:
                return True
            self._fail(state, f"The task {task.name} ended with exit code {state.exit_code}")
        if late:
            self._fail(state, f"The task {task.name} is not done after {task.deadline_seconds} seconds")
        self._check_others()
        return False

    def _is_ready(self, service: Service, probe: ExecProbe, *, late: bool) -> bool:
        self._check_others()
        state = self._state(service.name)
        if self._died(state):
            self._fail(state, f"{service.name} died while it was starting")
        code, said = self._engine.run_inside(state.id, list(probe.command))
        if code != 0 and late:
            self._fail(state, f"{service.name} is not ready after {probe.deadline_seconds} seconds ({said})")
        return code == 0

    def _state(self, service: str) -> ContainerState:
        state = self._engine.container(container_name(self._stack, service))
        if state is None:
            raise DemoError(f"The container of {service} was removed while it was starting; run ./demo up again.")
        return state

    def _members(self) -> list[ContainerState]:
        return self._engine.containers(f"{LABEL_STACK}={self._stack}")

    def _check_others(self) -> None:
        if time.monotonic() - self._looked_at < _OTHERS_SECONDS:
            return
        self._looked_at = time.monotonic()  # for all who wait
        for state in self._members():
            if self._died(state):
                service = state.labels.get(LABEL_SERVICE, state.name)
                self._fail(state, f"{service} died while it was starting")

    def _died(self, state: ContainerState) -> bool:
        """Whether a service died since this object was made; the engine may have started it again."""
        if not state.restarts_always:
            return False
        before = self._before.get(state.id)
        if before is None:
            return state.status in _DOWN or state.restarts > 0
        return (state.status in _DOWN and before.status not in _DOWN) or state.restarts > before.restarts

    def _fail(self, state: ContainerState, what: str) -> None:
        """Stop the container, which ends its restarts and makes the next ``up`` create it anew, and say why."""
        log = "\n".join(f"    {line}" for line in self._engine.logs(state.id, lines=LOG_LINES))
        self._engine.stop(state.id, grace_seconds=_STOP_SECONDS)
        raise DemoError(
            f"{what}. Its last log lines:\n{log or '    (it wrote nothing)'}\n"
            "Mend the cause and run ./demo up again (or pulumi up --refresh)."
        )
