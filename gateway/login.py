"""``/login`` of every published front: a browser gives the token once and gets a cookie for it.

For clusters, where people come through an ingress; agents send the token itself. The cookie is for this host alone,
out of reach of scripts and of other sites.
"""

from __future__ import annotations

import base64
import hashlib
from importlib.resources import files
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from starlette.responses import HTMLResponse, Response

from gateway import headers as header
from gateway.credentials import COOKIE_SECONDS
from gateway.problems import Refused
from gateway.rules import FORM, READ
from gateway.status.html import Markup, fill

if TYPE_CHECKING:
    from gateway.credentials import Token

PATH = "/login"
_BODY_BYTES = 8 * 1024
_FIELDS = 8
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{stack} · log in</title>
<style>{style}</style>
</head>
<body><div class="page">
<header><h1>Payment demo</h1><span class="pill mute">{stack}</span></header>
<main><section class="card"><h2>Log in{note}</h2>
<form method="post" action="/login"><input type="password" name="token" aria-label="Token" required autofocus>
<button>Log in</button></form></section></main>
</div></body></html>
"""


class Login:
    """Gives cookies for the token.

    Args:
        stack: name to show.
        token: the secret.
    """

    body_bytes = _BODY_BYTES

    def __init__(self, stack: str, token: Token) -> None:
        self._stack = stack
        self._token = token
        self._style = Markup(files("gateway.status").joinpath("style.css").read_text(encoding="utf-8"))
        digest = base64.b64encode(hashlib.sha256(self._style.encode()).digest()).decode()
        self._headers = {
            "Cache-Control": "no-store",
            "Content-Security-Policy": (
                f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'self'; "
                "frame-ancestors 'none'"
            ),
            # Not no-referrer: with it a browser sends no Origin with the form, and the origin is checked.
            "Referrer-Policy": "same-origin",
            "X-Content-Type-Options": "nosniff",
        }

    def answer(self, method: str, headers: list[tuple[bytes, bytes]], body: bytes) -> Response:
        """Return the form, or the cookie for the token in it.

        Args:
            method: of the request.
            headers: of the request.
            body: of the request, whole.

        Raises:
            Refused: another method or kind of body, or too many fields in it.
        """
        if method in READ:
            return self._form(200, "the token of ./demo env")
        if method != "POST":
            raise Refused(405, "bad_data", "this path takes GET and POST", headers={"Allow": "GET, HEAD, POST"})
        given = (header.one(headers, b"content-type") or b"").split(b";")[0].strip().lower()
        if given != FORM.encode():
            raise Refused(415, "bad_data", f"the body must be {FORM}")
        try:
            fields = parse_qs(body.decode("latin-1"), max_num_fields=_FIELDS)
        except ValueError:
            raise Refused(400, "bad_data", f"the form has more than {_FIELDS} fields") from None
        if not self._token.is_token(fields.get("token", [""])[0].strip().encode()):
            return self._form(403, "that is not the token of this stack")
        # An ingress ends TLS and says so; whoever lies about it gets a cookie that only TLS carries.
        secure = "; Secure" if header.one(headers, b"x-forwarded-proto") == b"https" else ""
        cookie = f"{self._token.cookie}={self._token.make_cookie()}; Path=/; Max-Age={COOKIE_SECONDS}"
        return Response(
            status_code=303,
            headers={
                "Location": "/",
                "Set-Cookie": f"{cookie}; HttpOnly; SameSite=Strict{secure}",
                "Cache-Control": "no-store",
            },
        )

    def _form(self, status: int, note: str) -> Response:
        shown = fill('<span class="note">{note}</span>', note=note)
        page = fill(_PAGE, stack=self._stack, style=self._style, note=shown)
        return HTMLResponse(page, status, headers=self._headers)
