"""The payment service's live settings, as its operators change them."""

from collections.abc import Mapping
from typing import Any

import httpx2 as httpx

from incidents.runner.problems import RefusedError, UnreachableError

__all__ = ["AppSettings"]

_TIMEOUT = 15.0


class AppSettings:
    """Reads and changes them on the admin port.

    Args:
        url: of the admin port.
        client: an HTTP client that the caller closes.
    """

    def __init__(self, url: str, client: httpx.AsyncClient) -> None:
        self._url = f"{url}/settings"
        self._client = client

    async def read(self) -> dict[str, Any]:
        """The values in force.

        Raises:
            UnreachableError: the payment service does not answer.
        """
        return await self._call("GET", None)

    async def change(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Bring values into force; all of them or none.

        Raises:
            RefusedError: a name is unknown or a value impossible.
            UnreachableError: the payment service does not answer.
        """
        return await self._call("PATCH", dict(values))

    async def _call(self, method: str, body: dict[str, Any] | None) -> dict[str, Any]:
        try:
            answer = await self._client.request(method, self._url, json=body, timeout=_TIMEOUT)
        except httpx.HTTPError as error:
            raise UnreachableError(f"The payment service's settings do not answer: {type(error).__name__}.") from None
        if answer.is_client_error:
            raise RefusedError(f"The payment service refuses these settings: {answer.text[:300]}")
        if not answer.is_success:
            raise UnreachableError(f"The payment service's settings answer with {answer.status_code}.")
        values: dict[str, Any] = answer.json()
        return values
