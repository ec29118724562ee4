"""``tunnel``: a loopback port leads to a ready pod, to another one when that is gone, and waits when there is none."""

# pyright: reportPrivateUsage=false

import asyncio
import contextlib
import socket
from collections.abc import AsyncGenerator, Callable, Coroutine
from dataclasses import replace
from typing import Any

import pytest
from fake_cluster import FakeCluster
from pods import container_status, pod
from small_topology import DB, TOPOLOGY, WEB
from stubs import always

from cli.platforms import kubernetes_tunnel
from cli.platforms.kubernetes_tunnel import Forward, _Tunnel, forwards_of, serve
from infra.errors import DemoError
from infra.targets.kubernetes.client import KubeClient
from infra.targets.kubernetes.portforward import PortClosed
from infra.topology.model import Topology

pytestmark = pytest.mark.processes

PODS = "/api/v1/namespaces/compass-test/pods"
READY: list[dict[str, str]] = [{"type": "Ready", "status": "True"}]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class EchoPort:
    """A port in a pod that answers every message with its pod's name before it."""

    def __init__(self, name: str, number: int) -> None:
        self.mark = f"{name}:{number} ".encode()
        self.received: asyncio.Queue[bytes] = asyncio.Queue()

    async def send(self, data: bytes) -> None:
        await self.received.put(data)

    async def receive(self) -> bytes:
        data = await self.received.get()
        if data == b"bye":
            raise PortClosed("ended")
        return self.mark + data


Opener = Callable[[KubeClient, str, str, int], Any]


@pytest.fixture
def echo(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Pods named in the set that is returned cannot be reached, though the cluster believes that they are ready."""
    broken: set[str] = set()

    @contextlib.asynccontextmanager
    async def opener(_client: object, namespace: str, name: str, number: int) -> AsyncGenerator[EchoPort]:
        assert namespace == "compass-test"
        if name in broken:
            raise PortClosed("pod not found")
        yield EchoPort(name, number)

    monkeypatch.setattr(kubernetes_tunnel, "port", opener)
    monkeypatch.setattr(kubernetes_tunnel, "_PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(kubernetes_tunnel, "_FRESH_SECONDS", 0.0)
    return broken


def talk(cluster: FakeCluster, said: list[str], conversation: Callable[[int], Coroutine[Any, Any, None]]) -> None:
    """Run a tunnel to ``web`` while a conversation takes place on its port."""
    number = free_port()
    forward = Forward("web", replace(WEB.port("http"), host_port=number))

    async def both() -> None:
        listening = asyncio.Event()

        def say(line: str) -> None:
            said.append(line)
            listening.set()

        serving = asyncio.create_task(_Tunnel(cluster, "compass-test", say).run([forward]))
        await listening.wait()
        try:
            await asyncio.wait_for(conversation(number), 5)
        finally:
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)

    asyncio.run(both())


async def ask(number: int, *messages: bytes) -> list[bytes]:
    reader, writer = await asyncio.open_connection("127.0.0.1", number)
    answers: list[bytes] = []
    for message in messages:
        writer.write(message)
        answers.append(await reader.read(100))
    writer.close()
    return answers


def web(suffix: str, **more: Any) -> Any:
    return pod("web", container_status("web"), suffix=suffix, conditions=READY, **more)


@pytest.mark.usefixtures("echo")
def test_a_connection_reaches_the_pods_port_and_both_ways_are_copied() -> None:
    async def conversation(number: int) -> None:
        assert await ask(number, b"one", b"two") == [b"web-a:80 one", b"web-a:80 two"]

    talk(FakeCluster({PODS: [web("a")]}), [], conversation)


@pytest.mark.usefixtures("echo")
def test_connections_are_spread_over_the_ready_pods() -> None:
    async def conversation(number: int) -> None:
        answers = [(await ask(number, b"x"))[0] for _ in range(4)]
        assert answers[0] == b"web-a:80 x"

    cluster = FakeCluster({PODS: [web("a"), pod("web", container_status("web", ready=False), suffix="b")]})
    talk(cluster, [], conversation)


@pytest.mark.usefixtures("echo")
def test_an_end_in_the_pod_ends_the_connection() -> None:
    async def conversation(number: int) -> None:
        assert await ask(number, b"x", b"bye") == [b"web-a:80 x", b""]

    talk(FakeCluster({PODS: [web("a")]}), [], conversation)


def test_a_connection_waits_for_a_pod_and_says_so_once(echo: set[str]) -> None:
    echo.add("web-a")
    cluster, said = FakeCluster({PODS: [web("a")]}), list[str]()

    async def replace_pod() -> None:
        await asyncio.sleep(0.1)
        cluster.objects[PODS] = [web("b")]

    async def conversation(number: int) -> None:
        answers, _ = await asyncio.gather(ask(number, b"x"), replace_pod())
        assert answers == [b"web-b:80 x"]

    talk(cluster, said, conversation)
    assert [line for line in said if "way" in line] == [
        "Lost the way: pod not found. Connections wait up to 20 s for it.",
        "The way is open again.",
    ]


@pytest.mark.usefixtures("echo")
def test_a_connection_that_waits_in_vain_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kubernetes_tunnel, "_PATIENCE_SECONDS", 0.1)

    async def conversation(number: int) -> None:
        assert await ask(number, b"x") == [b""]

    talk(FakeCluster({PODS: []}), [], conversation)


def test_every_published_port_is_served() -> None:
    assert [str(forward) for forward in forwards_of(TOPOLOGY)] == [
        "127.0.0.1:15432  db sql",
        "127.0.0.1:18000  web http",
        "127.0.0.1:18001  web admin",
    ]


def test_a_taken_port_is_named_before_anything_is_served(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kubernetes_tunnel, "is_taken", lambda number: number == 15432)  # pyright: ignore[reportUnknownLambdaType, reportUnknownArgumentType]
    monkeypatch.setattr(kubernetes_tunnel, "holder", always("nginx (process 7)"))
    with pytest.raises(DemoError, match=r"^Port 15432 for db is in use by nginx \(process 7\); .*postgresPort"):
        serve(FakeCluster(), "compass-test", Topology(workloads=(DB,)), print)
