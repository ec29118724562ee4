"""Starts, proves and ends incidents, one operation at a time; what is under way survives a kill of the process."""

import asyncio
import contextlib
import math
import time
import uuid
from collections.abc import Mapping

import structlog

from incidents.model import Evidence, Incident, Kind
from incidents.runner.app_settings import AppSettings
from incidents.runner.database import FAULTS, Database
from incidents.runner.events import Report, Stopwatch, to_log
from incidents.runner.gateway import Gateway
from incidents.runner.health import MOST_LATENCY, Health
from incidents.runner.injection import Injection
from incidents.runner.measuring import Baseline, Measuring
from incidents.runner.problems import NotProvenError, NotRecoveredError, RefusedError, UnreachableError
from incidents.runner.proving import Proof, Prover
from incidents.runner.recovery import Recovery
from incidents.runner.settings import RunnerSettings
from incidents.runner.state import ActiveIncident, Phase, State

__all__ = ["Engine"]

log = structlog.get_logger("incidents.runner")

_QUIET_SECONDS = 30
_LOOK_BACK_SECONDS = 30
"""What rates and counts look back over: for as long they still see an incident that has ended."""
_PATIENCE_SECONDS = 150
"""How long a baseline is waited for: an outage of a minute is seen in averages over the last half minute."""
_SETTLING_SECONDS = 75
"""How long of that a stack is waited for whose payments were slower a moment ago: caches fill, averages forget."""
_SETTLED_FACTOR = 2
_QUICK_LATENCY = 0.05
"""Seconds of p95 that are nothing to wait for."""
_POLL_SECONDS = 1.5


class Engine:
    """The runner's work.

    Args:
        settings: limits.
        incidents: every definition, by name.
        state: what is under way.
        database: where incidents happen.
        app: the payment service's live settings.
        gateway: what an agent asks, too.
    """

    def __init__(
        self,
        settings: RunnerSettings,
        incidents: Mapping[str, Incident],
        state: State,
        database: Database,
        app: AppSettings,
        gateway: Gateway,
    ) -> None:
        self.settings = settings
        self.incidents = incidents
        self.state = state
        self.database = database
        self.app = app
        self.gateway = gateway
        self.measuring = Measuring(gateway)
        self.health = Health(gateway)
        self.prover = Prover(gateway, self.measuring, self.health)
        self._recovery = Recovery(database, app)
        self._injections: dict[str, Injection] = {}
        self._shared: Baseline | None = None

    # --- what may be done now

    async def check_startable(self, name: str, *, concurrent: bool) -> None:
        """Refuse a start that would say nothing: something is under way, or the stack is not healthy.

        Raises:
            RefusedError: says what is in the way.
            UnreachableError: the gateway does not answer.
        """
        active = [one.name for one in self.state.active()]
        if name in active:
            raise RefusedError(f"{name} is active already.")
        if active and not concurrent:
            raise RefusedError(f"{', '.join(active)} is active; stop it first, or start both with --concurrent.")
        if shared := [one for one in active if _share_sessions(self.incidents.get(one), self.incidents.get(name))]:
            raise RefusedError(f"{name} works in sessions like those of {', '.join(shared)}: one's end would end both.")
        if not active and (fault := await self.health.fault()) is not None:
            raise RefusedError(f"The stack is not healthy, so nothing could be proven: {fault}.")

    async def take_baseline(self, evidence: list[Evidence], report: Report) -> Baseline:
        """The last healthy minute, or what there is of it; waits for half a one.

        A stack that has just come up is healthy before it is as fast as it will be: what it was then would hide what an
        incident does. So for a while only seconds count that were about as fast as the present one.

        Args:
            evidence: what to measure.
            report: is told how long it waits.

        Raises:
            RefusedError: the service level does not hold long enough.
        """
        watch = Stopwatch()
        while True:
            since_end = time.time() - self.state.last_end() - _LOOK_BACK_SECONDS
            latency = await self._settled_latency() if watch.seconds < _SETTLING_SECONDS else MOST_LATENCY
            clean = min(since_end, await self.health.healthy_for(self.settings.baseline_seconds, latency))
            if clean >= _QUIET_SECONDS:
                break
            if watch.seconds > _PATIENCE_SECONDS:
                raise RefusedError(f"In {watch.seconds:.0f} s the service level never held for {_QUIET_SECONDS} s.")
            report({"event": "phase", "phase": "baseline", "waits": math.ceil(_QUIET_SECONDS - clean)})
            await asyncio.sleep(max(_POLL_SECONDS, min(_QUIET_SECONDS - clean, _QUIET_SECONDS / 6)))
        report({"event": "phase", "phase": "baseline"})
        return await self.measuring.baseline(evidence, clean)

    async def _settled_latency(self) -> float:
        """Seconds of p95 up to which payments were about as fast as they are now."""
        present = (await self.health.service_level()).latency
        return MOST_LATENCY if present is None else max(_QUICK_LATENCY, _SETTLED_FACTOR * present)

    async def baseline(self, report: Report, *, shared: bool) -> Baseline:
        """What every incident is measured against.

        While another one is active that is the other's baseline: the stack is not healthy now.

        Args:
            report: is told of a new one.
            shared: whether that of the run before will do.
        """
        evidence = [
            piece
            for one in self.incidents.values()
            for piece in (*one.evidence, *(look_alike.tells for look_alike in one.look_alikes))
        ]
        known = [self._shared] if shared else []
        known += [_baseline(one) for one in self.state.active()]
        for baseline in known:
            if baseline is not None and baseline.knows(evidence):
                return baseline
        self._shared = await self.take_baseline(evidence, report)
        return self._shared

    # --- inject, prove, end

    async def inject(self, incident: Incident, holder: str, baseline: Baseline, report: Report) -> Stopwatch:
        """Make it happen. If that fails, what was done of it is undone.

        Returns:
            Started with the injection.

        Raises:
            RefusedError: the database refused a step; what was done of it is undone.
            UnreachableError: the database or the payment service is gone.
            NotRecoveredError: and it could not be undone; says what is in the way.
        """
        settings = await self.app.read()
        self.state.begin(incident.name, uuid.uuid4().hex, holder, settings, baseline.to_json())
        report({"event": "phase", "phase": "injecting"})
        injection = Injection(incident, self.database)
        self._injections[incident.name] = injection
        watch = Stopwatch()
        try:
            async with asyncio.timeout(incident.proof_seconds):
                await injection.begin()
        except FAULTS as error:
            late = f"It took longer than {incident.proof_seconds:.0f} s."
            reason = late if isinstance(error, TimeoutError) else str(error) or type(error).__name__
            report({"event": "injection failed", "reason": reason, "seconds": watch.seconds})
            await self.end(incident, report)
            raise RefusedError(
                f"{incident.name} could not be injected: {reason} What was done of it is undone."
            ) from error
        self.state.set_phase(incident.name, Phase.ACTIVE)
        report({"event": "phase", "phase": "proving", "seconds": watch.seconds})
        return watch

    async def prove(
        self, incident: Incident, baseline: Baseline, watch: Stopwatch, report: Report, *, alert: bool
    ) -> Proof:
        """See all of its evidence, the alert too if asked; of a decoy also that it does no harm.

        Raises:
            NotProvenError: says what did not show; the incident is still there.
        """
        seconds = self.settings.alert_seconds if alert else None
        proof = await self.prover.prove(incident, baseline, watch, report, alert_seconds=seconds)
        if incident.kind is not Kind.INCIDENT and not proof.missing:
            proof.missing += await self._until_harm(watch, report)
        if proof.missing:
            raise NotProvenError(f"{incident.name} was injected, but did not show: {'; '.join(proof.missing)}.")
        return proof

    async def _until_harm(self, watch: Stopwatch, report: Report) -> list[str]:
        """For half a minute: nothing may fire, and the service level must hold."""
        report({"event": "phase", "phase": "harmless", "waits": _QUIET_SECONDS})
        end = watch.seconds + _QUIET_SECONDS
        fault, answered = None, True
        # One late answer says nothing, but the last one must not be missing.
        while watch.seconds < (end if answered else end + _QUIET_SECONDS):
            try:
                fault, answered = await self.health.fault(), True
            except UnreachableError as error:
                fault, answered = str(error), False
            if answered and fault is not None:
                break
            await asyncio.sleep(_POLL_SECONDS)
        return [] if fault is None else [f"no harm, since {fault}"]

    async def end(self, incident: Incident, report: Report, *, outcome: str = "recovered") -> float:
        """End it and see the baseline come back.

        Args:
            incident: which; may be in any state, or not active at all.
            report: is told how it goes.
            outcome: what the list of runs keeps.

        Returns:
            Seconds that it took.

        Raises:
            NotRecoveredError: says what is still there; the incident then counts as active.
        """
        known = {one.name: one for one in self.state.active()}.get(incident.name)
        report({"event": "phase", "phase": "recovering"})
        watch = Stopwatch()
        if known is not None:
            self.state.set_phase(incident.name, Phase.RECOVERING)
        injection = self._injections.pop(incident.name, None)
        try:
            await self._recovery.undo(
                incident,
                injection,
                None if known is None else known.settings,
                report,
                alone=all(one.name == incident.name for one in self.state.active()),
                limit=incident.recovery_seconds,
            )
            left = await self._left(incident, known, watch, report)
        except NotRecoveredError as error:
            if known is not None:
                self.state.set_phase(incident.name, Phase.RECOVERING, note=str(error))
            raise
        if left:
            note = f"After {watch.seconds:.0f} s the baseline is not back; still there: {'; '.join(left)}."
            if known is not None:
                self.state.set_phase(incident.name, Phase.RECOVERING, note=note)
            raise NotRecoveredError(f"{incident.name} was ended. {note}")
        self.state.end(incident.name, outcome)
        report({"event": "recovered", "name": incident.name, "seconds": watch.seconds})
        return watch.seconds

    async def _left(
        self, incident: Incident, known: ActiveIncident | None, watch: Stopwatch, report: Report
    ) -> list[str]:
        others = [one for one in self.state.active() if one.name != incident.name]
        baseline = None if known is None else _baseline(known)
        if baseline is None or others or not baseline.knows(incident.evidence):
            # Nothing to compare with, or another incident is still there to be seen.
            return []
        return await self.prover.baseline_is_back(incident, baseline, watch, incident.recovery_seconds, report)

    async def told_apart(self, incident: Incident, baseline: Baseline) -> list[str]:
        """While the incident is active: what would take it for another one; empty if every look-alike is told apart."""
        mine = [one for one in incident.look_alikes if not await self._shows(one.tells, baseline)]
        theirs = [
            (other, one)
            for other in self.incidents.values()
            for one in other.look_alikes
            if one.other == incident.name and await self.prover.holds_now(one.tells, baseline)
        ]
        return [
            *(f"'{one.tells.name}' does not tell it from {one.other}" for one in mine),
            *(f"'{one.tells.name}' of {other.name} holds here too" for other, one in theirs),
        ]

    async def _shows(self, evidence: Evidence, baseline: Baseline) -> bool:
        """Whether it comes to hold within half a minute: some incidents breathe."""
        for _ in range(math.ceil(_QUIET_SECONDS / _POLL_SECONDS)):
            if await self.prover.holds_now(evidence, baseline):
                return True
            await asyncio.sleep(_POLL_SECONDS)
        return False

    # --- after a restart

    async def resume(self) -> None:
        """Look after what was under way when the process ended; called once, before anything else is done.

        What lived in sessions has ended with them and is cleaned up, as is what was being injected or recovered. What
        only changed data is still there and stays active.
        """
        for one in self.state.active():
            incident = self.incidents.get(one.name)
            if incident is None:
                log.error("an incident is active that this version does not know", name=one.name)
                continue
            if one.phase is Phase.ACTIVE and not incident.kept_logins:
                continue
            log.info("ended with the runner, being cleaned up", name=one.name)
            # It stays in the list with a note; `stop` tries again.
            with contextlib.suppress(NotRecoveredError, UnreachableError):
                await self.end(incident, to_log("resuming"), outcome="ended with the runner, and recovered")

    async def close(self) -> None:
        """Let go of every session, without ending incidents that do not live in them."""
        for injection in self._injections.values():
            await injection.end()


def _share_sessions(one: Incident | None, other: Incident | None) -> bool:
    """Whether the end of one ends sessions that the other lives in."""
    if one is None or other is None:
        return False
    return any(lives.kept_logins & {step.login for step in ends.steps} for lives, ends in ((one, other), (other, one)))


def _baseline(active: ActiveIncident) -> Baseline | None:
    return None if active.baseline is None else Baseline(active.baseline["slow_ms"], active.baseline["values"])
