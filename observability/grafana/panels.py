"""Builders of Grafana's classic panel JSON (schema version 1): just what one dashboard needs.

Plain dictionaries on purpose: the JSON is what is mounted, reviewed and tested, and a builder library would be one
more dependency for a single dashboard.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

Json = dict[str, Any]

PROMETHEUS: Final[Json] = {"type": "prometheus", "uid": "prometheus"}
LOKI: Final[Json] = {"type": "loki", "uid": "loki"}
TEMPO: Final[Json] = {"type": "tempo", "uid": "tempo"}
GRID: Final = 24
LINE: Final[Json] = {
    "drawStyle": "line",
    "lineWidth": 1,
    "fillOpacity": 10,
    "gradientMode": "none",
    "showPoints": "never",
    "spanNulls": 15000,
    "stacking": {"group": "A", "mode": "none"},
}


@dataclass(frozen=True, slots=True)
class Query:
    """One PromQL query of a panel.

    Attributes:
        expr: the PromQL.
        legend: what the series is called; Grafana's ``{{label}}`` works.
        exemplars: whether the dots that lead to traces are asked for too.
    """

    expr: str
    legend: str = "__auto"
    exemplars: bool = False


@dataclass(slots=True)
class Layout:
    """Places panels from left to right and top to bottom, and numbers them."""

    panels: list[Json] = field(default_factory=list[Json])
    _x: int = 0
    _y: int = 0
    _height: int = 0

    def row(self, title: str) -> None:
        """Begin a titled row."""
        self._break()
        self._place({"type": "row", "title": title, "collapsed": False, "panels": []}, GRID, 1)
        self._break()

    def add(self, panel: Json, *, width: int, height: int = 7) -> None:
        """Place a panel, in the next line if it does not fit in this one."""
        if self._x + width > GRID:
            self._break()
        self._place(panel, width, height)

    def _place(self, panel: Json, width: int, height: int) -> None:
        position = {"x": self._x, "y": self._y, "w": width, "h": height}
        self.panels.append({"id": len(self.panels) + 1, "gridPos": position, **panel})
        self._x += width
        self._height = max(self._height, height)

    def _break(self) -> None:
        self._y += self._height
        self._x = self._height = 0


def _targets(queries: list[Query], *, instant: bool) -> list[Json]:
    return [
        {
            "refId": chr(ord("A") + index),
            "datasource": PROMETHEUS,
            "editorMode": "code",
            "expr": query.expr,
            "legendFormat": query.legend,
            "range": not instant,
            "instant": instant,
            "exemplar": query.exemplars,
        }
        for index, query in enumerate(queries)
    ]


def _thresholds(steps: list[tuple[float | None, str]]) -> Json:
    return {"mode": "absolute", "steps": [{"value": value, "color": color} for value, color in steps]}


def timeseries(
    title: str,
    queries: list[Query],
    *,
    unit: str = "short",
    description: str = "",
    limit: float | None = None,
    minimum: float | None = 0,
    maximum: float | None = None,
    stacked: bool = False,
) -> Json:
    """Return curves over time; ``limit`` draws a red line at the objective."""
    custom = {**LINE, "stacking": {"group": "A", "mode": "normal" if stacked else "none"}}
    steps: list[tuple[float | None, str]] = [(None, "green")]
    if limit is not None:
        custom["thresholdsStyle"] = {"mode": "line"}
        steps.append((limit, "red"))
    defaults: Json = {
        "unit": unit,
        "custom": custom,
        "thresholds": _thresholds(steps),
        "color": {"mode": "palette-classic"},
    }
    defaults |= {name: value for name, value in (("min", minimum), ("max", maximum)) if value is not None}
    return {
        "type": "timeseries",
        "title": title,
        "description": description,
        "datasource": PROMETHEUS,
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": {
            "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []},
            "tooltip": {"mode": "multi", "sort": "desc"},
        },
        "targets": _targets(queries, instant=False),
    }


def stat(
    title: str, expr: str, *, unit: str, steps: list[tuple[float | None, str]], decimals: int | None = None
) -> Json:
    """Return one number with its curve behind it, coloured by thresholds."""
    defaults: Json = {"unit": unit, "thresholds": _thresholds(steps), "color": {"mode": "thresholds"}}
    if decimals is not None:
        defaults["decimals"] = decimals
    return {
        "type": "stat",
        "title": title,
        "datasource": PROMETHEUS,
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": {
            "colorMode": "value",
            "graphMode": "area",
            "justifyMode": "auto",
            "textMode": "value",
            "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        },
        "targets": _targets([Query(expr)], instant=False),
    }


def firing_alerts(title: str) -> Json:
    """Return a table of the alerts that fire now."""
    hidden = {"Time": True, "__name__": True, "alertstate": True, "Value": True}
    return {
        "type": "table",
        "title": title,
        "datasource": PROMETHEUS,
        "fieldConfig": {"defaults": {"noValue": "none"}, "overrides": []},
        "options": {"showHeader": True, "cellHeight": "sm"},
        "targets": [{**_targets([Query('ALERTS{alertstate="firing"}')], instant=True)[0], "format": "table"}],
        "transformations": [
            {"id": "organize", "options": {"excludeByName": hidden, "indexByName": {"alertname": 0, "severity": 1}}}
        ],
    }


def logs(title: str, expr: str) -> Json:
    """Return log lines, newest first."""
    return {
        "type": "logs",
        "title": title,
        "datasource": LOKI,
        "fieldConfig": {"defaults": {}, "overrides": []},
        "options": {
            "showTime": True,
            "wrapLogMessage": True,
            "prettifyLogMessage": False,
            "enableLogDetails": True,
            "sortOrder": "Descending",
            "dedupStrategy": "none",
            "showLabels": False,
            "showCommonLabels": False,
        },
        "targets": [
            {
                "refId": "A",
                "datasource": LOKI,
                "editorMode": "code",
                "expr": expr,
                "queryType": "range",
                "maxLines": 200,
            }
        ],
    }


def traces(title: str, query: str) -> Json:
    """Return the traces that a TraceQL query finds, as a table that leads to each of them."""
    return {
        "type": "table",
        "title": title,
        "datasource": TEMPO,
        "fieldConfig": {"defaults": {}, "overrides": []},
        "options": {"showHeader": True, "cellHeight": "sm"},
        "targets": [
            {
                "refId": "A",
                "datasource": TEMPO,
                "queryType": "traceql",
                "query": query,
                "limit": 20,
                "spss": 3,
                "tableType": "traces",
            }
        ],
    }
