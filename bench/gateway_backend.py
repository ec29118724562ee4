"""A stand-in for every back end of the gateway: a small answer, one of nearly a mebibyte, and one that never comes.

Which one is chosen by a word in the query. Started by gateway.py with a port.
"""

import asyncio
import json
import sys
from urllib.parse import unquote

_LARGE_BYTES = 900 * 1024
_SMALL = {"resultType": "vector", "result": [{"metric": {"__name__": "up", "job": "x"}, "value": [1.5, "1"]}]}


def _matrix() -> bytes:
    """Of short values, which take the most memory for their bytes once they are objects."""
    values = [[1700000000 + number * 15, str(number % 10)] for number in range(2000)]
    series = [{"metric": {"pod": f"p{number}"}, "values": values} for number in range(27)]
    answer = json.dumps({"status": "success", "data": {"resultType": "matrix", "result": series}}).encode()
    if not _LARGE_BYTES < len(answer) < 2**20:
        raise ValueError(f"the large answer has {len(answer)} bytes")
    return answer


def _streams() -> bytes:
    lines = [[str(1700000000 * 10**9 + number), "x" * 20] for number in range(5000)]
    streams = [{"stream": {"app": f"a{number}"}, "values": lines} for number in range(4)]
    answer = json.dumps({"status": "success", "data": {"resultType": "streams", "result": streams}}).encode()
    if not _LARGE_BYTES < len(answer) < 2**20:
        raise ValueError(f"the large answer has {len(answer)} bytes")
    return answer


def _head(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)


class Backend(asyncio.Protocol):
    """Answers requests whose bodies fit one packet."""

    small = json.dumps({"status": "success", "data": _SMALL}).encode()
    matrix = b""
    streams = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember where answers go."""
        self._transport = transport
        self._received = b""

    def data_received(self, data: bytes) -> None:
        """Answer what is complete."""
        self._received += data
        head, found, body = self._received.partition(b"\r\n\r\n")
        if not found:
            return
        length = next(
            (int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0
        )
        if len(body) < length:
            return
        self._received = b""
        asked = unquote((head.split(b"\r\n")[0] + body).decode("latin-1"))
        if "never" in asked:
            return
        answer = self.small
        if "large" in asked:
            answer = self.streams if "/loki/" in asked else self.matrix
        if isinstance(self._transport, asyncio.Transport):
            self._transport.write(_head(answer) + answer)


async def _serve(port: int) -> None:
    Backend.matrix, Backend.streams = _matrix(), _streams()
    server = await asyncio.get_running_loop().create_server(Backend, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1])))
