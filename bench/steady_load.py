"""Requests at a steady rate, each on a connection of its own, while something happens; how many of them failed."""

import asyncio
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

__all__ = ["Outcome", "payments_while"]

_ANSWER_SECONDS = 10
_OK = 200


@dataclass
class Outcome:
    """What became of the requests."""

    sent: int = 0
    failures: list[str] = field(default_factory=list[str])
    slowest_seconds: float = 0.0


def payments_while(address: str, port: int, rate: float, action: Callable[[], object]) -> Outcome:
    """Pay at ``rate`` requests per second until the action is done and a second more.

    An open model: a request is sent when its time has come, whether the ones before it are answered or not.
    """
    outcome, done = Outcome(), threading.Event()
    load = threading.Thread(target=lambda: asyncio.run(_pay(address, port, rate, outcome, done)))
    load.start()
    try:
        action()
    finally:
        done.set()
        load.join()
    return outcome


async def _pay(address: str, port: int, rate: float, outcome: Outcome, done: threading.Event) -> None:
    started, ends = time.monotonic(), float("inf")
    async with asyncio.TaskGroup() as requests:
        while time.monotonic() < ends:
            requests.create_task(_one(address, port, outcome))
            outcome.sent += 1
            if done.is_set() and ends == float("inf"):
                ends = time.monotonic() + 1
            await asyncio.sleep(max(0.0, started + outcome.sent / rate - time.monotonic()))


async def _one(address: str, port: int, outcome: Outcome) -> None:
    body = json.dumps({"amount": 12.5}).encode()
    head = f"POST /payment HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n"
    started = time.monotonic()
    try:
        async with asyncio.timeout(_ANSWER_SECONDS):
            reader, writer = await asyncio.open_connection(address, port)
            try:
                writer.write(f"{head}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body)
                line = (await reader.readline()).decode()
                await reader.read()
            finally:
                writer.close()
        if not line.startswith(f"HTTP/1.1 {_OK}"):
            outcome.failures.append(line.strip() or "the connection ended without an answer")
    except (OSError, TimeoutError) as error:
        outcome.failures.append(f"{type(error).__name__}: {error}")
    outcome.slowest_seconds = max(outcome.slowest_seconds, time.monotonic() - started)
