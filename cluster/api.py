"""The cluster's API as the parts of this package use it: JSON over HTTPS with a client certificate."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import requests

from cluster.layout import API_URL
from infra.errors import DemoError

__all__ = ["Api", "ApiError", "Document"]

Document = dict[str, Any]

_MANAGER: Final = "compass-demo-lab"
_WATCH_SECONDS: Final = 240


class ApiError(DemoError):
    """The API refused a request; ``code`` is its status, 0 if it did not answer."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


class Api:
    """One user's connection. Not for several threads at once."""

    def __init__(self, keys: Path, user: str = "admin", *, timeout_seconds: float = 10) -> None:
        self._session = requests.Session()
        self._session.trust_env = False  # a company's proxy cannot reach this machine's bridge
        self._session.verify = str(keys / "ca.crt")
        self._session.cert = (str(keys / f"{user}.crt"), str(keys / f"{user}.key"))
        self._timeout = timeout_seconds

    def not_ready(self) -> str:
        """Why the API does not serve; an empty string when it does."""
        try:
            answer = self._session.get(f"{API_URL}/readyz?verbose", timeout=self._timeout)
        except (requests.RequestException, OSError):
            return "it does not answer"
        if answer.ok:
            return ""
        failed = [line[3:].split()[0] for line in answer.text.splitlines() if line.startswith("[-]")]
        return f"not ready: {', '.join(failed)}" if failed else f"it answers {answer.status_code}"

    def get(self, path: str, **parameters: str) -> Document:
        """One object or a list.

        Raises:
            ApiError: refused, or no answer.
        """
        return self._request("GET", path, parameters=parameters)

    def find(self, path: str) -> Document | None:
        """One object, or ``None`` where there is none.

        Raises:
            ApiError: refused, or no answer.
        """
        try:
            return self.get(path)
        except ApiError as error:
            if error.code == requests.codes.not_found:
                return None
            raise

    def apply(self, path: str, document: Mapping[str, Any]) -> Document:
        """Make the object be as the document says (server-side apply, as the only manager).

        Raises:
            ApiError: refused, or no answer.
        """
        parameters = {"fieldManager": _MANAGER, "force": "true"}
        return self._request("PATCH", path, parameters=parameters, body=document, kind="application/apply-patch+yaml")

    def delete(self, path: str, **parameters: str) -> None:
        """Delete an object; one that is gone already is fine.

        Raises:
            ApiError: refused, or no answer.
        """
        try:
            self._request("DELETE", path, parameters=parameters)
        except ApiError as error:
            if error.code != requests.codes.not_found:
                raise

    def watch(self, path: str, version: str) -> Iterator[Document]:
        """Events after a version of the list, until the API ends the stream (minutes) or the connection breaks.

        Raises:
            ApiError: refused, or the connection broke.
        """
        parameters = {
            "watch": "1",
            "resourceVersion": version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(_WATCH_SECONDS),
        }
        try:
            with self._session.get(
                API_URL + path, params=parameters, stream=True, timeout=(self._timeout, _WATCH_SECONDS + 30)
            ) as answer:
                _check(answer, "GET", path)
                for line in answer.iter_lines():
                    if line:
                        yield json.loads(line)
        except (requests.RequestException, OSError, ValueError) as error:
            raise ApiError(f"The watch of {path} broke: {error}", 0) from None

    def _request(
        self,
        method: str,
        path: str,
        *,
        parameters: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        kind: str = "application/json",
    ) -> Document:
        try:
            answer = self._session.request(
                method,
                API_URL + path,
                params=parameters,
                data=None if body is None else json.dumps(body),
                headers={"Content-Type": kind} if body is not None else None,
                timeout=self._timeout,
            )
        except (requests.RequestException, OSError) as error:
            raise ApiError(f"The lab cluster's API at {API_URL} does not answer: {error}", 0) from None
        _check(answer, method, path)
        return answer.json()


def _check(answer: requests.Response, method: str, path: str) -> None:
    if answer.ok:
        return
    try:
        message = str(answer.json()["message"])
    except (ValueError, KeyError, TypeError):
        message = answer.text[:200]
    raise ApiError(f"The lab cluster's API refused {method} {path}: {message}", answer.status_code)
