"""Paths of requests, normalised once.

What the allow-list judges and what the back end receives must be the same thing. So a path is decoded exactly once,
refused if any reader could see something else in it (dot segments, encoded slashes, a second layer of encoding,
control characters), and sent on in one canonical encoding made from the decoded text, never as the caller wrote it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote, unquote_to_bytes

# RFC 3986: pchar and the slash, as bytes that may stand in a path unencoded.
_RAW_PATH = re.compile(rb"/(?:[A-Za-z0-9\-._~!$&'()*+,;=:@/]|%[0-9A-Fa-f]{2})*")
_SAFE = "/-._~!$&'()*+,;=:@"
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


class BadPath(ValueError):  # noqa: N818 - raised for the caller's input; the sentence says what is wrong
    """The path cannot be normalised without guessing."""


@dataclass(frozen=True, slots=True)
class NormalPath:
    """A path that every reader understands alike: ``text`` decoded, ``raw`` as it is sent."""

    text: str
    raw: str


def normalise(raw: bytes) -> NormalPath:
    """Return the canonical form of a request's path.

    Args:
        raw: the path of the request line, percent-encoded, without query.

    Raises:
        BadPath: the path is not one that has a single meaning.
    """
    if not _RAW_PATH.fullmatch(raw):
        raise BadPath("the path holds characters that must be percent-encoded, or an incomplete encoding")
    lowered = raw.lower()
    if b"%2f" in lowered or b"%5c" in lowered:
        raise BadPath("the path holds an encoded slash or backslash")
    if b"%25" in lowered:
        raise BadPath("the path is percent-encoded twice")
    try:
        text = unquote_to_bytes(raw).decode("utf-8")
    except UnicodeDecodeError:
        raise BadPath("the path is not UTF-8") from None
    if _CONTROL.search(text):
        raise BadPath("the path holds control characters")
    segments = text.split("/")[1:]
    if any(segment in {".", ".."} for segment in segments):
        raise BadPath("the path holds dot segments")
    if any(not segment for segment in segments[:-1]):
        raise BadPath("the path holds empty segments")
    return NormalPath(text=text, raw=quote(text, safe=_SAFE))
