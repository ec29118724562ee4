"""What every request meets before a front sees it (bounds, host, origin, token), and what is recorded about it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import structlog

from gateway import headers as header
from gateway.login import PATH as LOGIN_PATH
from gateway.paths import BadPath, NormalPath, normalise
from gateway.problems import Refused
from gateway.record import record, recorded
from gateway.rules import READ

if TYPE_CHECKING:
    import asyncio

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from gateway.config import Browsers, Limits
    from gateway.credentials import OperatorsToken, Token
    from gateway.headers import RawHeaders
    from gateway.login import Login
    from gateway.metrics import Metrics

log = structlog.stdlib.get_logger()

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
READY = frozenset({"/ready", "/ready/stack"})
CLIENT_LEFT = 499
_PATH = "gateway.path"


def path_of(scope: Scope) -> NormalPath:
    """Return the path that the guard has checked."""
    path = scope[_PATH]
    if not isinstance(path, NormalPath):
        raise TypeError("the request did not pass the guard")
    return path


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What a guard enforces.

    Attributes:
        front: name of the listener, a metric label.
        token: who may ask.
        operators: who may ask too, without a record.
        realm: what a browser's password dialogue names.
        browsers: hosts and origins.
        limits: bounds of one request.
        open_paths: paths that need neither token nor a known host: orchestrators ask them by address.
        login: gives browsers a cookie for the token; None where nobody logs in.
        lone_paths: paths whose every answer ends its connection.
    """

    front: str
    token: Token
    operators: OperatorsToken
    realm: str
    browsers: Browsers
    limits: Limits
    open_paths: frozenset[str] = frozenset()
    login: Login | None = None
    lone_paths: frozenset[str] = frozenset()


class Guard:
    """ASGI middleware around a front.

    Args:
        app: the front.
        policy: what is enforced.
        metrics: the gateway's.
        stopping: once it is set each answer closes its connection, so that the caller's next one goes elsewhere.
    """

    def __init__(self, app: ASGIApp, policy: Policy, metrics: Metrics, stopping: asyncio.Event) -> None:
        self._app = app
        self._policy = policy
        self._stopping = stopping
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            return
        started = time.perf_counter()
        status = 0

        async def watched_send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                if self._stopping.is_set() or self._is_lone(scope):
                    message["headers"] = [*message.get("headers", ()), (b"connection", b"close")]
            await send(message)

        try:
            try:
                self.admit(scope)
                await (self._log_in if self._at_login(scope) else self._app)(scope, receive, watched_send)
            except Refused as refused:
                if status:
                    raise
                await refused.response()(scope, receive, watched_send)
        except Refused as refused:
            # The answer has begun, so all that is left is not to finish it: the server closes the connection.
            self._note_break(refused)
        except Exception:
            log.exception("request failed", front=self._policy.front)
            if not status:
                failed = Refused(500, "internal", "the gateway failed to answer; its log says more")
                await failed.response()(scope, receive, watched_send)
        finally:
            self._note(scope, status or CLIENT_LEFT, time.perf_counter() - started)

    def _note_break(self, refused: Refused) -> None:
        if recorded():
            log.warning("answer broken off", front=self._policy.front, error=refused.sentence, backend=refused.backend)

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        self._metrics.count_request(self._policy.front, status, seconds)
        if not recorded():
            return
        path = scope.get(_PATH)
        shown = path.text if isinstance(path, NormalPath) else "?"
        write = log.debug if shown in self._policy.open_paths else log.info
        write(
            "request",
            front=self._policy.front,
            method=scope["method"],
            path=shown,
            status=status,
            milliseconds=round(seconds * 1000, 1),
        )

    def admit(self, scope: Scope) -> None:
        """Let a request pass, note its normal path, and decide whether it is recorded.

        Args:
            scope: of the request, or of the handshake of a WebSocket.

        Raises:
            Refused: it may not pass.
        """
        policy = self._policy
        headers: RawHeaders = scope["headers"]
        query: bytes = scope["query_string"]
        operator = policy.operators.is_in(headers)
        # First of all: what is refused is not recorded either.
        record(wanted=not operator)
        if len(scope["raw_path"]) + len(query) > policy.limits.url_bytes:
            raise Refused(
                414, "too_large", f"the URL is longer than the limit of {policy.limits.url_bytes} bytes; use POST"
            )
        if not query.isascii() or any(byte <= 0x20 or byte == 0x7F for byte in query):  # noqa: PLR2004 - ASCII controls
            raise Refused(400, "bad_data", "the query string holds characters that must be percent-encoded")
        try:
            path = normalise(scope["raw_path"])
        except BadPath as error:
            raise Refused(400, "bad_data", str(error)) from None
        scope[_PATH] = path
        if path.text in policy.open_paths and scope["method"] in READ:
            return
        host = header.one(headers, b"host")
        if host is None or not _known_host(host, policy.browsers.allowed_hosts):
            raise Refused(
                421,
                "forbidden",
                "the gateway does not serve the host named in the Host header; see browsers.allowed_hosts",
            )
        if scope["method"] not in SAFE_METHODS or scope["type"] == "websocket":
            _check_origin(headers, host, policy.browsers.allowed_origins)
        if not operator and not self._at_login(scope) and not policy.token.admits(headers):
            raise self._unauthorized(scope)

    def _is_lone(self, scope: Scope) -> bool:
        path = scope.get(_PATH)
        return isinstance(path, NormalPath) and path.text in self._policy.lone_paths

    def _at_login(self, scope: Scope) -> bool:
        return self._policy.login is not None and path_of(scope).text == LOGIN_PATH

    async def _log_in(self, scope: Scope, receive: Receive, send: Send) -> None:
        login = self._policy.login
        if login is None:
            raise TypeError("nobody logs in here")
        try:
            body = await read_body(receive, login.body_bytes)
        except ClientGone:
            return
        await login.answer(scope["method"], scope["headers"], body)(scope, receive, send)

    def _unauthorized(self, scope: Scope) -> Refused:
        policy = self._policy
        page = b"text/html" in (header.one(scope["headers"], b"accept") or b"")
        if page and policy.browsers.login_page and policy.login is not None and scope["method"] in READ:
            return Refused(303, "unauthorized", "log in first", headers={"Location": LOGIN_PATH})
        return Refused(
            401,
            "unauthorized",
            "this front wants the stack's token, as Authorization: Bearer, or as the password of Basic",
            headers={"WWW-Authenticate": f'Basic realm="{policy.realm}", charset="UTF-8"'},
        )


def _known_host(host: bytes, allowed: tuple[str, ...]) -> bool:
    try:
        name = urlsplit(f"//{host.decode('ascii')}").hostname or ""
    except ValueError:
        return False
    name = f"[{name}]" if ":" in name else name
    return any(
        one == "*" or name == one.lower() or (one.startswith("*.") and name.endswith(one[1:].lower()))
        for one in allowed
    )


def _check_origin(headers: RawHeaders, host: bytes, allowed: tuple[str, ...]) -> None:
    origins = [value for name, value in headers if name == b"origin"]
    own = {b"http://" + host.lower(), b"https://" + host.lower(), *(one.lower().encode() for one in allowed)}
    if any(origin.lower() not in own for origin in origins):
        raise Refused(403, "forbidden", "a page of another origin may not send this; see browsers.allowed_origins")


async def read_body(receive: Receive, limit: int) -> bytes:
    """Return the request's body.

    Raises:
        Refused: it is longer than the limit.
        ClientGone: the caller left before it was complete.
    """
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        body += message.get("body", b"")
        if len(body) > limit:
            raise Refused(413, "too_large", f"the request's body is longer than the limit of {limit} bytes")
        if not message.get("more_body", False):
            return bytes(body)


class ClientGone(Exception):  # noqa: N818 - nobody is left to show an error to
    """The caller closed the connection."""
