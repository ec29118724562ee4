"""One server behind the gateway: a connection pool, its bounds, and what can go wrong with it."""

from __future__ import annotations

import asyncio
import functools
import json
import math
import os
import socket
import ssl
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import httpx2

from gateway.problems import ErrorType, Refused

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Mapping

    from gateway.config import BackendSettings
    from gateway.headers import RawHeaders
    from gateway.metrics import Metrics

_CONNECT_SECONDS = 2.0
_KEEPALIVE_SECONDS = 30.0
# What the gateway asks for itself (status page): small queries, so a longer wait or body is a fault.
_OWN_SECONDS = 2.0
_OWN_BODY_BYTES = 4 * 1024 * 1024


class BackendError(Refused):
    """A back end did not answer properly.

    Attributes:
        kind: what went wrong, the label of the error metric.
    """

    def __init__(
        self,
        status: int,
        error_type: ErrorType,
        kind: str,
        sentence: str,
        *,
        backend: str,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(status, error_type, sentence, backend=backend, headers=headers)
        self.kind = kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """A request to a back end.

    Attributes:
        method: HTTP method.
        path: normalised and encoded path below the back end's base URL.
        query: the encoded query string without the question mark.
        headers: what the back end may see.
        body: the whole body.
        seconds: a shorter time limit than the back end's.
    """

    method: str
    path: str
    query: bytes = b""
    headers: RawHeaders
    body: bytes = b""
    seconds: float = math.inf


class Backend:
    """A back end's pool of connections. Open it with ``async with``.

    Args:
        name: as in the topology; appears in errors and metrics.
        settings: where it is and its bounds.
        metrics: the gateway's.
    """

    def __init__(self, name: str, settings: BackendSettings, metrics: Metrics) -> None:
        self.name = name
        self.settings = settings
        self._base = httpx2.URL(settings.url)
        self.host: str = self._base.host
        self.port: int = self._base.port or (443 if self._base.scheme == "https" else 80)
        self._in_flight = 0
        self._metrics = metrics.of_backend(name)
        self._client = make_client(settings.timeout_seconds, settings.max_concurrent, verify=verification(settings.url))

    async def close(self) -> None:
        """Close the pool."""
        await self._client.aclose()

    @asynccontextmanager
    async def ask(self, ask: Ask) -> AsyncGenerator[httpx2.Response]:
        """Send a request and hand out the answer while it arrives; the time limit holds until the context is left.

        Raises:
            BackendError: no proper answer, also while the answer is being read.
        """
        if self._in_flight >= self.settings.max_concurrent:
            sentence = (
                f"{self.name} already works on the limit of {self._in_flight} requests of this gateway; try again"
            )
            raise self.error(503, "unavailable", "busy", sentence, headers={"Retry-After": "1"})
        self._in_flight += 1
        seconds = min(self.settings.timeout_seconds, ask.seconds)
        try:
            with self._metrics.asking():
                async with asyncio.timeout(seconds):
                    response = await self._send(ask)
                    try:
                        self._check_length(response)
                        yield response
                    finally:
                        await response.aclose()
        except (TimeoutError, httpx2.TimeoutException):
            sentence = f"{self.name} did not answer within the limit of {seconds:g} s"
            raise self.error(504, "timeout", "timeout", sentence) from None
        except httpx2.ConnectError as error:
            raise self.error(502, "bad_gateway", "connect", f"{self.name} cannot be reached: {reason(error)}") from None
        except (httpx2.TransportError, httpx2.InvalidURL) as error:
            raise self.error(
                502, "bad_gateway", "protocol", f"{self.name} did not answer with proper HTTP: {reason(error)}"
            ) from None
        finally:
            self._in_flight -= 1

    async def get_json(self, path: str, parameters: Mapping[str, str]) -> object:
        """Ask for a small JSON document.

        Raises:
            BackendError: no proper answer within 2 s, or one that is not JSON, not a success, or larger than 4 MiB.
        """
        query = str(httpx2.QueryParams(parameters)).encode()
        headers: RawHeaders = [(b"accept", b"application/json"), (b"user-agent", b"compass-gateway")]
        ask = Ask(method="GET", path=path, query=query, headers=headers, seconds=_OWN_SECONDS)
        async with self.ask(ask) as response:
            body = bytearray()
            async for chunk in self.chunks(response, limit=_OWN_BODY_BYTES):
                body += chunk
        if not response.is_success:
            raise self.error(502, "bad_gateway", "status", f"{self.name} answered {response.status_code}")
        try:
            return json.loads(body)
        except ValueError:
            raise self.error(502, "bad_gateway", "content", f"{self.name} did not answer with JSON") from None

    async def chunks(self, response: httpx2.Response, *, limit: int | None = None) -> AsyncIterator[bytes]:
        """Hand out the body as the back end sent it (compressed if it is) up to the limit of the back end.

        Raises:
            BackendError: the body is longer than the limit.
        """
        left = self.settings.max_response_bytes if limit is None else limit
        async for chunk in response.aiter_raw():
            left -= len(chunk)
            if left < 0:
                raise self._too_large(self.settings.max_response_bytes if limit is None else limit)
            yield chunk

    def error(
        self,
        status: int,
        error_type: ErrorType,
        kind: str,
        sentence: str,
        *,
        headers: Mapping[str, str] | None = None,
    ) -> BackendError:
        """Return an error of this back end, counted."""
        self._metrics.failed(kind)
        return BackendError(status, error_type, kind, sentence, backend=self.name, headers=headers)

    async def _send(self, ask: Ask) -> httpx2.Response:
        path = f"{self._base.path.rstrip('/')}{ask.path}".encode()
        url = self._base.copy_with(raw_path=path + (b"?" + ask.query if ask.query else b""))
        for last in (False, True):
            # A Request made here, not by the client: the client would add headers of its own (Accept-Encoding, for
            # one).
            request = httpx2.Request(ask.method, url, headers=ask.headers, content=ask.body or None)
            try:
                return await self._client.send(request, stream=True)
            except (httpx2.RemoteProtocolError, httpx2.ReadError, httpx2.WriteError):
                # A kept connection that the back end closed meanwhile. Everything that passes only reads, so ask again
                # once.
                if last:
                    raise
        raise AssertionError("unreachable")

    def _check_length(self, response: httpx2.Response) -> None:
        announced = response.headers.get("content-length", "")
        if announced.isdecimal() and int(announced) > self.settings.max_response_bytes:
            raise self._too_large(self.settings.max_response_bytes)

    def _too_large(self, limit: int) -> BackendError:
        # 422 and not 5xx: asking again will not help, asking for less will. Prometheus answers its own limits like
        # this.
        return self.error(
            422,
            "too_large",
            "too_large",
            f"the answer of {self.name} is larger than the limit of {limit} bytes; ask for less",
        )


def verification(url: str) -> ssl.SSLContext | bool:
    """Return how a client of this address checks certificates.

    Loading the certificate authorities costs megabytes for each client, so one that speaks no TLS gets an empty
    context, with which no certificate would be accepted.
    """
    return True if url.startswith("https:") else _no_authorities()


@functools.cache
def _no_authorities() -> ssl.SSLContext:
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def make_client(timeout: float, connections: int, *, verify: ssl.SSLContext | bool) -> httpx2.AsyncClient:
    """Return a client that follows no redirect, sends no cookie, and reads no proxy or netrc from the environment.

    Args:
        timeout: seconds of silence that are too many.
        connections: at most this many at once.
        verify: from :func:`verification`.
    """
    return httpx2.AsyncClient(
        verify=verify,
        timeout=httpx2.Timeout(timeout, connect=min(timeout, _CONNECT_SECONDS)),
        limits=httpx2.Limits(
            max_connections=connections, max_keepalive_connections=connections, keepalive_expiry=_KEEPALIVE_SECONDS
        ),
        follow_redirects=False,
        trust_env=False,
    )


def reason(error: Exception) -> str:
    """Return why a connection failed, in words, from the operating system's error where there is one."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, socket.gaierror):
            return (cause.strerror or "the name cannot be resolved").lower()
        if isinstance(cause, OSError) and cause.errno is not None:
            # Event loops word the same failure differently, so the number counts.
            return os.strerror(cause.errno).lower()
        cause = cause.__cause__ or cause.__context__
    return " ".join(str(error).split())[:200] or type(error).__name__
