"""The runner's API: tokens, bad input, streams, and COMPASS's names."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import httpx2 as httpx
import pytest

from incidents.runner.app import make_app
from tests.incidents.support import OWNER, PRESENTER, Runner, until

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

pytestmark = pytest.mark.anyio


@pytest.fixture
async def client(runner: Runner, monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[httpx.AsyncClient]:
    monkeypatch.setattr("incidents.runner.app.find", lambda name: runner.engine.incidents[name])  # pyright: ignore[reportUnknownArgumentType, reportUnknownLambdaType]
    transport = httpx.ASGITransport(make_app(runner.settings, runner.engine, runner.operations))
    async with httpx.AsyncClient(
        transport=transport, base_url="http://runner", headers={"Authorization": f"Bearer {PRESENTER}"}
    ) as opened:
        yield opened


async def events(client: httpx.AsyncClient, path: str, **body: Any) -> list[dict[str, Any]]:
    answer = await client.post(path, json={"holder": "anna@laptop", **body})
    assert answer.status_code == 200, answer.text
    return [json.loads(line) for line in answer.text.splitlines()]


@pytest.mark.parametrize("path", ["/incidents", "/incidents/things-lost", "/status"])
@pytest.mark.parametrize("token", ["", "Bearer wrong", "Bearer "])
async def test_nothing_is_told_without_a_token(client: httpx.AsyncClient, path: str, token: str) -> None:
    answer = await client.get(path, headers={"Authorization": token})
    assert answer.status_code == 401
    assert "things" not in answer.text


@pytest.mark.parametrize("path", ["/start", "/stop", "/verify", "/watch", "/score", "/trigger-incident"])
async def test_nothing_is_done_without_a_token(client: httpx.AsyncClient, runner: Runner, path: str) -> None:
    answer = await client.post(path, json={"name": "things-lost"}, headers={"Authorization": "Bearer wrong"})
    assert answer.status_code == 401
    assert runner.state.active() == []


async def test_readiness_needs_no_token(client: httpx.AsyncClient) -> None:
    assert (await client.get("/ready", headers={"Authorization": ""})).json() == {"ready": True}


async def test_a_description_spoils_nothing_unless_asked(client: httpx.AsyncClient) -> None:
    plain = (await client.get("/incidents/things-lost")).json()
    assert set(plain) == {"name", "title", "kind", "summary", "ask"}
    answer = (await client.get("/incidents/things-lost?answer=true")).json()
    assert answer["evidence"][0]["query"] == "metric"


async def test_a_start_is_a_stream_that_ends_with_its_result(client: httpx.AsyncClient) -> None:
    lines = await events(client, "/start", name="things-lost")
    assert lines[-1]["event"] == "result"
    assert lines[-1]["proven"]
    status = (await client.get("/status")).json()
    assert [one["name"] for one in status["active"]] == ["things-lost"]
    assert status["lease"]["holder"] == "anna@laptop"
    stopped = await events(client, "/stop")
    assert stopped[-1]["stopped"] == ["things-lost"]


async def test_a_refusal_is_one_sentence(client: httpx.AsyncClient, runner: Runner) -> None:
    runner.world.success = 0.5
    lines = await events(client, "/start", name="things-lost")
    assert lines[-1]["event"] == "error"
    assert "50.0% of payments succeed" in lines[-1]["error"]


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"{", "the body is not JSON"),
        (b'{"nmae": "x"}', "nmae: Extra inputs are not permitted"),
        (b'{"seconds": -1}', "seconds: "),
        (b"[]", "body: "),
        (b" " * (1 << 20) + b"{}", "larger than 1 MiB"),
    ],
)
async def test_bad_input_is_told(client: httpx.AsyncClient, body: bytes, sentence: str) -> None:
    answer = await client.post("/stop", content=body)
    assert answer.status_code == 400
    assert sentence in answer.json()["error"]


async def test_a_score_needs_an_active_incident_and_a_fix_that_is_one(client: httpx.AsyncClient) -> None:
    answer = await client.post("/score", json={"name": "things-lost", "fix_sql": " -- nothing\n"})
    assert (answer.status_code, answer.json()["error"][:17]) == (409, "The fix is empty:")
    answer = await client.post("/score", json={"name": "things-lost", "fix_settings": "shards ="})
    assert "settings.toml is not TOML" in answer.json()["error"]
    lines = await events(client, "/score", name="things-lost", fix_settings="counter_shards = 8")
    assert "is not active; start it first" in lines[-1]["error"]


async def test_compass_s_names_are_forwarded(
    client: httpx.AsyncClient, runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("incidents.runner.compatibility._NAMES", {"missing_index": "things-lost"})
    answer = await client.post("/trigger-incident", json={"incident_type": "missing_index"})
    assert answer.json()["incident_mode"] == "missing_index"
    assert answer.json()["previous_mode"] == "normal"
    await until(lambda: bool(runner.state.active()) and not runner.operations.doing)
    answer = await client.post("/trigger-incident", json={"incident_type": "normal"})
    assert answer.json() == {
        "incident_mode": "normal",
        "previous_mode": "missing_index",
        "message": "The incident is being ended.",
    }
    await until(lambda: not runner.state.active() and not runner.operations.doing)
    answer = await client.post("/trigger-incident", json={"incident_type": "earthquake"})
    assert answer.status_code == 409
    assert "missing_index" in answer.json()["error"]


async def test_one_of_compass_s_names_replaces_another(
    client: httpx.AsyncClient, runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    modes = {"missing_index": "things-lost", "lock_contention": "things-hidden"}
    monkeypatch.setattr("incidents.runner.compatibility._NAMES", modes)
    for before, mode in (("normal", "missing_index"), ("missing_index", "lock_contention")):
        answer = await client.post("/trigger-incident", json={"incident_type": mode})
        assert (answer.json()["previous_mode"], answer.json()["incident_mode"]) == (before, mode)
        await until(
            lambda name=modes[mode]: (
                [one.name for one in runner.state.active()] == [name] and not runner.operations.doing
            )
        )


async def test_the_owner_s_token_does_what_the_presenter_s_does(client: httpx.AsyncClient) -> None:
    answer = await client.get("/status", headers={"Authorization": f"Bearer {OWNER}"})
    assert answer.status_code == 200
