"""Definitions and state as plain data, for the API."""

import time
from typing import Any

from incidents.model import Evidence, Incident
from incidents.runner.engine import Engine
from incidents.runner.operations import Operations
from incidents.runner.problems import UnreachableError

__all__ = ["describe", "listed", "status"]


def listed(engine: Engine) -> list[dict[str, Any]]:
    """Every definition in a line."""
    active = {one.name for one in engine.state.active()}
    return [
        {"name": one.name, "title": one.title, "kind": str(one.kind), "rank": one.rank, "active": one.name in active}
        for one in engine.incidents.values()
    ]


def describe(incident: Incident, *, answer: bool) -> dict[str, Any]:
    """One definition; without the answer nothing of its cause."""
    shown: dict[str, Any] = {
        "name": incident.name,
        "title": incident.title,
        "kind": str(incident.kind),
        "summary": incident.summary,
        "ask": list(incident.ask),
    }
    if not answer:
        return shown
    return shown | {
        "causes": list(incident.causes),
        "evidence": [_evidence(piece) for piece in incident.evidence],
        "alert": None if incident.alert is None else incident.alert.name,
        "look_alikes": [
            {"other": one.other, "because": one.because, "tells": _evidence(one.tells)} for one in incident.look_alikes
        ],
        "finds": incident.finds,
        "right_fixes": [{"does": one.does, "because": one.because} for one in incident.right_fixes],
        "unsafe_fixes": [{"does": one.does, "because": one.because} for one in incident.unsafe_fixes],
        "fixed_when": None if incident.oracle is None else incident.oracle.says,
        "bound": incident.bound,
    }


async def status(engine: Engine, operations: Operations) -> dict[str, Any]:
    """What is going on."""
    lease = engine.state.lease()
    return {
        "active": [
            {
                "name": one.name,
                "phase": str(one.phase),
                "holder": one.holder,
                "seconds": round(time.time() - one.started),
                "note": one.note,
            }
            for one in engine.state.active()
        ],
        "doing": operations.doing,
        "lease": None if lease is None or lease.expired else {"holder": lease.holder, "until": lease.until},
        "last_run": engine.state.last_run(),
        "stack": await _stack(engine),
    }


async def _stack(engine: Engine) -> dict[str, Any]:
    """The service level and the alerts; ``fault`` is None if an incident could be started."""
    try:
        level = await engine.health.service_level()
        return {
            "fault": await engine.health.fault(),
            "success": level.success,
            "p95_seconds": level.latency,
            "alerts": await engine.health.firing(),
        }
    except UnreachableError as error:
        return {"fault": str(error), "success": None, "p95_seconds": None, "alerts": []}


def _evidence(piece: Evidence) -> dict[str, Any]:
    return {
        "signal": str(piece.signal),
        "name": piece.name,
        "query": piece.query,
        "shows": piece.shows,
        "compares": {
            "direction": piece.compares.direction,
            "factor": piece.compares.factor,
            "margin": piece.compares.margin,
        },
    }
