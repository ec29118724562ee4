"""Talks to the incident runner of a stack."""

import getpass
import json
import os
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

import httpx

from cli.session import Session
from infra.errors import DemoError
from infra.outputs import OWNER_TOKEN, PRESENTER_TOKEN, RUNNER_URL

__all__ = ["RunnerClient", "RunnerError", "holder"]

URL_VARIABLE: Final = "INCIDENT_RUNNER_URL"
TOKEN_VARIABLE: Final = "INCIDENT_RUNNER_TOKEN"  # noqa: S105  # a variable's name
_TIMEOUT = httpx.Timeout(10.0, read=60.0)
# The longest silence of an operation: while it waits for the minute in which a service level has to hold.
_STREAM_TIMEOUT = httpx.Timeout(10.0, read=400.0)


class RunnerError(DemoError):
    """The runner refused, or something did not go as it should; the text is its own sentence."""


def holder() -> str:
    """Who runs incidents, as others see it."""
    return f"{getpass.getuser()}@{socket.gethostname()}"


@dataclass(frozen=True, slots=True)
class RunnerClient:
    """The runner's API.

    Attributes:
        url: base URL.
        token: the presenter's or the owner's.
    """

    url: str
    token: str

    @classmethod
    def of(cls, session: Callable[[], Session], *, owner: bool) -> "RunnerClient":
        """The runner that the environment names, else the stack's.

        Args:
            session: the stack, asked for only if the environment names no runner.
            owner: whether to show the owner's token.

        Raises:
            DemoError: the stack is not complete.
        """
        url, token = os.environ.get(URL_VARIABLE), os.environ.get(TOKEN_VARIABLE)
        if url and token:
            return cls(url.rstrip("/"), token)
        stack = session()
        outputs: Mapping[str, Any] = stack.pulumi.outputs()
        try:
            return cls(str(outputs[RUNNER_URL]), str(outputs[OWNER_TOKEN if owner else PRESENTER_TOKEN]))
        except KeyError:
            raise DemoError(
                f"The stack {stack.stack} has no incident runner yet; run ./demo up {stack.stack}."
            ) from None

    def get(self, path: str) -> Any:  # noqa: ANN401  # whatever the runner answers
        """An answer as JSON.

        Raises:
            RunnerError: it refuses, or does not answer.
        """
        try:
            answer = httpx.get(f"{self.url}{path}", headers=self._headers, timeout=_TIMEOUT, trust_env=False)
        except httpx.HTTPError as error:
            raise self._silent(error) from None
        _check(answer)
        return answer.json()

    def run(self, path: str, wish: Mapping[str, Any], watch: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
        """Have something done.

        Args:
            path: of the operation.
            wish: what is asked for.
            watch: is given each event as it comes.

        Returns:
            The result.

        Raises:
            RunnerError: it was refused or failed.
        """
        body = {"holder": holder(), **wish}
        try:
            with httpx.stream(
                "POST", f"{self.url}{path}", headers=self._headers, json=body, timeout=_STREAM_TIMEOUT, trust_env=False
            ) as answer:
                if not answer.is_success:
                    answer.read()
                _check(answer)
                for line in answer.iter_lines():
                    event = cast("dict[str, Any]", json.loads(line))
                    if event["event"] == "result":
                        return {key: value for key, value in event.items() if key != "event"}
                    if event["event"] == "error":
                        raise RunnerError(str(event["error"]))
                    watch(event)
        except httpx.HTTPError as error:
            raise self._silent(error) from None
        raise RunnerError("The incident runner ended in the middle; ./demo incident status says what is left.")

    @property
    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}

    def _silent(self, error: httpx.HTTPError) -> RunnerError:
        return RunnerError(
            f"The incident runner at {self.url} does not answer ({type(error).__name__}); "
            "./demo status says whether it runs, and a stack on a cluster needs ./demo tunnel."
        )


def _check(answer: httpx.Response) -> None:
    if answer.is_success:
        return
    try:
        sentence = str(answer.json()["error"])
    except (ValueError, KeyError, TypeError):
        sentence = f"The incident runner answers with status {answer.status_code}."
    raise RunnerError(sentence)
