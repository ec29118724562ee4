"""Asks the gateway, as an agent does: the same fronts, the same queries."""

import time
from collections.abc import Mapping
from typing import Any, cast

import httpx2 as httpx

from incidents.runner.problems import UnreachableError
from incidents.runner.settings import RunnerSettings, read_secret

__all__ = ["STEP_SECONDS", "Gateway", "Sample"]

_TIMEOUT = 25.0
"""The gateway gives a search 20 s; agents wait for 30."""
STEP_SECONDS = 5
"""Between two values of a range: as often as Prometheus scrapes."""
_MOST_TRACES = 50

Sample = tuple[Mapping[str, str], float]
"""Labels and value."""


class Gateway:
    """The three signals, and whether the stack answers.

    Args:
        settings: where the fronts are, and the token.
        client: an HTTP client that the caller closes.
    """

    def __init__(self, settings: RunnerSettings, client: httpx.AsyncClient) -> None:
        self._settings = settings
        self._client = client
        self._headers = {"Authorization": f"Bearer {read_secret(settings.gateway_token_file)}"}

    async def ready(self) -> str | None:
        """None if every service answers its probe, else what the gateway says of them."""
        try:
            answer = await self._client.get(f"{self._settings.gateway_url}/ready/stack", timeout=_TIMEOUT)
        except httpx.HTTPError as error:
            raise UnreachableError(f"The gateway does not answer: {type(error).__name__}.") from None
        return None if answer.is_success else answer.text.strip()

    async def promql(self, query: str) -> list[Sample]:
        """An instant query, now."""
        return await self._instant(f"{self._settings.prometheus_url}/api/v1/query", query)

    async def promql_range(self, query: str, seconds: float) -> list[float]:
        """Every value of every series in the last ``seconds``."""
        return await self._range(f"{self._settings.prometheus_url}/api/v1/query_range", query, seconds)

    async def logql(self, query: str) -> list[Sample]:
        """A metric query over logs, now."""
        return await self._instant(f"{self._settings.loki_url}/loki/api/v1/query", query)

    async def logql_range(self, query: str, seconds: float) -> list[float]:
        """Every value of a metric query over logs in the last ``seconds``."""
        return await self._range(f"{self._settings.loki_url}/loki/api/v1/query_range", query, seconds)

    async def traceql(self, query: str, start: float, end: float, *, most: int = _MOST_TRACES) -> int:
        """How many traces of a stretch of time match, at most so many (the search ends there)."""
        limit = max(1, min(most, _MOST_TRACES))
        parameters = {"q": query, "start": int(start), "end": int(end) + 1, "limit": limit}
        document = await self.get(f"{self._settings.traces_url}/api/search", parameters)
        return len(document.get("traces") or ())

    async def get(self, url: str, parameters: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Any answer of the gateway, as JSON.

        Raises:
            UnreachableError: it does not come, or is a refusal.
        """
        try:
            answer = await self._client.get(url, params=parameters, headers=self._headers, timeout=_TIMEOUT)
        except httpx.HTTPError as error:
            raise UnreachableError(f"The gateway does not answer {url}: {type(error).__name__}.") from None
        if not answer.is_success:
            sentence = f"The gateway answers {url} with {answer.status_code}: {answer.text[:300]}"
            raise UnreachableError(sentence, answer.status_code)
        document: Any = answer.json()
        return cast("dict[str, Any]", document) if isinstance(document, dict) else {"data": document}

    async def _instant(self, url: str, query: str) -> list[Sample]:
        data = (await self.get(url, {"query": query}))["data"]
        if data["resultType"] == "scalar":
            return [({}, float(data["result"][1]))]
        return [(sample["metric"], float(sample["value"][1])) for sample in data["result"]]

    async def _range(self, url: str, query: str, seconds: float) -> list[float]:
        now = time.time()
        parameters = {"query": query, "start": f"{now - seconds:.3f}", "end": f"{now:.3f}", "step": f"{STEP_SECONDS}s"}
        data = (await self.get(url, parameters))["data"]
        return [float(value) for series in data["result"] for _, value in series["values"]]
