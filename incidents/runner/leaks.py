"""Looks for the answer in everything that an agent can read: an incident's name, a run's id, the runner itself."""

import asyncio
import json
import re
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Final, TypeVar

from incidents.model import Incident
from incidents.runner.database import Database
from incidents.runner.gateway import Gateway
from incidents.runner.problems import UnreachableError
from incidents.runner.settings import RunnerSettings

__all__ = ["Leaks", "pattern"]

_Answer = TypeVar("_Answer")
_WINDOW_SECONDS: Final = 300
_SLICE_SECONDS: Final = 60
"""Of lines searched at a time: Loki reads some megabytes a second, and an incident may have written twenty."""
_ATTEMPTS: Final = 3
"""Of a question: right after an incident a store may be slower than the gateway waits."""
_MOST_TRACES: Final = 20
_SHOWN: Final = 60
_AT_A_TIME: Final = 8
"""Requests; the gateway refuses what a back end has no room for."""
_SERVICES: Final = ("payment-service", "gateway")
_NO_SUCH_PAGE: Final = (403, 404)
"""What the gateway answers for a page that another kind of store would have."""
_NOT_IN_TIME: Final = (None, 503, 504)
_DATABASE: Final = {
    "pg_stat_activity": "SELECT string_agg(concat_ws(' ', usename, application_name, query), E'\\n')"
    " FROM pg_stat_activity WHERE pid <> pg_backend_pid()",
    "pg_stat_statements": "SELECT string_agg(query, E'\\n') FROM pg_stat_statements",
    "pg_class": "SELECT string_agg(relname, E'\\n') FROM pg_class",
    "pg_roles": "SELECT string_agg(rolname, E'\\n') FROM pg_roles",
    "pg_settings": "SELECT string_agg(name || ' ' || setting, E'\\n') FROM pg_settings",
    "pg_replication_slots": "SELECT string_agg(slot_name, E'\\n') FROM pg_replication_slots",
    "pg_constraint": "SELECT string_agg(conname, E'\\n') FROM pg_constraint",
    "pg_description": "SELECT string_agg(description, E'\\n') FROM pg_description"
    " WHERE classoid = 'pg_class'::regclass",
}


def pattern(incidents: Iterable[Incident], run: str = "") -> str:
    """A regular expression (RE2, to be matched without case) for every word that must not appear.

    Alternatives of plain text only: Loki searches for those three times as fast as for expressions.

    Args:
        incidents: whose names are looked for, in every way of writing them.
        run: id of a run, if there is one.
    """
    names = (one.name.replace("-", written) for one in incidents for written in ("-", "_", ""))
    return "|".join(["incident", *names, *([run] if run else [])])


class Leaks:
    """Reads every store through the gateway, and the database as an operator.

    Args:
        settings: where the fronts are.
        incidents: whose names are looked for.
        gateway: what an agent asks, too.
        database: what an agent could be shown of it.
    """

    def __init__(
        self, settings: RunnerSettings, incidents: Iterable[Incident], gateway: Gateway, database: Database
    ) -> None:
        self._settings = settings
        self._incidents = tuple(incidents)
        self._gateway = gateway
        self._database = database
        self._turns = asyncio.Semaphore(_AT_A_TIME)

    async def look(self, run: str) -> list[str]:
        """What was found, one sentence each; empty if there is no leak.

        Args:
            run: id of the run under way.

        Raises:
            UnreachableError: a store does not answer, so nothing can be said of it.
        """
        wanted = pattern(self._incidents, run)
        found = await asyncio.gather(
            self._metrics(wanted), self._logs(wanted), self._traces(wanted), self._in_database(wanted)
        )
        return [leak for leaks in found for leak in leaks]

    async def _metrics(self, wanted: str) -> list[str]:
        base = f"{self._settings.prometheus_url}/api/v1"
        labels: list[str] = (await self._get(f"{base}/labels"))["data"]
        pages = {f"values of the label {label}": f"{base}/label/{label}/values" for label in labels} | {
            page: f"{base}/{page}" for page in ("labels", "metadata", "rules", "targets", "alerts", "alertmanagers")
        }
        return await self._grep("Prometheus", wanted, pages)

    async def _logs(self, wanted: str) -> list[str]:
        base = f"{self._settings.loki_url}/loki/api/v1"
        labels: list[str] = (await self._get(f"{base}/labels")).get("data") or []
        pages = {f"values of the label {label}": f"{base}/label/{label}/values" for label in labels}
        leaks = await self._grep("Loki", wanted, pages)
        lines = 0.0
        for ago in range(0, _WINDOW_SECONDS, _SLICE_SECONDS):
            stretch = f"[{_SLICE_SECONDS}s] offset {ago}s"
            query = f'sum(count_over_time({{service_name=~".+"}} |~ `(?i){wanted}` {stretch}))'
            lines += sum(count for _, count in await _patiently(lambda query=query: self._gateway.logql(query)))
        if lines:
            leaks.append(f"Loki: {lines:.0f} lines match")
        # Structured metadata is no part of the line.
        now = time.time()
        sample = await self._get(
            f"{base}/query_range",
            {"query": '{service_name=~".+"}', "start": int(now - _WINDOW_SECONDS), "end": int(now), "limit": 1000},
        )
        streams = json.dumps([stream["stream"] for stream in sample["data"]["result"]])
        return [*leaks, *_matches("Loki: metadata of lines", wanted, streams)]

    async def _traces(self, wanted: str) -> list[str]:
        base, now = self._settings.traces_url, time.time()
        search = {"q": "{}", "start": int(now - _WINDOW_SECONDS), "end": int(now) + 1, "limit": _MOST_TRACES}
        found: list[dict[str, str]] = (await self._get(f"{base}/api/search", search)).get("traces") or []
        pages = {f"trace {one['traceID']}": f"{base}/api/traces/{one['traceID']}" for one in found}
        # Tempo's names and Jaeger's: whichever stores the traces has one of them.
        pages |= {f"tag {tag}": f"{base}/api/v2/search/tag/{tag}/values" for tag in ("resource.service.name", "name")}
        pages["services"] = f"{base}/api/services"
        pages |= {f"operations of {name}": f"{base}/api/services/{name}/operations" for name in _SERVICES}
        return await self._grep("traces", wanted, pages)

    async def _in_database(self, wanted: str) -> list[str]:
        leaks: list[str] = []
        for name, sql in _DATABASE.items():
            leaks += _matches(f"PostgreSQL: {name}", wanted, str(await self._database.ask(sql) or ""))
        return leaks

    async def _grep(self, store: str, wanted: str, pages: dict[str, str]) -> list[str]:
        answers = await asyncio.gather(*(self._page(url) for url in pages.values()))
        return [
            leak
            for page, text in zip(pages, answers, strict=True)
            for leak in _matches(f"{store}: {page}", wanted, text)
        ]

    async def _page(self, url: str) -> str:
        try:
            async with self._turns:
                return json.dumps(await self._get(url))
        except UnreachableError as error:
            if error.http_status in _NO_SUCH_PAGE:
                return ""
            raise

    async def _get(self, url: str, parameters: Mapping[str, Any] | None = None) -> dict[str, Any]:
        return await _patiently(lambda: self._gateway.get(url, parameters))


async def _patiently(ask: Callable[[], Awaitable[_Answer]]) -> _Answer:
    """The answer, asked for again where none came in time; a refusal is one, and stays."""
    for _ in range(_ATTEMPTS - 1):
        try:
            return await ask()
        except UnreachableError as error:
            if error.http_status not in _NOT_IN_TIME:
                raise
    return await ask()


def _matches(where: str, wanted: str, text: str) -> list[str]:
    match = re.search(wanted, text, re.IGNORECASE)
    if match is None:
        return []
    start = max(0, match.start() - _SHOWN // 2)
    return [f"{where}: …{text[start : match.end() + _SHOWN // 2]}…"]
