"""The parts of the status page, each from its own data."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from gateway.status.collect import SLOW_MS
from gateway.status.html import Markup, fill, join
from gateway.status.model import P95_OBJECTIVE_SECONDS, SUCCESS_OBJECTIVE, Fault
from gateway.status.sparkline import sparkline

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from gateway.alerts import Received
    from gateway.config import Config, Setting
    from gateway.probes import Answer, Round
    from gateway.status.model import ActiveAlert, Chart, ChartSpec, LogLine, ServiceLevel, TraceRow

_TEXT = 260
_RECEIVED = 6
_DOTS = "••••••"
_NONE = "-"

_LEVEL = """<section class="card"><h2>{title}
<span class="note">last 30 s, as the traffic client saw it</span></h2>
<div class="level"><span class="value {tone}">{value}</span><span class="goal">objective {goal}</span>{verdict}</div>
</section>"""
_CHART = """<section class="card chart"><div class="head"><h2>{title}</h2><span class="now">{now}</span></div>{body}
<div class="axis"><span>15 min ago</span><span>{peak}</span><span>now</span></div></section>"""
_SERVICE = (
    '<li><span class="led {tone}"></span><span class="name">{name}</span><span class="said {tone}">{said}</span></li>'
)
_FAULT = '<p class="fault">{sentence}</p>'
_EMPTY = '<p class="empty">{sentence}</p>'
_PILL = '<span class="pill {tone}">{text}</span>'
_SETTING = '<tr><td class="tight mono">{name}</td><td class="wide mono">{value}</td></tr>'
_LOG = """<tr><td class="tight soft mono">{time}</td><td class="tight">{level}</td><td class="wide">{text}</td>
<td class="tight soft mono">{trace}</td></tr>"""
_TRACE = """<tr><td class="tight soft mono">{time}</td><td class="num">{duration}</td>
<td class="wide">{name}</td><td class="num">{spans}</td>
<td class="tight mono">{trace}</td></tr>"""
_ALERT = """<tr><td class="tight">{state}</td><td class="tight">{name}</td><td class="wide soft">{summary}</td>
<td class="tight soft mono">{time}</td></tr>"""
_SEVERITY_TONES = {"critical": "bad", "error": "bad", "fatal": "bad", "warning": "warn", "warn": "warn"}


def state(services: Round) -> Markup:
    """Return the verdict on the whole stack."""
    failing = sum(answer.up is False for answer in services.answers)
    if not failing:
        return fill(_PILL, tone="good", text="every service answers")
    return fill(_PILL, tone="bad", text=f"{failing} service{'s do' if failing > 1 else ' does'} not answer")


def level(data: ServiceLevel | Fault) -> Markup:
    """Return the two cards of the service level."""
    success_goal = f"≥ {SUCCESS_OBJECTIVE:.1%}".replace("%", " %")
    p95_goal = f"< {P95_OBJECTIVE_SECONDS * 1000:.0f} ms"
    if isinstance(data, Fault):
        return join(
            fill('<section class="card"><h2>{title}</h2>{fault}</section>', title=title, fault=_fault(data))
            for title in ("Payments that succeed", "Payments, p95")
        )
    return join(
        (
            _level("Payments that succeed", _share(data.success), success_goal, met=data.success_met),
            _level("Payments, p95", _seconds(data.p95), p95_goal, met=data.p95_met),
        )
    )


def _level(title: str, value: str, goal: str, *, met: bool | None) -> Markup:
    tone, text = {None: ("mute", "no payments"), True: ("good", "met"), False: ("bad", "missed")}[met]
    return fill(_LEVEL, title=title, value=value, goal=goal, tone=tone, verdict=fill(_PILL, tone=tone, text=text))


def charts(data: Sequence[tuple[ChartSpec, Chart | Fault]]) -> Markup:
    """Return the cards of the charts."""
    return join(_chart(spec, chart) for spec, chart in data)


def _chart(spec: ChartSpec, chart: Chart | Fault) -> Markup:
    write = {"per_second": _per_second, "share": _share, "seconds": _seconds, "count": _count}[spec.unit]
    if isinstance(chart, Fault):
        return fill(_CHART, title=spec.title, now=_NONE, body=_fault(chart), peak="")
    known = [value for value in chart.values if value is not None]
    if not known:
        return fill(_CHART, title=spec.title, now=_NONE, body=fill(_EMPTY, sentence="no data yet"), peak="")
    peak = f"max {write(max(known))}"
    body = sparkline(chart.values, label=f"{spec.title}: now {write(chart.latest)}, {peak}", objective=spec.objective)
    return fill(_CHART, title=spec.title, now=write(chart.latest), body=body, peak=peak)


def services(data: Round) -> Markup:
    """Return the list of services."""
    if not data.answers:
        return fill(_EMPTY, sentence="no probes are configured")
    return fill('<ul class="services">{items}</ul>', items=join(_service(answer) for answer in data.answers))


def _service(answer: Answer) -> Markup:
    if answer.up is None:
        return fill(_SERVICE, tone="mute", name=answer.service, said="own health check")
    if answer.up:
        return fill(_SERVICE, tone="good", name=answer.service, said=_milliseconds(answer.milliseconds or 0.0))
    return fill(_SERVICE, tone="bad", name=answer.service, said=answer.reason or "down")


def alerts(active: Sequence[ActiveAlert] | Fault, received: Sequence[Received]) -> Markup:
    """Return the alerts that are active, and the last that came in."""
    if isinstance(active, Fault):
        now = _fault(active)
    elif not active:
        now = fill(_EMPTY, sentence="none")
    else:
        now = _table(
            fill(
                _ALERT,
                state=fill(_PILL, tone=_SEVERITY_TONES.get(alert.severity, "mute"), text=alert.severity or "alert"),
                name=alert.name,
                summary=_short(alert.summary),
                time=_clock(alert.since),
            )
            for alert in active
        )
    past = _table(
        fill(
            _ALERT,
            state=fill(_PILL, tone="bad" if one.alert.status == "firing" else "good", text=one.alert.status),
            name=one.alert.name,
            summary=_short(one.alert.annotations.get("summary", "")),
            time=_clock(one.received_at),
        )
        for one in received[:_RECEIVED]
    )
    return fill(
        '<h2>Active alerts</h2>{now}<h2 class="gap">Last alerts received</h2>{past}',
        now=now,
        past=past if received else fill(_EMPTY, sentence="none since the gateway started"),
    )


def logs(data: Sequence[LogLine] | Fault) -> Markup:
    """Return the newest lines."""
    if isinstance(data, Fault):
        return _fault(data)
    if not data:
        return fill(_EMPTY, sentence="none")
    return _table(
        (
            fill(
                _LOG,
                time=_clock(line.at),
                level=fill(_PILL, tone=_SEVERITY_TONES.get(line.level, "mute"), text=line.level),
                text=_short(_message(line.text)),
                trace=line.trace_id,
            )
            for line in data
        ),
        head="<tr><th>time</th><th>level</th><th>line</th><th>trace</th></tr>",
    )


def traces(data: Sequence[TraceRow] | Fault) -> Markup:
    """Return the slowest payments."""
    if isinstance(data, Fault):
        return _fault(data)
    if not data:
        return fill(_EMPTY, sentence=f"no payment took longer than {SLOW_MS} ms")
    return _table(
        (
            fill(
                _TRACE,
                time=_clock(row.at),
                duration=_milliseconds(row.milliseconds),
                name=row.name,
                spans=_NONE if row.spans is None else row.spans,
                trace=row.trace_id,
            )
            for row in data
        ),
        head=(
            '<tr><th>time</th><th class="num">duration</th><th>name</th><th class="num">spans</th><th>trace</th></tr>'
        ),
    )


def settings(data: Sequence[Setting]) -> Markup:
    """Return the connection settings; the token is a placeholder in the configuration already."""
    if not data:
        return fill(_EMPTY, sentence="none are configured")
    return _table(fill(_SETTING, name=one.name, value=one.value.replace("{token}", _DOTS)) for one in data)


def links(config: Config) -> Markup:
    """Return the last line: links, and where to find the same as data."""
    own = [("readiness as JSON", "/ready/stack"), ("alerts received as JSON", "/api/alerts/received")]
    if config.distribution == "upstream":
        own.insert(0, ("Grafana", "/"))
    named = [*((link.title, link.url) for link in config.status_page.links), *own]
    items = [fill('<a href="{url}">{title}</a>', title=title, url=url) for title, url in named]
    return Markup(" · ".join([*items, fill("gateway {version}", version=config.version)]))


def _table(rows: Iterable[Markup], *, head: str = "") -> Markup:
    return fill("<table>{head}{rows}</table>", head=Markup(head), rows=join(rows))


def _fault(fault: Fault) -> Markup:
    return fill(_FAULT, sentence=fault.sentence)


def _message(line: str) -> str:
    """Return the event of a line that is a JSON object, else the line."""
    try:
        document: object = json.loads(line)
    except ValueError:
        return line
    if isinstance(document, dict):
        for key in ("event", "message", "msg"):
            event: object = document.get(key)  # pyright: ignore[reportUnknownMemberType,reportUnknownVariableType] - any JSON
            if isinstance(event, str):
                return event
    return line


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _TEXT else f"{text[: _TEXT - 1]}…"


def _clock(at: datetime) -> str:
    return f"{at:%H:%M:%S}"


def _share(value: float | None) -> str:
    if value is None:
        return _NONE
    # 99.996 % is not 100 %: never round a fault away.
    percent = value * 100
    return f"{percent:.0f} %" if percent in {0.0, 100.0} else f"{min(max(percent, 0.01), 99.99):.2f} %"


def _seconds(value: float | None) -> str:
    return _NONE if value is None else _milliseconds(value * 1000)


def _milliseconds(value: float) -> str:
    for limit, text in ((10, f"{value:.1f} ms"), (1000, f"{value:.0f} ms"), (10_000, f"{value / 1000:.2f} s")):
        if value < limit:
            return text
    return f"{value / 1000:.1f} s"


def _per_second(value: float | None) -> str:
    return _NONE if value is None else f"{value:.1f} /s"


def _count(value: float | None) -> str:
    return _NONE if value is None else f"{value:.0f}"
