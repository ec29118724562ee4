"""Asks a back end on behalf of an agent: bounded, traced, and with the back end's own words where it says no."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, cast
from urllib.parse import urlencode

from opentelemetry.trace import StatusCode
from pydantic_core import from_json

from gateway.agents.large import LARGE_BYTES
from gateway.backend import Ask, BackendError
from gateway.problems import Refused

if TYPE_CHECKING:
    import httpx2
    from opentelemetry.trace import Span

    from gateway.agents.large import LargeAnswers
    from gateway.backend import Backend
    from gateway.headers import RawHeaders
    from gateway.tracing import Tracing

_FORM = b"application/x-www-form-urlencoded"
_WORDS = 2000
# Agents give up after 30 s, and should hear why before.
_SECONDS = 25.0
# What a caller would take for a statement about the gateway's own token, path or data source.
_ABOUT_US = frozenset({401, 403, 404, 405, 407})
_CLIENT_ERROR, _SERVER_ERROR = 400, 500
_PASSED_ON = frozenset({503, 504})


# A parameter with several values appears several times.
Form = Mapping[str, str | Sequence[str]]


class Upstream:
    """A back end as a tool sees it.

    Args:
        backend: who answers.
        tracing: makes the spans.
        large: lets large answers in, one at a time.
        answer_bytes: the longest answer.
        identity: headers that the gateway asserts towards the back end.
    """

    def __init__(
        self,
        backend: Backend,
        tracing: Tracing,
        large: LargeAnswers,
        *,
        answer_bytes: int,
        identity: Mapping[str, str] | None = None,
    ) -> None:
        self.backend = backend
        self._tracing = tracing
        self._large = large
        self._answer_bytes = min(answer_bytes, backend.settings.max_response_bytes)
        self._headers: RawHeaders = [
            (b"accept", b"application/json"),
            (b"user-agent", b"compass-gateway"),
            *((name.encode(), value.encode()) for name, value in (identity or {}).items()),
        ]

    async def get(self, path: str, parameters: Form, parent: Span, *, seconds: float = _SECONDS) -> dict[str, object]:
        """Return the JSON object that the back end answers.

        Args:
            path: below the back end's address; never made from what a caller sent.
            parameters: of the query string.
            parent: the span of the call.
            seconds: a shorter time limit than the back end's.

        Raises:
            Refused: the back end's own no, 4xx with its words, or 5xx with its name.
        """
        return self._object(await self._get(path, parameters, parent, seconds))

    async def get_list(self, path: str, parameters: Form, parent: Span) -> list[object]:
        """Return what :meth:`get` does where the back end answers with a JSON array."""
        found = await self._get(path, parameters, parent, _SECONDS)
        if not isinstance(found, list):
            raise self.rubbish()
        return cast("list[object]", found)

    async def post(self, path: str, parameters: Form, parent: Span) -> dict[str, object]:
        """Return what :meth:`get` does, for queries that may be too long for a URL."""
        headers = [*self._headers, (b"content-type", _FORM)]
        body = urlencode(parameters, doseq=True).encode()
        ask = Ask(method="POST", path=path, headers=headers, body=body, seconds=_SECONDS)
        return self._object(await self._ask(ask, parent))

    async def _get(self, path: str, parameters: Form, parent: Span, seconds: float) -> object:
        query = urlencode(parameters, doseq=True).encode()
        return await self._ask(
            Ask(method="GET", path=path, query=query, headers=self._headers, seconds=seconds), parent
        )

    async def _ask(self, ask: Ask, parent: Span) -> object:
        backend = self.backend
        span, context = self._tracing.client_span(
            parent, method=ask.method, backend=backend.name, host=backend.host, port=backend.port
        )
        traced = Ask(
            method=ask.method,
            path=ask.path,
            query=ask.query,
            headers=ask.headers + context,
            body=ask.body,
            seconds=ask.seconds,
        )
        try:
            body = bytearray()
            async with backend.ask(traced) as response:
                span.set_attribute("http.response.status_code", response.status_code)
                async for chunk in backend.chunks(response, limit=self._answer_bytes):
                    body += chunk
                    if len(body) > LARGE_BYTES:
                        await self._large.wait()
            if not response.is_success:
                raise self._no(response, bytes(body))
            return self._document(bytes(body))
        except BackendError as error:
            span.set_attribute("error.type", error.kind)
            # Not the sentence: it may hold words of the back end about the query.
            span.set_status(StatusCode.ERROR, error.kind)
            raise
        finally:
            span.end()

    def _document(self, body: bytes) -> object:
        # Not in a thread: the parser lets nobody else run anyway, and every thread would keep memory of its own.
        try:
            return from_json(body)
        except ValueError:
            raise self.rubbish() from None

    def _object(self, document: object) -> dict[str, object]:
        if not isinstance(document, dict):
            raise self.rubbish()
        return cast("dict[str, object]", document)

    def rubbish(self) -> BackendError:
        """Return the error of an answer in a form that the back end's documentation does not know."""
        return self.backend.error(502, "bad_gateway", "content", f"{self.backend.name} answered in an unknown form")

    def _no(self, response: httpx2.Response, body: bytes) -> Refused:
        status = response.status_code
        said = words(body)
        if _CLIENT_ERROR <= status < _SERVER_ERROR and status not in _ABOUT_US:
            return Refused(status, "bad_data", said or f"{self.backend.name} answered {status}")
        sentence = f"{self.backend.name} answered {status}" + (f": {said}" if said else "")
        passed = status if status in _PASSED_ON else 502
        return self.backend.error(passed, "bad_gateway", "status", sentence)


def words(body: bytes) -> str:
    """Return the sentence of an error, from the forms of Prometheus, Grafana, Jaeger and plain text."""
    try:
        document: object = from_json(body)
    except ValueError:
        text = body[: 4 * _WORDS].decode("utf-8", "replace")
        return "" if text.lstrip().startswith("<") else " ".join(text.split())[:_WORDS]
    if not isinstance(document, dict):
        return ""
    said = cast("dict[str, object]", document)
    found = said.get("error") or said.get("message")
    errors = said.get("errors")
    if not found and isinstance(errors, list) and errors:
        first = cast("list[object]", errors)[0]
        found = cast("dict[str, object]", first).get("msg") if isinstance(first, dict) else None
    return found[:_WORDS] if isinstance(found, str) else ""
