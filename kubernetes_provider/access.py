"""The API server: credentials by kr8s, one pool of connections, retries for a bounded time.

kr8s' own ``call_api`` closes its session and opens another when one request is refused, which would end all that
run at the same time, watches too; and it has one time-out for everything. So only the credentials are its business.
"""

import asyncio
import json
import tempfile
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final, cast

import httpx

from kubernetes_provider.faults import ProviderFault, Unreachable, api_fault
from kubernetes_provider.paths import Json

__all__ = ["Access", "Address"]

_ANSWER_SECONDS: Final = 30.0
_CONNECT_SECONDS: Final = 5.0
_RETRY_SECONDS: Final = 30.0
"""How long an API server may be away: one that is restarted is back within a few seconds."""
_AT_ONCE: Final = 8
"""Requests at the same time, watches apart: more of them only mean more connections to open and to look through."""
_PAUSES: Final = (0.2, 0.5, 1.0, 2.0)
_BUSY: Final = frozenset({429, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class Address:
    """Which cluster: a kubeconfig (a path, or its content) and the context in it."""

    kubeconfig: str | None
    context: str

    @property
    def content(self) -> dict[str, Json] | None:
        """The kubeconfig's content if that is what was given, not a path.

        Raises:
            ProviderFault: it is neither a path nor a kubeconfig.
        """
        text = self.kubeconfig or ""
        if "\n" not in text and not text.lstrip().startswith("{"):
            return None
        import yaml  # noqa: PLC0415 # a path is what is usually given

        try:
            content = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise ProviderFault("The provider's kubeconfig is neither a path nor valid YAML.") from error
        if not isinstance(content, dict):
            raise ProviderFault("The provider's kubeconfig is neither a path nor a kubeconfig.")
        return cast("dict[str, Json]", content)


@dataclass(slots=True)
class Access:
    """Sends requests to one API server; safe for use by many tasks at once."""

    address: Address
    retry_seconds: float = _RETRY_SECONDS
    _client: httpx.AsyncClient | None = None
    _sni: dict[str, str] = field(default_factory=dict[str, str])
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    _slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_AT_ONCE))
    _gone: bool = False

    async def request(
        self,
        method: str,
        path: str,
        *,
        what: str,
        parameters: Mapping[str, str] | None = None,
        body: Json = None,
        content_type: str = "application/json",
    ) -> dict[str, Json]:
        """The answer to a request, which must be one that may be sent twice.

        ``what`` names the object for messages.

        Raises:
            ApiFault: the API server refused it.
            Unreachable: it did not answer within ``retry_seconds``.
        """
        response = await self._send(method, path, parameters, body, content_type)
        answer = _json(response.content)
        if response.is_error:
            raise api_fault(what, response.status_code, answer)
        return answer

    async def text(self, path: str, *, what: str, parameters: Mapping[str, str]) -> str:
        """The answer to a GET as text: a container's log.

        Raises:
            ApiFault: the API server refused it.
            Unreachable: it did not answer within ``retry_seconds``.
        """
        response = await self._send("GET", path, parameters, None, "application/json")
        if response.is_error:
            raise api_fault(what, response.status_code, _json(response.content))
        return response.text

    @asynccontextmanager
    async def stream(self, path: str, *, what: str, parameters: Mapping[str, str]) -> AsyncGenerator[httpx.Response]:
        """The open answer to a watch. Its end, and what breaks it, is the caller's: ``httpx.TransportError``.

        Raises:
            ApiFault: the API server refused it.
        """
        client = await self._connected()
        timeout = httpx.Timeout(_ANSWER_SECONDS, read=None, pool=None, connect=_CONNECT_SECONDS)
        async with client.stream(
            "GET", path, params=dict(parameters), timeout=timeout, extensions=self._sni
        ) as response:
            if response.is_error:
                raise api_fault(what, response.status_code, _json(await response.aread()))
            yield response

    async def close(self) -> None:
        """End the connections."""
        if self._client:
            await self._client.aclose()
            self._client = None

    async def _send(
        self, method: str, path: str, parameters: Mapping[str, str] | None, body: Json, content_type: str
    ) -> httpx.Response:
        content = None if body is None else json.dumps(body)
        headers = {"Content-Type": content_type} if content is not None else {}
        # Once it stayed away, every other request has one attempt: a stack of sixty objects must not wait sixty times.
        give_up = time.monotonic() + (0.0 if self._gone else self.retry_seconds)
        attempt = 0
        while True:
            reason: str
            try:
                client = await self._connected()
                async with self._slots:
                    response = await client.request(
                        method,
                        path,
                        params=dict(parameters or {}),
                        content=content,
                        headers=headers,
                        extensions=self._sni,
                    )
                if response.status_code == HTTPStatus.UNAUTHORIZED and attempt == 0:
                    await self._forget(client)  # a token may have expired
                    attempt += 1
                    continue
                if response.status_code not in _BUSY:
                    self._gone = False
                    return response
                reason = f"it answers {response.status_code}"
            except httpx.TimeoutException:
                reason = "it does not answer in time"
            except httpx.TransportError as error:
                reason = str(error) or type(error).__name__
            pause = _PAUSES[min(attempt, len(_PAUSES) - 1)]
            attempt += 1
            if time.monotonic() + pause > give_up:
                self._gone = True
                raise Unreachable(f"The API server of the context {self.address.context} cannot be reached: {reason}.")
            await asyncio.sleep(pause)

    async def _forget(self, client: httpx.AsyncClient) -> None:
        async with self._lock:
            if self._client is client:
                self._client = None

    async def _connected(self) -> httpx.AsyncClient:
        async with self._lock:
            if self._client is None:
                self._client = await self._connect()
            return self._client

    async def _connect(self) -> httpx.AsyncClient:
        """A client with the credentials of the context.

        Raises:
            ProviderFault: the kubeconfig has no such context, or its credentials cannot be had.
        """
        # Importing takes a third of a second, which others do not wait for; api() would ask for the server's version.
        from kr8s._auth import KubeAuth  # noqa: PLC0415

        # kr8s writes keys from a kubeconfig to temporary files and leaves them there.
        with tempfile.TemporaryDirectory(prefix="compass-demo-") as private:
            before, tempfile.tempdir = tempfile.tempdir, private
            try:
                auth = KubeAuth(
                    kubeconfig=cast("Json", self.address.content or self.address.kubeconfig),
                    context=self.address.context,
                    serviceaccount="",
                )
                async with asyncio.timeout(_ANSWER_SECONDS):
                    await auth.reauthenticate()
                verify = await auth.ssl_context()
            except (ValueError, KeyError, IndexError, OSError, RuntimeError, TimeoutError) as error:
                where = "the given kubeconfig" if self.address.content else self.address.kubeconfig or "your kubeconfig"
                raise ProviderFault(
                    f"The context {self.address.context} of {where} cannot be used: {error}."
                ) from error
            finally:
                tempfile.tempdir = before
        self._sni = {"sni_hostname": auth.tls_server_name} if auth.tls_server_name else {}
        return httpx.AsyncClient(
            base_url=auth.server,
            verify=verify,
            headers={"Authorization": f"Bearer {auth.token}"} if auth.token else {},
            timeout=httpx.Timeout(_ANSWER_SECONDS, connect=_CONNECT_SECONDS, pool=None),
            limits=httpx.Limits(max_connections=64, max_keepalive_connections=32),
            proxy=auth.proxy,
            trust_env=False,
        )


def _json(content: bytes) -> dict[str, Json]:
    try:
        answer = json.loads(content)
    except ValueError:
        return {"message": content[:200].decode(errors="replace")}
    return cast("dict[str, Json]", answer) if isinstance(answer, dict) else {}
