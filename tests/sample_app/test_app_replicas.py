"""Several replicas on one database: what one is told all follow, and what is done once is done once."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx2
import pytest
from payment_service.live_settings import LiveSettings

from tests.sample_app.invariants import INVARIANTS, broken_invariants
from tests.sample_app.postgres import free_port
from tests.sample_app.support import Place, Process, process, until_true

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

pytestmark = [pytest.mark.anyio, pytest.mark.postgres]


@dataclass
class Fleet:
    """Places for replicas, whose admin ports all replicas know."""

    place: Place
    folder: Path
    ports: list[int]
    stack: ExitStack

    def start(self, number: int, **changes: object) -> Process:
        """Start the replica of a place."""
        peers = ",".join(f"127.0.0.1:{port}" for port in self.ports)
        return self.stack.enter_context(
            process(self.place, self.folder, admin_port=self.ports[number], peers=peers, **changes)
        )


@contextmanager
def fleet(place: Place, folder: Path, size: int) -> Generator[Fleet]:
    with ExitStack() as stack:
        yield Fleet(place, folder, [free_port() for _ in range(size)], stack)


async def settings(replica: Process) -> dict[str, Any]:
    async with httpx2.AsyncClient() as client:
        return (await client.get(f"http://127.0.0.1:{replica.admin_port}/settings")).json()


async def change(replica: Process, **changes: Any) -> httpx2.Response:
    async with httpx2.AsyncClient() as client:
        return await client.patch(f"http://127.0.0.1:{replica.admin_port}/settings", json=changes)


async def test_a_setting_changed_at_one_replica_is_in_force_in_all(own_place: Place, tmp_path: Path) -> None:
    with fleet(own_place, tmp_path, 3) as replicas:
        first, second = replicas.start(0), replicas.start(1)
        answer = await change(first, pool_max_size=7, lock_order="canonical")
        assert answer.status_code == 200, answer.text
        # The third place is empty, and nobody waited for it.
        assert await settings(second) == answer.json()
        async with httpx2.AsyncClient(base_url=second.url) as client:
            assert "db_pool_max 7.0" in (await client.get("/metrics")).text
            assert (await client.post("/payment", json={"amount": 1.0})).status_code == 200

        assert (await change(second, pool_max_size=8)).json()["pool_max_size"] == 8
        assert (await settings(first))["pool_max_size"] == 8
        assert (await settings(first))["lock_order"] == "canonical"

        # One that starts is ready only when it knows, and what nobody changed is as its own environment says.
        third = replicas.start(2, counter_shards=5, pool_max_size=9)
        now = await settings(third)
        assert (now["pool_max_size"], now["lock_order"], now["counter_shards"]) == (8, "canonical", 5)
        assert (await settings(first))["counter_shards"] == 1


async def test_a_replica_that_did_not_answer_follows_within_seconds(own_place: Place, tmp_path: Path) -> None:
    with fleet(own_place, tmp_path, 2) as replicas:
        first, second = replicas.start(0), replicas.start(1)
        second.popen.send_signal(signal.SIGSTOP)
        assert (await change(first, report_batch_size=50)).status_code == 200
        second.popen.send_signal(signal.SIGCONT)

        async def follows() -> bool:
            return (await settings(second))["report_batch_size"] == 50

        await until_true(follows, 5)


async def test_a_change_needs_no_database(own_place: Place, tmp_path: Path) -> None:
    with fleet(own_place, tmp_path, 2) as replicas:
        first, second = replicas.start(0), replicas.start(1)
        async with own_place.connect(database="postgres") as operator:
            await operator.execute(f'ALTER DATABASE "{own_place.database}" ALLOW_CONNECTIONS false')
            await operator.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", own_place.database
            )
            assert (await change(first, pool_acquire_timeout=2.5)).status_code == 200
            assert (await settings(second))["pool_acquire_timeout"] == 2.5
            await operator.execute(f'ALTER DATABASE "{own_place.database}" ALLOW_CONNECTIONS true')


async def test_what_is_refused_at_one_replica_reaches_no_other(own_place: Place, tmp_path: Path) -> None:
    with fleet(own_place, tmp_path, 2) as replicas:
        first, second = replicas.start(0), replicas.start(1)
        before = await settings(second)
        assert (await change(first, pool_max_size=5, counter_shards=0)).status_code == 422
        async with httpx2.AsyncClient() as client:
            for body in (b"{", b"[]", b'{"pool_max_size": {"version": 1, "writer": "x", "value": 100000}}'):
                told = await client.put(f"http://127.0.0.1:{second.admin_port}/settings/changes", content=body)
                assert 400 <= told.status_code < 500, body
            unknown = b'{"of_a_later_version": {"version": 1, "writer": "x", "value": 3}}'
            told = await client.put(f"http://127.0.0.1:{second.admin_port}/settings/changes", content=unknown)
            assert (told.status_code, told.json()) == (200, {})
        assert await settings(second) == await settings(first) == before


def test_of_two_changes_at_once_every_replica_chooses_the_same(place: Place) -> None:
    first, second = LiveSettings(place.settings()), LiveSettings(place.settings())
    one, other = first.signed({"counter_shards": 2}), second.signed({"counter_shards": 3})
    first.changes.update(one)
    second.changes.update(other)
    assert bool(first.later(other)) is not bool(second.later(one))
    # Whoever knows of both comes after both.
    first.changes.update(first.later(other))
    third = first.signed({"counter_shards": 4})
    first.changes.update(third)
    assert second.later(third) == third
    assert first.later(other) == first.later(one) == {}


async def test_one_key_is_one_payment_whichever_replicas_are_asked(own_place: Place, tmp_path: Path) -> None:
    with fleet(own_place, tmp_path, 2) as replicas:
        urls = [replicas.start(0).url, replicas.start(1).url]
        async with httpx2.AsyncClient() as client:
            for turn in range(10):
                answers = await asyncio.gather(
                    *(
                        client.post(
                            f"{urls[number % 2]}/payment",
                            json={"amount": 5.0, "customer_id": 1, "merchant_id": 1},
                            headers={"Idempotency-Key": f"across-{turn}"},
                        )
                        for number in range(6)
                    )
                )
                assert {answer.status_code for answer in answers} == {200}
                assert len({answer.json()["payment_id"] for answer in answers}) == 1
                assert [answer.headers.get("Idempotent-Replayed") for answer in answers].count(None) == 1
                paid = answers[0].json()["payment_id"]
                refunds = await asyncio.gather(*(client.post(f"{url}/payment/{paid}/refund") for url in urls))
                assert sorted(answer.status_code for answer in refunds) == [200, 409]
        async with own_place.connect() as connection:
            assert await broken_invariants(connection) == []


async def test_several_replicas_prune_without_losing_or_counting_anything_twice(
    own_place: Place, tmp_path: Path
) -> None:
    kept, paid = 50, 400
    pruning = {"retention_enabled": True, "retention_interval": 0.05, "retention_batch": 7, "retention_share": 0.005}
    with fleet(own_place, tmp_path, 3) as replicas:
        fleet_of = [replicas.start(number, **pruning) for number in range(3)]
        gate = asyncio.Semaphore(12)

        async def pay(number: int) -> int:
            async with gate:
                return (await client.post(f"{fleet_of[number % 3].url}/payment", json={"amount": 2.0})).status_code

        async with httpx2.AsyncClient() as client, own_place.connect() as connection:
            assert set(await asyncio.gather(*(pay(number) for number in range(paid)))) == {200}

            async def pruned() -> bool:
                beyond = "SELECT count(*) FROM payments p, seed_info s WHERE p.id > s.last_payment_id"
                return await connection.fetchval(beyond) <= kept

            await until_true(pruned)
            deleted = 0.0
            for replica in fleet_of:
                text = (await client.get(f"{replica.url}/metrics")).text
                lines = [
                    line for line in text.splitlines() if line.startswith('retention_deleted_rows_total{table="pay')
                ]
                deleted += sum(float(line.rpartition(" ")[2]) for line in lines)
            assert deleted == paid - kept
            counts = {"totals count the payments and refunds of a day", "a settlement run counts its payments"}
            assert counts < set(INVARIANTS)
            assert set(await broken_invariants(connection)) <= counts


class Balancer:
    """Hands each new connection to the next replica that was ready when it last looked, which is a while ago."""

    LAG = 0.5

    def __init__(self, urls: list[str]) -> None:
        self.urls = urls
        self.ready = list(urls)
        self._turn = 0
        self._connections: set[asyncio.Task[None]] = set()

    async def watch(self) -> None:
        while True:
            async with httpx2.AsyncClient(timeout=1) as client:
                found = [url for url in self.urls if await _is_ready(client, url)]
            await asyncio.sleep(self.LAG)
            self.ready = found

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)
        self._turn += 1
        url = httpx2.URL(self.ready[self._turn % len(self.ready)])
        try:
            to_reader, to_writer = await asyncio.open_connection(url.host, url.port)
        except ConnectionError:
            writer.transport.abort()
            return
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(_copy(reader, to_writer), _copy(to_reader, writer))

    async def close(self) -> None:
        for task in list(self._connections):
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)


async def _is_ready(client: httpx2.AsyncClient, url: str) -> bool:
    try:
        return (await client.get(f"{url}/health/ready")).is_success
    except httpx2.HTTPError:
        return False


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        writer.transport.abort()
    finally:
        writer.close()


async def test_an_update_under_traffic_loses_no_request(own_place: Place, tmp_path: Path) -> None:
    rate, seconds = 50, 8.0
    with fleet(own_place, tmp_path, 2) as replicas:
        first, second = (replicas.start(number, drain_seconds=2.0) for number in range(2))
        balancer = Balancer([first.url, second.url])
        server = await asyncio.start_server(balancer.connected, "127.0.0.1", 0)
        watching = asyncio.create_task(balancer.watch())
        outcomes: list[str] = []
        base = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"

        async def pay(client: httpx2.AsyncClient) -> None:
            try:
                answer = await client.post("/payment", json={"amount": 3.0})
                outcomes.append(str(answer.status_code))
            except httpx2.HTTPError as error:
                outcomes.append(repr(error))

        async with contextlib.AsyncExitStack() as stack, asyncio.TaskGroup() as tasks:
            # Each keeps connections of its own.
            clients = [await stack.enter_async_context(httpx2.AsyncClient(base_url=base, timeout=30)) for _ in range(8)]
            started = time.monotonic()
            for number in range(int(rate * seconds)):
                await asyncio.sleep(max(0.0, started + number / rate - time.monotonic()))
                if number == rate * 2:
                    first.popen.send_signal(signal.SIGTERM)
                tasks.create_task(pay(clients[number % len(clients)]))
        assert first.popen.wait(20) == 0
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        server.close()
        await balancer.close()
    assert len(outcomes) == rate * seconds
    assert [outcome for outcome in outcomes if outcome != "200"] == []
    served = [line for line in first.lines() if line.get("event") == "request"]
    assert len(served) > rate * 0.5, "the one that ended had its share"
