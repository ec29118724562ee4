"""The leak test itself: it looks everywhere, and it finds what is there."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, cast

import pytest

from incidents.runner.leaks import Leaks, pattern
from incidents.runner.problems import UnreachableError
from incidents.runner.settings import RunnerSettings
from tests.incidents.support import make_incident

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

pytestmark = pytest.mark.anyio
RUN = "8f3e2a"


class Stores:
    """Answers of the gateway; one page of them can be made to leak."""

    def __init__(self, leaks: str = "", word: str = "") -> None:
        self.leaks, self.word = leaks, word
        self.pages: list[str] = []

    async def get(self, url: str, _parameters: Mapping[str, Any] | None = None) -> dict[str, Any]:
        self.pages.append(url)
        text = self.word if self.leaks and self.leaks in url else "nothing"
        if url.endswith("/alertmanagers"):
            raise UnreachableError("no such page", 404)
        if url.endswith("/labels"):
            return {"data": ["job", text]}
        if url.endswith("/query_range"):
            return {"data": {"result": [{"stream": {"service_name": text}, "values": []}]}}
        if url.endswith("/api/search"):
            return {"traces": [{"traceID": "abc"}]}
        return {"data": [text]}

    async def logql(self, query: str) -> list[tuple[dict[str, str], float]]:
        self.pages.append(query)
        return [({}, 2.0)] if self.leaks == "lines" and query.endswith("[60s] offset 240s))") else []


class Catalogues:
    def __init__(self, word: str) -> None:
        self.word = word

    async def ask(self, sql: str) -> str:
        return self.word if "pg_roles" in sql else "payments\nNone"


def leaks(tmp_path: Path, stores: Stores, roles: str = "dba") -> Leaks:
    incident = make_incident(tmp_path / "things_lost")
    return Leaks(RunnerSettings(), [incident], cast("Any", stores), cast("Any", Catalogues(roles)))


async def test_nothing_is_found_where_nothing_is_and_every_store_is_read(tmp_path: Path) -> None:
    stores = Stores()
    assert await leaks(tmp_path, stores).look(RUN) == []
    read = " ".join(stores.pages)
    for page in ("9090/api/v1/label/job/values", "metadata", "rules", "targets", "alerts", "3100/loki", "traces/abc"):
        assert page in read


@pytest.mark.parametrize("word", ["things-lost", "ThingsLost", "THINGS_LOST", "an incident", RUN])
@pytest.mark.parametrize(
    "page",
    [
        "label/job/values",
        "9090/api/v1/labels",
        "metadata",
        "rules",
        "targets",
        "query_range",
        "api/traces/abc",
        "tag/name",
    ],
)
async def test_a_word_in_any_store_is_found(tmp_path: Path, page: str, word: str) -> None:
    found = await leaks(tmp_path, Stores(page, word)).look(RUN)
    assert found
    assert word in found[0]


async def test_lines_and_roles_are_found(tmp_path: Path) -> None:
    assert await leaks(tmp_path, Stores("lines")).look(RUN) == ["Loki: 2 lines match"]
    assert await leaks(tmp_path, Stores(), "incident_runner").look(RUN) == ["PostgreSQL: pg_roles: …incident_runner…"]


class Late(Stores):
    """One page is answered at the third time of asking, if at all."""

    def __init__(self, answered: int, status: int | None) -> None:
        super().__init__()
        self.answered, self.status = answered, status

    async def get(self, url: str, _parameters: Mapping[str, Any] | None = None) -> dict[str, Any]:
        answer = await super().get(url, _parameters)
        if url.endswith("/metadata") and self.pages.count(url) < self.answered:
            raise UnreachableError("ReadTimeout", self.status)
        return answer


@pytest.mark.parametrize("status", [None, 504])
async def test_a_store_that_is_slow_is_asked_again_but_not_for_ever(tmp_path: Path, status: int | None) -> None:
    assert await leaks(tmp_path, Late(3, status)).look(RUN) == []
    with pytest.raises(UnreachableError):
        await leaks(tmp_path, Late(4, status)).look(RUN)


async def test_a_refusal_is_not_asked_for_again(tmp_path: Path) -> None:
    with pytest.raises(UnreachableError):
        await leaks(tmp_path, Late(2, 422)).look(RUN)


def test_words_for_symptoms_are_no_leak(tmp_path: Path) -> None:
    wanted = pattern([make_incident(tmp_path / "a", "deadlock-storm"), make_incident(tmp_path / "b", "hot-row")], RUN)
    for harmless in ("deadlock detected", "checkpoint", "hot rows", "idle in transaction", "lock"):
        assert not re.search(wanted, harmless, re.IGNORECASE)
