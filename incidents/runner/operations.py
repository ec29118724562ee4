"""What people ask the runner for, one at a time: start, stop, verify. Each reports as it goes."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, TypeAlias

from incidents.model import Incident, Kind
from incidents.runner.engine import Engine
from incidents.runner.events import Report, Stopwatch
from incidents.runner.leaks import Leaks
from incidents.runner.problems import NotProvenError, NotRecoveredError, RefusedError, UnreachableError
from incidents.runner.state import Lease

__all__ = ["ALERTS_RESOLVE_SECONDS", "Caller", "Operations"]

_POLL_SECONDS = 1.5
_Work: TypeAlias = Callable[[], Coroutine[Any, Any, dict[str, Any]]]
ALERTS_RESOLVE_SECONDS = 150
"""An alert over two minutes of history needs as long to forget."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks.

    Attributes:
        holder: as they call themselves, for example ``anna@laptop``.
        owner: whether they showed the owner's token.
        take_over: whether they want the runner although somebody else holds it.
        leases: whether they hold it from now on; not those who cannot say who they are.
    """

    holder: str
    owner: bool
    take_over: bool = False
    leases: bool = True


class Operations:
    """Runs one operation at a time.

    Args:
        engine: does the work.
        leaks: looks for them.
    """

    def __init__(self, engine: Engine, leaks: Leaks) -> None:
        self._engine = engine
        self._leaks = leaks
        self._current: asyncio.Task[dict[str, Any]] | None = None
        self.doing: str | None = None

    # --- one at a time

    async def run(self, caller: Caller, what: str, work: _Work) -> dict[str, Any]:
        """Do one piece of work, if nothing else is being done and nobody else holds the runner.

        Args:
            caller: who asks.
            what: for messages: ``start index-lost``.
            work: does it.

        Raises:
            RefusedError: says what is being done, or who holds the runner.
        """
        self.check(caller)
        if self._current is not None:
            raise RefusedError(f"The runner is busy with: {self.doing}.")
        self._renew_lease(caller)
        self.doing = what
        task = self._current = asyncio.create_task(work())
        try:
            await asyncio.wait({task})
            if task.cancelled():
                raise RefusedError(f"{what} was interrupted.")
            return task.result()
        finally:
            task.cancel()
            self._current = None
            self.doing = None
            lease = self._engine.state.lease()
            # Somebody may have taken over meanwhile, to end this.
            if lease is None or lease.holder == caller.holder:
                self._renew_lease(caller)

    async def resume(self) -> None:
        """After a restart: nothing else is done until what was under way is looked after."""
        if not self._engine.state.active():
            return
        self.doing = "cleaning up after a restart"
        task = self._current = asyncio.create_task(self._resumed())
        try:
            await asyncio.wait({task})
        finally:
            task.cancel()
            self._current = None
            self.doing = None

    async def _resumed(self) -> dict[str, Any]:
        await self._engine.resume()
        return {}

    async def interrupt(self, caller: Caller) -> None:
        """End what is being done, so that something can be stopped while it is still being proven."""
        self.check(caller)
        self._renew_lease(caller)
        current = self._current
        if current is not None:
            current.cancel()
            await asyncio.wait({current})
            # Its own `run` clears the way one step of the loop later.
            await asyncio.sleep(0)
            self._current = None

    def check(self, caller: Caller) -> None:
        """Refuse a caller while somebody else is at it; changes nothing.

        Raises:
            RefusedError: says who.
        """
        lease = self._engine.state.lease()
        idle = self._current is None and not self._engine.state.active()
        if lease is None or lease.expired or idle or lease.holder == caller.holder:
            return
        until = time.strftime("%H:%M:%S", time.gmtime(lease.until))
        if not caller.take_over:
            raise RefusedError(
                f"{lease.holder} runs incidents on this stack until {until} UTC; "
                "ask them, or take over with the owner's token and --take-over."
            )
        if not caller.owner:
            raise RefusedError(f"Only the owner's token takes over from {lease.holder}.")

    def _renew_lease(self, caller: Caller) -> None:
        # Who cannot say who they are keeps nobody away, and nobody else is at it either.
        until = time.time() + self._engine.settings.lease_seconds if caller.leases else 0.0
        self._engine.state.set_lease(Lease(caller.holder, until))

    # --- the operations

    async def start(self, incident: Incident, caller: Caller, report: Report, *, concurrent: bool) -> dict[str, Any]:
        """Inject and prove. What does not show is ended again, and that is proven too.

        Raises:
            RefusedError: not now.
            NotProvenError: says which evidence is missing; the baseline is back.
            NotRecoveredError: and the baseline is not back.
        """
        engine = self._engine
        await engine.check_startable(incident.name, concurrent=concurrent)
        baseline = await engine.baseline(report, shared=False)
        watch = await engine.inject(incident, caller.holder, baseline, report)
        try:
            proof = await engine.prove(incident, baseline, watch, report, alert=False)
        except NotProvenError as error:
            seconds = await engine.end(incident, report, outcome="not proven")
            raise NotProvenError(f"{error} It was ended, and the baseline was back after {seconds:.0f} s.") from None
        return {"name": incident.name, "proven": True, "seconds": proof.signals, "evidence": proof.seconds}

    def check_stoppable(self, names: list[str]) -> None:
        """Refuse to end what is not active while something else is: it would be ended in part, and nobody told.

        Args:
            names: which are to be ended; empty: whatever is active.

        Raises:
            RefusedError: says what is active.
        """
        active = [one.name for one in self._engine.state.active()]
        if active and (others := [name for name in names if name not in active]):
            raise RefusedError(f"{', '.join(others)} is not active, {', '.join(active)} is; stop that, or all.")

    async def stop(self, names: list[str], report: Report) -> dict[str, Any]:
        """End incidents, and prove it.

        Args:
            names: which; empty: whatever is active.
            report: is told how it goes.

        Raises:
            NotRecoveredError: says what is still there.
        """
        engine = self._engine
        chosen = names or [one.name for one in engine.state.active()]
        seconds: dict[str, float] = {}
        for name in chosen:
            report({"event": "stopping", "name": name})
            seconds[name] = await engine.end(engine.incidents[name], report)
        return {"stopped": chosen, "seconds": seconds}

    async def verify(self, incident: Incident, caller: Caller, report: Report, *, shared: bool) -> dict[str, Any]:
        """One incident from the baseline to the baseline.

        Args:
            incident: which.
            caller: who asks.
            report: is told how it goes.
            shared: whether the baseline of the run before will do.

        Returns:
            ``name``, ``proven``, ``recovered``, ``seconds`` by signal and of the recovery, ``alert``, ``leaks``,
            ``confused_with`` and ``fault`` (a sentence, or None). A fault of the incident is a result, not an error.
        """
        result: dict[str, Any] = {
            "name": incident.name,
            "kind": str(incident.kind),
            "proven": False,
            "recovered": False,
            "seconds": {},
            "alert": None if incident.alert is None else incident.alert.name,
            "leaks": [],
            "confused_with": [],
            "fault": None,
        }
        engine = self._engine
        await engine.check_startable(incident.name, concurrent=False)
        baseline = await engine.baseline(report, shared=shared)
        try:
            watch = await engine.inject(incident, caller.holder, baseline, report)
            try:
                proof = await engine.prove(incident, baseline, watch, report, alert=True)
                result |= {"proven": True, "seconds": proof.signals, "evidence": proof.seconds}
                result["confused_with"] = await engine.told_apart(incident, baseline)
            except (NotProvenError, UnreachableError) as error:
                result["fault"] = str(error)
            await self._end_verified(incident, report, result)
        except (RefusedError, NotRecoveredError) as error:
            result["fault"] = f"{result['fault'] or ''} {error}".strip()
            await self._end_again(incident, report, result)
        if not result["fault"] and (result["leaks"] or result["confused_with"]):
            result["fault"] = "; ".join([*result["leaks"], *result["confused_with"]])
        return result

    async def _end_verified(self, incident: Incident, report: Report, result: dict[str, Any]) -> None:
        report({"event": "phase", "phase": "looking for leaks"})
        run = next((one.run for one in self._engine.state.active() if one.name == incident.name), "")
        try:
            result["leaks"] = await self._leaks.look(run)
        except UnreachableError as error:
            result["fault"] = f"{result['fault'] or ''} Leaks could not be looked for: {error}".strip()
        recovered = await self._engine.end(incident, report, outcome="verified")
        result["recovered"] = True
        result["seconds"] = {**result["seconds"], "recovery": recovered}
        watch = Stopwatch()
        report({"event": "phase", "phase": "alerts resolve"})
        fault = await self._engine.health.until_healthy(ALERTS_RESOLVE_SECONDS)
        if fault is not None:
            raise NotRecoveredError(f"{incident.name} has ended, but after {watch.seconds:.0f} s {fault}.")
        result["seconds"]["healthy"] = round(recovered + watch.seconds, 1)

    async def _end_again(self, incident: Incident, report: Report, result: dict[str, Any]) -> None:
        """What did not recover in its time stays a fault, but must not keep the next incident from starting."""
        if incident.name not in [one.name for one in self._engine.state.active()]:
            return
        try:
            seconds = await self._engine.end(incident, report, outcome="not recovered in time, ended again")
        except NotRecoveredError:
            result["fault"] += " Ended again, it is still there."
        else:
            result["fault"] += f" Ended again, the baseline was back after {seconds:.0f} s."

    async def watch_nothing(self, seconds: float, report: Report) -> dict[str, Any]:
        """Look for every incident's evidence while nothing is injected.

        Args:
            seconds: for how long.
            report: is told how it goes.

        Returns:
            ``false_proofs``: names of incidents of which all evidence was seen; ``pieces``: single pieces seen.
        """
        engine = self._engine
        await engine.check_startable("", concurrent=False)
        wanted = [one for one in engine.incidents.values() if one.kind is Kind.INCIDENT]
        baseline = await engine.baseline(report, shared=False)
        report({"event": "phase", "phase": "watching nothing", "waits": round(seconds)})
        seen: dict[str, set[str]] = {one.name: set() for one in wanted}
        watch = Stopwatch()
        while watch.seconds < seconds:
            for one in wanted:
                for piece in one.evidence:
                    if await engine.prover.holds_now(piece, baseline):
                        seen[one.name].add(piece.name)
            await asyncio.sleep(_POLL_SECONDS)
        false = [one.name for one in wanted if seen[one.name] == {piece.name for piece in one.evidence}]
        return {
            "false_proofs": false,
            "pieces": {name: sorted(found) for name, found in seen.items() if found},
            "firing": await engine.health.firing(),
        }
