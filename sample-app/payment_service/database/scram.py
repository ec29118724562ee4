"""SCRAM-SHA-256 verifiers as PostgreSQL stores them (RFC 5803).

The task sends a verifier, never the password itself, so that no statement log and no statistics view can show it.
"""

import base64
import hashlib
import hmac
import secrets

_ITERATIONS = 4096
_PREFIX = "SCRAM-SHA-256$"


def make_verifier(password: str, *, salt: bytes | None = None, iterations: int = _ITERATIONS) -> str:
    """The value for ``ALTER ROLE … PASSWORD``.

    PostgreSQL normalises passwords by SASLprep; the generated ones are ASCII, for which that is the identity.

    Args:
        password: The password in clear.
        salt: Random if not given.
        iterations: Rounds of the key derivation.
    """
    salt = salt or secrets.token_bytes(16)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, iterations)
    stored_key = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server_key = hmac.digest(salted, b"Server Key", "sha256")
    salt64, stored64, server64 = (base64.b64encode(part).decode() for part in (salt, stored_key, server_key))
    return f"{_PREFIX}{iterations}:{salt64}${stored64}:{server64}"


def matches(password: str, verifier: str | None) -> bool:
    """Whether the stored verifier is one of this password.

    Args:
        password: The password in clear.
        verifier: ``pg_authid.rolpassword``; anything but a SCRAM verifier matches nothing.
    """
    if verifier is None or not verifier.startswith(_PREFIX):
        return False
    rounds, _, rest = verifier.removeprefix(_PREFIX).partition(":")
    salt = base64.b64decode(rest.partition("$")[0])
    return hmac.compare_digest(make_verifier(password, salt=salt, iterations=int(rounds)), verifier)
