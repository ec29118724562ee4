"""Draws the dashboard "Payments overview".

``python -m observability.grafana.overview`` writes dashboards/overview.json.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from observability.grafana.panels import PROMETHEUS, Json, Layout
from observability.grafana.sections import database, evidence, pool, requests, service_level

TARGET: Final = Path(__file__).parent / "dashboards" / "overview.json"


def dashboard() -> Json:
    """Return the whole dashboard."""
    layout = Layout()
    for part in (service_level, requests, pool, database, evidence):
        part(layout)
    routes = "label_values(http_request_duration_seconds_count, route)"
    slow = ("100ms", "300ms", "1s", "5s")
    return {
        "uid": "payments-overview",
        "title": "Payments overview",
        "tags": ["compass-demo"],
        "schemaVersion": 41,
        "version": 1,
        "editable": False,
        "graphTooltip": 1,
        "refresh": "5s",
        "time": {"from": "now-15m", "to": "now"},
        "timezone": "browser",
        "annotations": {
            "list": [
                {
                    "name": "Alerts",
                    "datasource": PROMETHEUS,
                    "enable": True,
                    "expr": 'ALERTS{alertstate="firing"}',
                    "iconColor": "red",
                    "step": "10s",
                    "tagKeys": "alertname",
                    "titleFormat": "{{alertname}}",
                }
            ]
        },
        "links": [
            {"title": "Status page", "type": "link", "url": "/status", "icon": "external link", "targetBlank": True},
            {"title": "Explore", "type": "link", "url": "/explore", "icon": "compass", "keepTime": True},
        ],
        "templating": {
            "list": [
                {
                    "name": "route",
                    "label": "Route",
                    "type": "query",
                    "datasource": PROMETHEUS,
                    "definition": routes,
                    "query": {"query": routes, "refId": "route", "qryType": 1},
                    "refresh": 2,
                    "sort": 1,
                    "multi": True,
                    "includeAll": True,
                    "allValue": ".*",
                    "current": {"text": ["All"], "value": ["$__all"]},
                },
                {
                    "name": "slow",
                    "label": "Slow is over",
                    "type": "custom",
                    "query": ",".join(slow),
                    "options": [{"text": one, "value": one, "selected": one == "300ms"} for one in slow],
                    "current": {"text": "300ms", "value": "300ms"},
                },
                {
                    "name": "search",
                    "label": "Search logs",
                    "type": "textbox",
                    "query": "",
                    "current": {"text": "", "value": ""},
                },
            ]
        },
        "panels": layout.panels,
    }


def render() -> str:
    """Return the file's text."""
    return json.dumps(dashboard(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    TARGET.write_text(render(), encoding="utf-8")
