"""Who a caller is: the holder of the stack's token, who shows it, or a cookie that was given for it; or an operator."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import time
from typing import TYPE_CHECKING

from gateway import headers as header

if TYPE_CHECKING:
    from gateway.headers import RawHeaders

COOKIE_SECONDS = 12 * 3600


class Token:
    """The one secret that opens the fronts, as Bearer, as the password of Basic, or as a cookie that stands for it.

    Args:
        token: the secret; None opens to everybody.
        cookie: name of the cookie.
    """

    def __init__(self, token: str | None, *, cookie: str) -> None:
        self._digest = _digest(token)
        self.cookie = cookie

    @property
    def required(self) -> bool:
        """Whether anybody is asked."""
        return self._digest is not None

    def is_token(self, given: bytes) -> bool:
        """Return whether this is the secret."""
        return self._digest is None or _equals(given, self._digest)

    def admits(self, headers: RawHeaders) -> bool:
        """Return whether the request carries the token, or a cookie that was given for it."""
        if self._digest is None:
            return True
        given = _credential(header.one(headers, b"authorization"))
        return (given is not None and self.is_token(given)) or self._admits_cookie(headers)

    def make_cookie(self) -> str:
        """Return the cookie's value: its end and a signature, which every replica knows by the token alone."""
        until = str(int(time.time()) + COOKIE_SECONDS)
        return f"{until}.{self._sign(until)}"

    def _admits_cookie(self, headers: RawHeaders) -> bool:
        wanted = self.cookie.encode() + b"="
        pieces = [piece.strip() for name, value in headers if name == b"cookie" for piece in value.split(b";")]
        for piece in pieces:
            if not piece.startswith(wanted):
                continue
            until, _, signature = piece.removeprefix(wanted).decode("latin-1").partition(".")
            signed = hmac.compare_digest(self._sign(until).encode(), signature.encode())
            if signed and int(until) > time.time():
                return True
        return False

    def _sign(self, until: str) -> str:
        return hmac.new(self._digest or b"", f"{self.cookie} {until}".encode(), hashlib.sha256).hexdigest()


class OperatorsToken:
    """The secret of whoever runs the demo: it opens the fronts too, and what is asked with it is not recorded.

    Args:
        token: the secret; None: there are no operators.
    """

    def __init__(self, token: str | None) -> None:
        self._digest = _digest(token)

    def is_in(self, headers: RawHeaders) -> bool:
        """Return whether the request carries it, as Bearer or as the password of Basic."""
        given = _credential(header.one(headers, b"authorization"))
        return given is not None and self._digest is not None and _equals(given, self._digest)


def _digest(token: str | None) -> bytes | None:
    # So that a comparison takes the same time whatever the lengths are.
    return None if token is None else hashlib.sha256(token.encode()).digest()


def _equals(given: bytes, digest: bytes) -> bool:
    return hmac.compare_digest(hashlib.sha256(given).digest(), digest)


def _credential(authorization: bytes | None) -> bytes | None:
    scheme, _, rest = (authorization or b"").partition(b" ")
    rest = rest.strip()
    if scheme.lower() == b"bearer":
        return rest
    if scheme.lower() == b"basic":
        try:
            _, colon, password = base64.b64decode(rest, validate=True).partition(b":")
        except (binascii.Error, ValueError):
            return None
        return password if colon else None
    return None
