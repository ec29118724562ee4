"""Several replicas, each a process of its own: what one was told all show, and one that ends loses nobody's request."""

from __future__ import annotations

import asyncio
import json
import signal
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import pytest

from gateway.alerts import KEPT, AlertLog, Kept
from gateway.metrics import Metrics
from gateway.peers import Peers
from tests.gateway.support import BEARER, FakeBackend, free_url, make_client, port_of, raw_server, running, serving
from tests.gateway.support import make_config as config_of
from tests.gateway.test_gateway_alerts import named
from tests.gateway.test_gateway_process import started

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from pathlib import Path

    import httpx2

pytestmark = pytest.mark.anyio


class Fleet:
    """Places for replicas, whose internal listeners all replicas know."""

    def __init__(self, folder: Path, size: int, stack: AsyncExitStack, client: httpx2.AsyncClient) -> None:
        self.internal = [port_of(free_url()) for _ in range(size)]
        self._folder = folder
        self._stack = stack
        self._client = client

    async def start(self, number: int, **changes: object) -> tuple[Process, dict[str, int]]:
        folder = self._folder / str(len(list(self._folder.iterdir())))
        folder.mkdir()
        changes = {
            "alerts": {"peers": [f"127.0.0.1:{port}" for port in self.internal]},
            "listeners__internal": {"host": "127.0.0.1", "port": self.internal[number]},
            **changes,
        }
        return await self._stack.enter_async_context(started(folder, **changes))

    async def alert(self, number: int, name: str) -> None:
        posted = await self._client.post(f"http://127.0.0.1:{self.internal[number]}/alerts", content=named(name))
        assert posted.status_code == 200

    async def shown(self, ports: dict[str, int]) -> tuple[list[str], int]:
        answer = await self._client.get(f"http://127.0.0.1:{ports['main']}/api/alerts/received", headers=BEARER)
        body = answer.json()
        return [alert["labels"]["alertname"] for alert in body["alerts"]], body["total"]


async def test_an_alert_that_one_received_all_show_even_when_it_is_gone(tmp_path: Path) -> None:
    async with make_client() as client, AsyncExitStack() as stack:
        fleet = Fleet(tmp_path, 3, stack, client)
        first, of_first = await fleet.start(0)
        _, of_second = await fleet.start(1)
        await fleet.alert(0, "One")
        await fleet.alert(1, "Two")
        await fleet.alert(0, "Three")
        expected = (["Three", "Two", "One"], 3)

        async def agree(ports: dict[str, int]) -> None:
            # An answer is half a second old at most.
            async with asyncio.timeout(5):
                while await fleet.shown(ports) != expected:  # noqa: ASYNC110 - nobody announces it
                    await asyncio.sleep(0.05)

        await agree(of_first)
        await agree(of_second)
        page = (await client.get(f"http://127.0.0.1:{of_second['main']}/status", headers=BEARER)).text
        assert "Three" in page

        first.kill()
        await first.wait()
        assert await fleet.shown(of_second) == expected
        _, of_third = await fleet.start(2)
        await agree(of_third)
        # The one that was lost comes back without memory.
        _, of_first = await fleet.start(0)
        await agree(of_first)
        await fleet.alert(2, "Four")
        expected = (["Four", "Three", "Two", "One"], 4)
        await agree(of_first)
        await agree(of_second)


async def test_a_replica_is_told_to_stop_and_serves_on_while_others_take_over(tmp_path: Path) -> None:
    backend = FakeBackend("prometheus")
    async with serving(backend) as url, make_client() as client, AsyncExitStack() as stack:
        fleet = Fleet(tmp_path, 1, stack, client)
        process, ports = await fleet.start(
            0, backends__prometheus={"url": url}, limits={"drain_seconds": 2, "shutdown_seconds": 1}
        )
        query = f"http://127.0.0.1:{ports['prometheus']}/api/v1/query?query=up"
        ready = f"http://127.0.0.1:{ports['internal']}/ready"
        assert (await client.get(ready)).status_code == 200
        assert "connection" not in (await client.get(query, headers=BEARER)).headers
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(1.5):
            while (await client.get(ready)).status_code == 200:
                pass
        for _ in range(3):
            answer = await client.get(query, headers=BEARER)
            assert (answer.status_code, answer.headers["connection"]) == (200, "close")
        assert await process.wait() == 0


async def test_a_session_begun_at_one_replica_goes_on_at_another(tmp_path: Path) -> None:
    async with make_client(**BEARER) as client, AsyncExitStack() as stack:
        fleet = Fleet(tmp_path, 2, stack, client)
        (_, first), (_, second) = await fleet.start(0), await fleet.start(1)

        async def send(port: int, message: dict[str, object], **headers: str) -> httpx2.Response:
            return await client.post(
                f"http://127.0.0.1:{port}/mcp", json={"jsonrpc": "2.0", **message}, headers=headers
            )

        begun = await send(first["main"], {"id": 1, "method": "initialize", "params": {}})
        session = begun.headers["mcp-session-id"]
        listed = await send(second["main"], {"id": 2, "method": "tools/list"}, **{"Mcp-Session-Id": session})
        assert listed.status_code == 200
        assert listed.json()["result"]["tools"]


async def test_peers_that_hang_or_answer_rubbish_or_cannot_be_found_delay_nothing_for_long() -> None:
    async def silent(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()

    rubbish = FakeBackend("rubbish")
    async with raw_server(silent) as hanging, serving(rubbish) as other:
        addresses = [f"127.0.0.1:{port_of(hanging)}", f"127.0.0.1:{port_of(other)}", "no-such-name.invalid:1"]
        async with running(config_of(alerts={"peers": addresses})) as gateway:
            await gateway.request("POST", "internal", "/alerts", content=named("Mine"))
            async with asyncio.timeout(10):
                body = (await gateway.get("main", "/api/alerts/received")).json()
    assert [alert["labels"]["alertname"] for alert in body["alerts"]] == ["Mine"]
    assert rubbish.seen[0].path == "/alerts/kept"


async def test_without_peers_nobody_is_asked() -> None:
    peers = Peers((), AlertLog(Metrics()))
    peers.start()
    await peers.ask()
    await peers.close()


def test_merging_is_the_same_in_any_order_and_as_often_as_one_likes() -> None:
    logs = [AlertLog(Metrics()) for _ in range(3)]
    for number in range(KEPT):
        logs[number % 3].receive(named(f"Alert{number}"))
    told = [Kept.model_validate_json(log.kept().model_dump_json(by_alias=True)) for log in logs]
    one, other = AlertLog(Metrics()), AlertLog(Metrics())
    for kept in (*told, *told):
        one.merge(kept)
    for kept in reversed(told):
        other.merge(kept)
    names = [received.alert.name for received in one.latest()]
    assert names == [received.alert.name for received in other.latest()]
    assert names == [f"Alert{number}" for number in reversed(range(KEPT))]
    assert one.total == other.total == KEPT
    one.receive(named("Last"))
    assert one.latest()[0].alert.name == "Last"
    assert len(one.latest()) == KEPT
    assert one.total == KEPT + 1


def test_what_replicas_tell_each_other_is_bounded() -> None:
    log = AlertLog(Metrics())
    for number in range(1100):
        log.merge(Kept(alerts=(), counts={f"replica-{number}": 1}))
    log.receive(named("Mine"))
    kept = json.loads(log.kept().model_dump_json(by_alias=True))
    assert len(kept["counts"]) <= 1000
    assert log.total >= 1000
