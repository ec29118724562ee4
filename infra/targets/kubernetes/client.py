"""A thin client of a cluster: paths in, JSON out, sentences instead of a library's exceptions."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# The library's answers are the server's JSON; every value is given a type here, before anyone else sees it.

import asyncio
import contextlib
import json
import ssl
import tempfile
import threading
import warnings
from collections.abc import Coroutine, Generator, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Final, TypeVar

from infra.errors import ClusterError
from infra.paths import LAB_CONTEXT
from infra.targets.kubernetes.kube import KubeAccess

__all__ = ["Forbidden", "KubeClient", "Unreachable"]

T = TypeVar("T")

_CONNECT_SECONDS: Final = 10
_ANSWER_SECONDS: Final = 30
_PARALLEL: Final = 16


class Unreachable(ClusterError):  # noqa: N818 # reads as what it says of the cluster
    """The API server does not answer."""


class Forbidden(ClusterError):  # noqa: N818 # the server's own word
    """The cluster knows us and says no."""


class _Loop:
    """An event loop in a thread of its own; the library is asynchronous and its callers are not."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, name="kubernetes", daemon=True).start()

    def start(self, work: Coroutine[Any, Any, T]) -> "Future[T]":
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        future = self.start(work)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise


class KubeClient:
    """A cluster that answers, by the paths of its API. Methods may be called from any thread."""

    def __init__(self, access: KubeAccess, api: Any, loop: _Loop) -> None:  # noqa: ANN401 # the library is imported late
        self.access = access
        self.api = api
        self._loop = loop

    @classmethod
    def connect(cls, access: KubeAccess, *, timeout_seconds: float = _CONNECT_SECONDS) -> "KubeClient":
        """Connect, and find out that the server answers.

        Raises:
            Unreachable: it does not within the time.
            Forbidden: it does not accept these credentials.
            ClusterError: the kubeconfig's credentials cannot be used.
        """
        import kr8s  # noqa: PLC0415 # takes 0.4 s, which commands on Docker save

        async def open_api() -> Any:  # noqa: ANN401
            kubeconfig = str(access.kubeconfig) if access.kubeconfig else None
            with warnings.catch_warnings():
                # That the server is newer than the library knows is no news for the person who runs a demo.
                warnings.simplefilter("ignore")
                # Without a namespace the library asks the current context for one, which need not exist.
                return await kr8s.asyncio.api(kubeconfig=kubeconfig, context=access.context, namespace="default")

        loop = _Loop()
        with _sentences(access):
            api: Any = loop.run(asyncio.wait_for(open_api(), timeout_seconds))
        _forget_credentials(api)
        api.timeout = _ANSWER_SECONDS
        return cls(access, api, loop)

    @property
    def server(self) -> str:
        """The API server's address."""
        return str(self.api.auth.server)

    def get(self, path: str, **parameters: str) -> dict[str, Any] | None:
        """One object, or ``None`` if there is none.

        Raises:
            ClusterError: any answer but these two, as one sentence.
        """
        status, document = self._ask("GET", path, parameters)
        return None if status == 404 else _accepted(self.access, "get", path, status, document)  # noqa: PLR2004

    def items(self, path: str, **parameters: str) -> list[dict[str, Any]]:
        """All objects of a collection, none where the server does not know the kind or the namespace."""
        document = self.get(path, **parameters) or {}
        return list(document.get("items") or ())

    def items_of_all(self, paths: Iterable[str], **parameters: str) -> dict[str, list[dict[str, Any]]]:
        """Several collections at once; path -> objects."""
        wanted = list(paths)
        with ThreadPoolExecutor(min(_PARALLEL, len(wanted)) or 1) as pool:
            futures = [pool.submit(self.items, path, **parameters) for path in wanted]
            return {path: future.result() for path, future in zip(wanted, futures, strict=True)}

    def create(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Create an object in a collection; returns it as the server has it.

        Raises:
            ClusterError: the server refused it.
        """
        status, document = self._ask("POST", path, {}, body)
        return _accepted(self.access, "create", path, status, document)

    def replace(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Write an object that was read and changed.

        Raises:
            ClusterError: the server refused it, or somebody else has changed it since.
        """
        status, document = self._ask("PUT", path, {}, body)
        return _accepted(self.access, "change", path, status, document)

    def delete(self, path: str, *, grace_seconds: int | None = None) -> bool:
        """Delete an object; whether it was there.

        Raises:
            ClusterError: the server refused.
        """
        parameters = {} if grace_seconds is None else {"gracePeriodSeconds": str(grace_seconds)}
        status, document = self._ask("DELETE", path, parameters)
        if status == 404:  # noqa: PLR2004
            return False
        _accepted(self.access, "delete", path, status, document)
        return True

    def stream(self, path: str, parameters: Mapping[str, str], *, seconds: float | None) -> Iterator[bytes]:
        """What the server streams, as it comes; nothing from an object that is not there.

        Args:
            path: Such as a pod's log.
            parameters: Of the query.
            seconds: Longest silence; ``None`` waits for ever.
        """
        received: SimpleQueue[bytes | Exception | None] = SimpleQueue()

        async def pump() -> None:
            try:
                async with self.api.call_api(
                    "GET", **_split(path), params=dict(parameters), stream=True, raise_for_status=False, timeout=seconds
                ) as response:
                    if not response.is_error:
                        async for chunk in response.aiter_bytes():
                            received.put(chunk)
                received.put(None)
            except Exception as error:  # noqa: BLE001 # it is raised again below, in the caller's thread
                received.put(error)

        future = self._loop.start(pump())
        try:
            while (chunk := received.get()) is not None:
                if isinstance(chunk, Exception):
                    with _sentences(self.access):
                        raise chunk
                yield chunk
        finally:
            future.cancel()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine where the library lives."""
        return self._loop.run(work)

    def _ask(
        self, method: str, path: str, parameters: Mapping[str, str], body: Mapping[str, Any] | None = None
    ) -> tuple[int, dict[str, Any]]:
        async def call() -> tuple[int, dict[str, Any]]:
            content = None if body is None else json.dumps(body)
            # The library would ask three times more after a "forbidden", and write the credentials to files each time.
            async with self.api.call_api(
                method, **_split(path), params=dict(parameters), content=content, raise_for_status=False
            ) as response:
                try:
                    return int(response.status_code), dict(response.json())
                except ValueError:
                    return int(response.status_code), {"message": str(response.text)[:200]}

        with _sentences(self.access):
            return self._loop.run(call())


def _split(path: str) -> dict[str, str]:
    """A path as the library takes it: it joins two parts with a slash."""
    base, _, last = path.rpartition("/")
    return {"version": "", "base": base, "url": last} if base else {"version": "", "base": path, "url": ""}


def _accepted(access: KubeAccess, verb: str, path: str, status: int, document: dict[str, Any]) -> dict[str, Any]:
    if status < 400:  # noqa: PLR2004
        return document
    said = str(document.get("message") or f"HTTP {status}").rstrip(".")
    if status in {401, 403}:
        raise Forbidden(f"The cluster of the context {access.context} does not allow to {verb} {path}: {said}.")
    raise ClusterError(f"The cluster of the context {access.context} refused to {verb} {path}: {said}.")


@contextlib.contextmanager
def _sentences(access: KubeAccess) -> Generator[None]:
    """Turn what the library raises into a sentence."""
    import httpx  # noqa: PLC0415 # comes with the library
    import kr8s  # noqa: PLC0415

    advice = "./demo cluster up starts one" if access.context == LAB_CONTEXT else "check the network and the kubeconfig"
    gone = f"The API server of the context {access.context} does not answer"
    try:
        yield
    except (TimeoutError, kr8s.APITimeoutError):
        raise Unreachable(f"{gone} in time; {advice}, then try again.") from None
    except kr8s.ServerError as error:
        # Only the first question, for its version, is asked in the library's own way.
        raise Forbidden(f"The cluster of the context {access.context} does not let us in: {error}.") from None
    except ssl.SSLError as error:
        raise ClusterError(
            f"The API server of the context {access.context} is not who it should be: {error}."
        ) from None
    except httpx.HTTPError as error:
        raise Unreachable(f"{gone} ({_cause(error)}); {advice}, then try again.") from None
    except (ValueError, KeyError, RuntimeError, OSError) as error:
        # A kubeconfig that is not complete, or a program that it names for the credentials and that fails.
        raise ClusterError(f"The credentials of the context {access.context} cannot be used: {error}.") from None


def _cause(error: BaseException) -> str:
    return str(error) or type(error).__name__


def _forget_credentials(api: Any) -> None:  # noqa: ANN401 # the library is imported late
    """Delete the files that the library wrote the kubeconfig's inline certificate and key to, and never deletes.

    They are in the connection's TLS context by now.
    """
    folder = Path(tempfile.gettempdir())
    for name in ("client_key_file", "client_cert_file", "server_ca_file"):
        file = getattr(api.auth, name, None)
        if file and Path(file).parent == folder and Path(file).name.startswith(tempfile.gettempprefix()):
            Path(file).unlink(missing_ok=True)
