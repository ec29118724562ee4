"""Pages about an incident, made from its definition: for the CLI, and for docs/incidents/."""

from collections.abc import Iterable

from incidents.model import Evidence, Incident, Kind, LookAlike, Signal

__all__ = ["answer_page", "question_page"]

_HARMLESS = "The service level holds and no alert fires: an agent that finds a cause here is wrong."
_LANGUAGE = {Signal.METRICS: "PromQL", Signal.LOGS: "LogQL", Signal.TRACES: "TraceQL"}


def question_page(incident: Incident) -> str:
    """What a presenter may read aloud: what happens and what to ask, not why."""
    lines = [f"# {incident.name}: {incident.title}", "", incident.summary, ""]
    if incident.ask:
        lines += ["## What to ask", "", *_bullets(incident.ask), ""]
    lines += ["## How to run it", "", "```", f"./demo incident start {incident.name}"]
    lines += [f"./demo incident stop {incident.name}", "```"]
    return "\n".join(lines)


def answer_page(incident: Incident) -> str:
    """The same, with the cause, the evidence and the fixes."""
    evidence = [line for piece in incident.evidence for line in _evidence(piece)]
    sections = {
        "What happens, link by link": [f"{number}. {link}" for number, link in enumerate(incident.causes, 1)],
        "What it should find": [incident.finds] if incident.finds else [],
        "Evidence": [*evidence, *_alert(incident)],
        "What it is not": [line for other in incident.look_alikes for line in _look_alike(other)],
        "Right fixes": _bullets(f"{fix.does} {fix.because}" for fix in incident.right_fixes),
        "Unsafe fixes": _bullets(f"{fix.does} {fix.because}" for fix in incident.unsafe_fixes),
        "When it is fixed": [] if incident.oracle is None else [incident.oracle.says],
        "What bounds it": [incident.bound] if incident.bound else [],
        "What an agent must not do": [] if incident.kind is Kind.INCIDENT else [_HARMLESS],
    }
    shown = [["", f"## {title}", "", *lines] for title, lines in sections.items() if lines]
    return "\n".join([question_page(incident), *(line for section in shown for line in section)]).rstrip() + "\n"


def _alert(incident: Incident) -> list[str]:
    if incident.alert is None:
        return []
    labels = "".join(f", {name} {value}" for name, value in incident.alert.labels.items())
    return [f"The alert `{incident.alert.name}`{labels} fires within two minutes."]


def _look_alike(other: LookAlike) -> list[str]:
    return [f"**{other.other}**: {other.because}", "", *_evidence(other.tells)]


def _evidence(piece: Evidence) -> list[str]:
    compares = piece.compares
    sense = {"rises": "at least", "falls": "at most", "stays": "no more than"}[compares.direction]
    margin = f" {'-' if compares.direction == 'falls' else '+'} {compares.margin:g}" if compares.margin else ""
    must = f"It must be {sense} {compares.factor:g} times the baseline{margin}."
    return [
        f"- {_LANGUAGE[piece.signal]}, {piece.name}: {piece.shows} {must}",
        "",
        "  ```",
        *(f"  {line}" for line in piece.query.strip().splitlines()),
        "  ```",
        "",
    ]


def _bullets(sentences: Iterable[str]) -> list[str]:
    return [f"- {sentence}" for sentence in sentences]
