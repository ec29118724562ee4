"""``demo tunnel``: the loopback addresses that Docker publishes, for a stack on a cluster.

Every connection takes a way of its own to a pod that is ready then, so pods may be replaced and the API server may
restart: connections that are open end, and the next ones find what is there.
"""

import asyncio
import contextlib
import itertools
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from infra.errors import ClusterError, DemoError
from infra.ports import LOOPBACK, holder, is_taken, taken_sentence
from infra.targets.kubernetes.client import KubeClient
from infra.targets.kubernetes.objects import NAME, name_of, part, parts
from infra.targets.kubernetes.portforward import PodPort, PortClosed, port
from infra.topology.model import Port, Topology

__all__ = ["Forward", "forwards_of", "serve"]

_CHUNK: Final = 64 * 1024
_FRESH_SECONDS: Final = 1.0
"""How long the list of ready pods is believed."""
_PATIENCE_SECONDS: Final = 20.0
"""How long a connection waits for a pod or for the API server."""
_PAUSE_SECONDS: Final = 0.3


@dataclass(frozen=True, slots=True)
class Forward:
    """A loopback port and what it leads to."""

    service: str
    port: Port

    def __str__(self) -> str:
        return f"{LOOPBACK}:{self.port.host_port}  {self.service} {self.port.name}"


def forwards_of(topology: Topology) -> list[Forward]:
    """Every published port."""
    return [Forward(service.name, port) for service, port in topology.published() if port.host_port]


def serve(client: KubeClient, namespace: str, topology: Topology, say: Callable[[str], None]) -> None:
    """Serve until interrupted.

    Raises:
        DemoError: ports are taken.
    """
    forwards = forwards_of(topology)
    taken = [one for one in forwards if is_taken(one.port.host_port or 0)]
    if taken:
        raise DemoError(
            "\n".join(taken_sentence(one.service, one.port, holder(one.port.host_port or 0)) for one in taken)
        )
    tunnel = _Tunnel(client, namespace, say)
    started = time.monotonic()
    try:
        client.run(tunnel.run(forwards))
    except KeyboardInterrupt:
        served = f"{tunnel.served} connections in {time.monotonic() - started:.0f} s"
        say(f"The tunnel to the namespace {namespace} is closed ({served}).")


@dataclass(slots=True)
class _Pods:
    """The pods of one service that may be asked, in turn."""

    names: Iterator[str] = field(default_factory=lambda: iter(()))
    known_until: float = 0.0


class _Tunnel:
    """Listeners on this machine, and a way to a pod for each connection."""

    def __init__(self, client: KubeClient, namespace: str, say: Callable[[str], None]) -> None:
        self._client = client
        self._namespace = namespace
        self._say = say
        self._pods: dict[str, _Pods] = {}
        self._away = False
        self.served = 0

    async def run(self, forwards: list[Forward]) -> None:
        """Listen on every port until cancelled."""
        async with contextlib.AsyncExitStack() as servers:
            for forward in forwards:
                await servers.enter_async_context(await self._listen(forward))
            self._say(f"Tunnel to the namespace {self._namespace}; Ctrl-C ends it.")
            for forward in forwards:
                self._say(f"  {forward}")
            await asyncio.Event().wait()

    async def _listen(self, forward: Forward) -> asyncio.Server:
        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self.served += 1
            try:
                await self._connect(forward, reader, writer)
            except (PortClosed, OSError):
                # The person's program sees a connection that ends, which is what has happened.
                pass
            finally:
                with contextlib.suppress(OSError):
                    writer.close()

        return await asyncio.start_server(handle, LOOPBACK, forward.port.host_port)

    async def _connect(self, forward: Forward, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while True:
            opened = False
            try:
                pod = await self._choose(forward.service)
                async with port(self._client, self._namespace, pod, forward.port.number) as way:
                    opened = True
                    self._back()
                    await _pump(way, reader, writer)
                    return
            except (PortClosed, ClusterError) as error:
                self._pods.pop(forward.service, None)
                if opened or time.monotonic() > deadline:
                    raise PortClosed(str(error)) from None
                self._lost(str(error))
            await asyncio.sleep(_PAUSE_SECONDS)

    async def _choose(self, service: str) -> str:
        """A pod of the service that is ready, in turn."""
        pods = self._pods.get(service)
        if pods is None or time.monotonic() > pods.known_until:
            ready = await self._ready(service)
            if not ready:
                raise PortClosed(f"no pod of {service} is ready")
            pods = _Pods(itertools.cycle(ready), time.monotonic() + _FRESH_SECONDS)
            self._pods[service] = pods
        return next(pods.names)

    async def _ready(self, service: str) -> list[str]:
        path = f"/api/v1/namespaces/{self._namespace}/pods"
        # The client's own methods wait for this loop, so they have to run outside of it.
        pods: list[dict[str, Any]] = await asyncio.to_thread(
            self._client.items, path, labelSelector=f"{NAME}={service}"
        )
        return [
            name_of(pod)
            for pod in pods
            if not pod["metadata"].get("deletionTimestamp")
            and any(
                one["type"] == "Ready" and one["status"] == "True" for one in parts(part(pod, "status"), "conditions")
            )
        ]

    def _lost(self, why: str) -> None:
        if not self._away:
            self._away = True
            self._say(f"Lost the way: {why}. Connections wait up to {_PATIENCE_SECONDS:g} s for it.")

    def _back(self) -> None:
        if self._away:
            self._away = False
            self._say("The way is open again.")


async def _pump(way: PodPort, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Copy both ways until either side ends."""

    async def outwards() -> None:
        while data := await reader.read(_CHUNK):
            await way.send(data)

    async def inwards() -> None:
        while True:
            writer.write(await way.receive())
            await writer.drain()

    tasks = [asyncio.ensure_future(outwards()), asyncio.ensure_future(inwards())]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        # What they raise is the end of a connection and no news.
        await asyncio.gather(*tasks, return_exceptions=True)
