"""``POST /trigger-incident`` as COMPASS's demo script knows it: three names of incidents, and ``normal``."""

import asyncio
from typing import Any, Final

import structlog

from incidents.runner.engine import Engine
from incidents.runner.events import to_log
from incidents.runner.operations import ALERTS_RESOLVE_SECONDS, Caller, Operations
from incidents.runner.problems import RefusedError, RunnerError

__all__ = ["Compatibility"]

log = structlog.get_logger("incidents.runner")

_NORMAL: Final = "normal"
_NAMES: Final = {
    "missing_index": "index-lost",
    "lock_contention": "lock-queue",
    "pool_exhaustion": "pool-exhaustion",
}
_HOLDER: Final = "trigger-incident"


class Compatibility:
    """Answers at once, as the original does, and one mode replaces another; the proof goes on in the background.

    Args:
        engine: knows what is active.
        operations: does what is asked for.
    """

    def __init__(self, engine: Engine, operations: Operations) -> None:
        self._engine = engine
        self._operations = operations
        self._tasks: set[asyncio.Task[None]] = set()

    async def trigger(self, wanted: object) -> dict[str, Any]:
        """Begin what is wanted.

        Args:
            wanted: one of the names, or ``normal``.

        Returns:
            ``incident_mode``, ``previous_mode`` and ``message``.

        Raises:
            RefusedError: the name is unknown, or another incident is active.
        """
        previous = self._mode()
        caller = Caller(_HOLDER, owner=False, leases=False)
        self._operations.check(caller)
        if wanted == _NORMAL:
            await self._operations.interrupt(caller)
            self._go(caller, "stop", None)
            return _answer(
                _NORMAL, previous, "The incident is being ended." if previous != _NORMAL else "All is normal."
            )
        name = _NAMES.get(str(wanted))
        if name is None:
            raise RefusedError(f"incident_type must be one of {', '.join([_NORMAL, *_NAMES])}.")
        if previous in _NAMES and previous != wanted:
            await self._operations.interrupt(caller)
            self._go(caller, f"stop, then start {name}", name)
        elif previous != wanted:
            await self._engine.check_startable(name, concurrent=False)
            self._go(caller, f"start {name}", name)
        return _answer(str(wanted), previous, f"{wanted} is active in a moment.")

    def _mode(self) -> str:
        active = {one.name for one in self._engine.state.active()}
        return next((mode for mode, name in _NAMES.items() if name in active), "other" if active else _NORMAL)

    def _go(self, caller: Caller, what: str, name: str | None) -> None:
        async def work() -> dict[str, Any]:
            ended = await self._operations.stop([], to_log("triggered"))
            if name is None:
                return ended
            if ended["stopped"]:
                await self._engine.health.until_healthy(ALERTS_RESOLVE_SECONDS)
            incident = self._engine.incidents[name]
            return await self._operations.start(incident, caller, to_log("triggered"), concurrent=False)

        async def run() -> None:
            try:
                await self._operations.run(caller, what, work)
            except RunnerError as error:
                log.warning("a triggered operation failed", what=what, error=str(error))

        task = asyncio.create_task(run())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _answer(mode: str, previous: str, message: str) -> dict[str, Any]:
    return {"incident_mode": mode, "previous_mode": previous, "message": message}
