"""Load for the sample app's bench: raw HTTP/1.1 over kept connections, cheap enough never to be the bottleneck.

A process of its own: ``python bench/sample_app_load.py PORT MIX SECONDS --connections N`` answers as fast as the app
does (closed loop), with ``--rate R`` it sends R requests a second whatever the app does, and counts a latency from
the scheduled moment. Prints one JSON object.
"""

import argparse
import asyncio
import json
import random
import time
from collections import deque
from typing import TYPE_CHECKING, cast

import uvloop

if TYPE_CHECKING:
    from collections.abc import Callable

# Shares of the routes in the mix, in percent: those of the demo's traffic.
_MIX = (
    ("pay", 50),
    ("status", 22),
    ("history", 12),
    ("refund", 5),
    ("totals", 5),
    ("settle", 3),
    ("report", 3),
)
_CUSTOMERS = 5000
_MERCHANTS = 50
_HEAD_END = b"\r\n\r\n"
_LENGTH = b"content-length: "
_PAYMENT = b'{"payment_id":'


class Requests:
    """Makes requests from a seed. It learns the ids of payments from the answers."""

    def __init__(self, mix: str, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311  # load, not secrets
        self._kinds = [name for name, _ in _MIX] if mix == "mix" else ["pay"]
        self._weights = [share for _, share in _MIX] if mix == "mix" else [1]
        self._run = self._random.getrandbits(64) ^ time.time_ns()
        self._number = 0
        self.last_kind = ""
        self.payments: deque[bytes] = deque(maxlen=2000)
        self._makers: dict[str, Callable[[], bytes]] = {
            "pay": self._pay,
            "status": self._status,
            "history": self._history,
            "totals": self._totals,
            "refund": self._refund,
            "settle": self._settle,
            "report": self._report,
        }

    def make(self) -> bytes:
        """The next request."""
        kind = self._random.choices(self._kinds, self._weights)[0]
        if kind in {"status", "refund"} and not self.payments:
            kind = "pay"
        self.last_kind = kind
        return self._makers[kind]()

    def _pay(self) -> bytes:
        self._number += 1
        body = b'{"amount":%d.%02d}' % (self._random.randint(1, 500), self._random.randint(0, 99))
        return _post(b"/payment", body, b"Idempotency-Key: %x-%d\r\n" % (self._run, self._number))

    def _status(self) -> bytes:
        return _get(b"/payment/" + self.payments[-1 - self._random.randrange(len(self.payments))])

    def _refund(self) -> bytes:
        return _post(b"/payment/" + self.payments.pop() + b"/refund", b"{}")

    def _history(self) -> bytes:
        return _get(b"/customers/%d/payments" % self._random.randint(1, _CUSTOMERS))

    def _settle(self) -> bytes:
        return _post(b"/settlement-runs", b'{"merchant_id":%d}' % self._random.randint(1, _MERCHANTS))

    def _report(self) -> bytes:
        return _get(b"/reports/settlement")

    def _totals(self) -> bytes:
        return _get(b"/merchants/%d/totals" % self._random.randint(1, _MERCHANTS))


def _post(path: bytes, body: bytes, headers: bytes = b"") -> bytes:
    head = b"POST %s HTTP/1.1\r\nHost: app\r\nContent-Type: application/json\r\n%bContent-Length: %d\r\n\r\n"
    return head % (path, headers, len(body)) + body


def _get(path: bytes) -> bytes:
    return b"GET %s HTTP/1.1\r\nHost: app\r\n\r\n" % path


class Results:
    """What came back."""

    def __init__(self) -> None:
        self.latencies: list[float] = []
        self.errors = 0

    def to_json(self, seconds: float) -> str:
        """As one line.

        Args:
            seconds: How long it took.
        """
        ordered = sorted(self.latencies)
        return json.dumps(
            {
                "requests": len(ordered),
                "errors": self.errors,
                "rate": len(ordered) / seconds,
                "p50_ms": 1000 * ordered[len(ordered) // 2],
                "p99_ms": 1000 * ordered[len(ordered) * 99 // 100],
            }
        )


class Client(asyncio.Protocol):
    """One connection; calls back when it is free again."""

    def __init__(self, requests: Requests, results: Results, free: "Callable[[Client], None]") -> None:
        self._requests = requests
        self._results = results
        self._free = free
        self._buffer = b""
        self._since = 0.0
        self._learns = False
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Asyncio calls this."""
        # uvloop's transports are no subclasses of asyncio's, but TCP ones can write.
        self._transport = cast("asyncio.WriteTransport", transport)
        self._free(self)

    def send(self, since: float) -> None:
        """Send the next request.

        Args:
            since: When it should have been sent.
        """
        self._since = since
        if self._transport is not None:
            self._transport.write(self._requests.make())
            self._learns = self._requests.last_kind == "pay"

    def data_received(self, data: bytes) -> None:
        """Asyncio calls this."""
        self._buffer += data
        end = self._buffer.find(_HEAD_END)
        if end < 0:
            return
        start = self._buffer.find(_LENGTH) + len(_LENGTH)
        body = end + len(_HEAD_END)
        if len(self._buffer) < body + int(self._buffer[start : self._buffer.find(b"\r", start)]):
            return
        self._results.latencies.append(time.perf_counter() - self._since)
        if self._buffer[9:12] != b"200":
            self._results.errors += 1
        elif self._learns:
            first = body + len(_PAYMENT)
            self._requests.payments.append(self._buffer[first : self._buffer.find(b",", first)])
        self._buffer = b""
        self._free(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Asyncio calls this."""
        del exc
        self._results.errors += 1


async def run(port: int, mix: str, seconds: float, connections: int, rate: float | None) -> str:
    """Send load.

    Args:
        port: The app's port on this machine.
        mix: ``pay`` or ``mix``.
        seconds: For how long.
        connections: How many connections.
        rate: Requests a second; None: as many as are answered.

    Returns:
        The results as JSON.
    """
    loop = asyncio.get_running_loop()
    requests, results = Requests(mix, seed=1), Results()
    idle: list[Client] = []
    due: deque[float] = deque()
    started = time.perf_counter()
    deadline = started + seconds

    def free(client: Client) -> None:
        now = time.perf_counter()
        if rate is None and now < deadline:
            client.send(now)
        elif due:
            client.send(due.popleft())
        else:
            idle.append(client)

    transports = [
        (await loop.create_connection(lambda: Client(requests, results, free), "127.0.0.1", port))[0]
        for _ in range(connections)
    ]
    sent = 0
    while (now := time.perf_counter()) < deadline:
        while rate is not None and (when := started + sent / rate) <= now:
            sent += 1
            if idle:
                idle.pop().send(when)
            else:
                due.append(when)
        await asyncio.sleep(0.0005 if rate is not None else deadline - now)
    for _ in range(500):
        if len(idle) == connections:
            break
        await asyncio.sleep(0.01)
    text = results.to_json(seconds)
    for transport in transports:
        transport.abort()
    return text


def main() -> None:
    """Read the arguments, send the load, print the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", type=int)
    parser.add_argument("mix", choices=("pay", "mix"))
    parser.add_argument("seconds", type=float)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--rate", type=float)
    chosen = parser.parse_args()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        work = run(chosen.port, chosen.mix, chosen.seconds, chosen.connections, chosen.rate)
        print(runner.run(work))  # its output


if __name__ == "__main__":
    main()
