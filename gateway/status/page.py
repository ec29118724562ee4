"""The status page as HTML: made on the server, no script, nothing loaded from elsewhere, refreshed by the browser."""

from __future__ import annotations

import base64
import hashlib
from importlib.resources import files
from typing import TYPE_CHECKING

from gateway.status import parts
from gateway.status.html import Markup, fill

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.alerts import Received
    from gateway.config import Config
    from gateway.status.model import Snapshot

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="refresh" content="{refresh}">
<title>{mark} {stack} · payment demo</title>
<link rel="icon" href="data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E%3Ccircle cx='8' cy='8' r='7' fill='%23{favicon}'/%3E%3C/svg%3E">
<style>{style}</style>
</head>
<body><div class="page">
<header><h1>Payment demo</h1><span class="pill mute">{stack}</span>{state}
<span class="when">{time} UTC · refreshed every {refresh} s</span></header>
<main>
<div class="grid two">{level}</div>
<div class="grid three">{charts}</div>
<div class="grid two"><section class="card"><h2>Services<span class="note">asked from inside the network</span></h2>{services}</section>
<section class="card">{alerts}</section></div>
<div class="grid"><section class="card"><h2>Warnings and errors of the payment service<span class="note">last 15 minutes</span></h2>{logs}</section></div>
<div class="grid"><section class="card"><h2>Slow payments<span class="note">traces of the last 15 minutes, slowest first</span></h2>{traces}</section></div>
<div class="grid"><section class="card"><h2>Connection settings<span class="note">secrets hidden; <code>./demo env</code> writes them with the token</span></h2>{settings}</section></div>
</main>
<footer>{links}</footer>
</div></body></html>
"""  # noqa: E501 - markup reads better unbroken


class StatusPage:
    """Renders snapshots of one stack.

    Args:
        config: names, settings and links to show.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self._style = Markup(files("gateway.status").joinpath("style.css").read_text(encoding="utf-8"))
        digest = base64.b64encode(hashlib.sha256(self._style.encode()).digest()).decode()
        self.headers = {
            "Cache-Control": "no-store",
            "Content-Security-Policy": (
                f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; form-action 'none'; "
                "frame-ancestors 'none'"
            ),
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
        }

    def render(self, snapshot: Snapshot, received: Sequence[Received]) -> str:
        """Return the page.

        Args:
            snapshot: what the back ends said.
            received: the last alerts that came in, newest first.
        """
        config = self._config
        ready = snapshot.services.ready
        return fill(
            _PAGE,
            refresh=config.status_page.refresh_seconds,
            mark="●" if ready else "▲",
            favicon="12805c" if ready else "b3261e",
            stack=config.stack,
            style=self._style,
            state=parts.state(snapshot.services),
            time=f"{snapshot.at:%Y-%m-%d %H:%M:%S}",
            level=parts.level(snapshot.level),
            charts=parts.charts(snapshot.charts),
            services=parts.services(snapshot.services),
            alerts=parts.alerts(snapshot.alerts, received),
            logs=parts.logs(snapshot.logs),
            traces=parts.traces(snapshot.traces),
            settings=parts.settings(config.status_page.settings),
            links=parts.links(config),
        )
