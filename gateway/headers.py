"""Which headers cross the gateway.

Requests: an allow-list, because the back ends trust headers (tenants, identities) that no caller may set. Answers:
everything but what belongs to one connection, to the back end's own sessions, or would let foreign web pages read the
answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

RawHeaders = list[tuple[bytes, bytes]]

_REQUEST = frozenset(
    {
        b"accept",
        b"accept-encoding",
        b"accept-language",
        b"cache-control",
        b"content-type",
        b"if-modified-since",
        b"if-none-match",
        b"range",
        b"user-agent",
    }
)
# What Grafana's own pages send with their requests; none of them carries an identity.
_GRAFANA = frozenset({b"x-dashboard-uid", b"x-dashboard-title", b"x-datasource-uid", b"x-panel-id", b"x-plugin-id"})
_GRAFANA_PREFIX = b"x-grafana-"
_GRAFANA_IDENTITY = frozenset({b"x-grafana-id", b"x-grafana-user"})

_RESPONSE_DROPPED = frozenset(
    {
        b"connection",
        b"date",  # the gateway's own server writes these two
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-connection",
        b"server",
        b"set-cookie",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
        b"www-authenticate",
    }
)
_CORS_PREFIX = b"access-control-"


def for_backend(
    headers: Iterable[tuple[bytes, bytes]], *, grafana: bool = False, also: frozenset[bytes] = frozenset()
) -> RawHeaders:
    """Return the caller's headers that a back end may see.

    Args:
        headers: as received, names in lower case (ASGI).
        grafana: the back end is Grafana, whose own pages send a few more.
        also: further names that this back end understands.
    """
    return [
        (name, value)
        for name, value in headers
        if name in _REQUEST
        or name in also
        or (grafana and (name in _GRAFANA or (name.startswith(_GRAFANA_PREFIX) and name not in _GRAFANA_IDENTITY)))
    ]


def for_caller(headers: Iterable[tuple[bytes, bytes]], *, base_url: str) -> RawHeaders:
    """Return the back end's headers that the caller may see.

    Args:
        headers: as received from the back end.
        base_url: the back end's address: a redirect to itself becomes one to the same path of the gateway.
    """
    received = [(name.lower(), value) for name, value in headers]
    named = {
        token.strip().lower()
        for name, value in received
        if name == b"connection"
        for token in value.split(b",")
        if token
    }
    kept: RawHeaders = []
    for name, value in received:
        if name in _RESPONSE_DROPPED or name in named or name.startswith(_CORS_PREFIX):
            continue
        kept.append((name, _own_location(value, base_url.encode()) if name == b"location" else value))
    return kept


def _own_location(value: bytes, base_url: bytes) -> bytes:
    if value == base_url or value.startswith((base_url + b"/", base_url + b"?")):
        return value.removeprefix(base_url) or b"/"
    return value


def one(headers: Iterable[tuple[bytes, bytes]], wanted: bytes) -> bytes | None:
    """Return the value of a header that may appear only once, or None if it is absent or repeated."""
    values = [value for name, value in headers if name == wanted]
    return values[0] if len(values) == 1 else None
