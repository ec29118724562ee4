"""Answers that say no.

One shape on every front: the keys that Prometheus and Loki use for their own errors, so that the clients of those
servers show the sentence without knowing about the gateway.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Literal

from starlette.responses import Response

if TYPE_CHECKING:
    from collections.abc import Mapping

ErrorType = Literal[
    "bad_data",
    "unauthorized",
    "forbidden",
    "not_found",
    "too_large",
    "unavailable",
    "timeout",
    "bad_gateway",
    "internal",
]


class Refused(Exception):  # noqa: N818 - it is an answer, not an error of the program
    """The request gets this answer instead of what it asked for."""

    def __init__(
        self,
        status: int,
        error_type: ErrorType,
        sentence: str,
        *,
        backend: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(sentence)
        self.status = status
        self.error_type: ErrorType = error_type
        self.sentence = sentence
        self.backend = backend
        self.headers = dict(headers or {})

    def response(self) -> Response:
        """Return the answer as JSON."""
        body: dict[str, object] = {"status": "error", "errorType": self.error_type, "error": self.sentence}
        if self.backend is not None:
            body["backend"] = self.backend
        return json_response(body, status=self.status, headers=self.headers)


def json_response(body: object, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return a JSON answer that no cache keeps and no browser interprets as anything else."""
    return Response(
        json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace"),
        status_code=status,
        headers={"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", **(headers or {})},
        media_type="application/json",
    )
