"""Looks for an incident's evidence until all of it is seen, and afterwards until none of it is."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field

from incidents.model import Alert, Evidence, Incident
from incidents.runner.events import Report, Stopwatch
from incidents.runner.gateway import Gateway
from incidents.runner.health import Health
from incidents.runner.measuring import Baseline, Measuring
from incidents.runner.problems import UnreachableError

__all__ = ["ALERT", "Proof", "Prover"]

ALERT = "alert"
_POLL_SECONDS = 1.5
# One value can be an accident (a scrape that came late, the last line of something else): two in a row are none.
_IN_A_ROW = 2


@dataclass(slots=True)
class Proof:
    """What was seen, and when.

    Attributes:
        seconds: by the evidence's name, since the injection began.
        signals: by signal, until all of its evidence was seen; ``alert`` among them if it was waited for.
        missing: names of what was not seen in time.
    """

    seconds: dict[str, float] = field(default_factory=dict[str, float])
    signals: dict[str, float] = field(default_factory=dict[str, float])
    missing: list[str] = field(default_factory=list[str])


class Prover:
    """Proves through the gateway, as an agent would see it.

    Args:
        gateway: what an agent asks, too.
        measuring: evidence as numbers.
        health: the service level and the alerts.
    """

    def __init__(self, gateway: Gateway, measuring: Measuring, health: Health) -> None:
        self._gateway = gateway
        self._measuring = measuring
        self._health = health

    async def prove(
        self,
        incident: Incident,
        baseline: Baseline,
        watch: Stopwatch,
        report: Report,
        *,
        alert_seconds: float | None,
    ) -> Proof:
        """Wait until every piece of evidence is seen, or its time is over.

        Args:
            incident: whose.
            baseline: of the same run.
            watch: started with the injection.
            report: is told of each piece: ``waiting``, ``seen``, ``missing``.
            alert_seconds: how long to wait for the alert; None: not at all.
        """
        proof = Proof()
        quiet = [piece for piece in incident.evidence if piece.compares.direction == "stays"]
        loud = [piece for piece in incident.evidence if piece not in quiet]
        for piece in incident.evidence:
            report(_line("waiting", piece, baseline))
        await self._until_seen(loud, baseline, watch, incident.proof_seconds, report, proof)
        # "Nothing else is to be seen" means something only once everything else is there.
        await self._until_seen(quiet, baseline, watch, incident.proof_seconds, report, proof)
        for piece in incident.evidence:
            if piece.name in proof.seconds:
                before = proof.signals.get(piece.signal, 0.0)
                proof.signals[piece.signal] = max(before, proof.seconds[piece.name])
        if incident.alert is not None and alert_seconds is not None and not proof.missing:
            await self._until_alert(incident.alert, watch, alert_seconds, report, proof)
        return proof

    async def _until_seen(
        self,
        evidence: Iterable[Evidence],
        baseline: Baseline,
        watch: Stopwatch,
        limit: float,
        report: Report,
        proof: Proof,
    ) -> None:
        """Each piece by itself: one store that is slow to search must not hide what the others show."""

        async def look(piece: Evidence) -> str | None:
            in_a_row, value, fault = 0, None, ""
            while in_a_row < _IN_A_ROW:
                try:
                    value, fault = await self._measuring.now(piece, baseline), ""
                except UnreachableError as error:
                    fault = f" ({error})"
                in_a_row = in_a_row + 1 if not fault and piece.compares.holds(value, baseline.of(piece)) else 0
                if not in_a_row and watch.seconds >= limit:
                    report(_line("missing", piece, baseline) | {"value": value})
                    return f"{piece.signal}: {piece.name}{fault}"
                if in_a_row < _IN_A_ROW:
                    await asyncio.sleep(_POLL_SECONDS)
            proof.seconds[piece.name] = watch.seconds
            report(_line("seen", piece, baseline) | {"value": value, "seconds": watch.seconds})
            return None

        missing = await asyncio.gather(*(look(piece) for piece in evidence))
        proof.missing += [sentence for sentence in missing if sentence is not None]

    async def _values(self, evidence: Iterable[Evidence], baseline: Baseline) -> dict[str, float | None]:
        pieces = list(evidence)
        values = await asyncio.gather(*(self._measuring.now(piece, baseline) for piece in pieces))
        return {piece.name: value for piece, value in zip(pieces, values, strict=True)}

    async def _until_alert(self, alert: Alert, watch: Stopwatch, limit: float, report: Report, proof: Proof) -> None:
        report({"event": "waiting", "signal": ALERT, "name": alert.name})
        while watch.seconds < limit:
            if await self._fires(alert):
                proof.signals[ALERT] = watch.seconds
                report({"event": "seen", "signal": ALERT, "name": alert.name, "seconds": watch.seconds})
                return
            await asyncio.sleep(_POLL_SECONDS)
        proof.missing.append(f"alert: {alert.name}")
        report({"event": "missing", "signal": ALERT, "name": alert.name})

    async def _fires(self, alert: Alert) -> bool:
        labels = "".join(f',{name}="{value}"' for name, value in alert.labels.items())
        try:
            found = await self._gateway.promql(f'ALERTS{{alertname="{alert.name}",alertstate="firing"{labels}}}')
        except UnreachableError:
            return False
        return bool(found)

    async def holds_now(self, evidence: Evidence, baseline: Baseline) -> bool:
        """Whether one piece of evidence is there at this moment."""
        return evidence.compares.holds(await self._measuring.now(evidence, baseline), baseline.of(evidence))

    async def baseline_is_back(
        self, incident: Incident, baseline: Baseline, watch: Stopwatch, limit: float, report: Report
    ) -> list[str]:
        """Wait until nothing of the evidence holds and the service level does.

        Args:
            incident: what was ended.
            baseline: that it was measured against.
            watch: started with the recovery.
            limit: seconds to wait.
            report: is told what is still there, when that changes.

        Returns:
            What is still there; empty if the baseline is back.
        """
        loud = [piece for piece in incident.evidence if piece.compares.direction != "stays"]
        left: list[str] = []
        calm = 0
        while True:
            try:
                now = await self._left(loud, baseline)
            except UnreachableError as error:
                now = [str(error)]
            if now != left:
                left = now
                report({"event": "still there", "what": left, "seconds": watch.seconds})
            calm = 0 if left else calm + 1
            if calm >= _IN_A_ROW or watch.seconds >= limit:
                return left
            await asyncio.sleep(_POLL_SECONDS)

    async def _left(self, evidence: list[Evidence], baseline: Baseline) -> list[str]:
        values, level = await asyncio.gather(self._values(evidence, baseline), self._health.service_level())
        shown = [
            f"{piece.signal}: {piece.name}"
            for piece in evidence
            if piece.compares.holds(values[piece.name], baseline.of(piece))
        ]
        return shown if level.holds else [*shown, f"service level: {level}"]


def _line(event: str, piece: Evidence, baseline: Baseline) -> dict[str, object]:
    return {
        "event": event,
        "signal": str(piece.signal),
        "name": piece.name,
        "baseline": baseline.of(piece),
        "threshold": piece.compares.threshold(baseline.of(piece)),
    }
