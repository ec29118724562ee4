"""Many bodies for each dialect, sent to the program itself: no 500, no hang, no growth in memory.

How many is FUZZ_BODIES, a thousand without it; ten thousand take a minute and a half on two cores.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import pytest
from starlette.responses import JSONResponse

from tests.gateway.agents import JSON, MATRIX, STREAMS, VECTOR
from tests.gateway.jaeger_data import Jaeger, payment
from tests.gateway.support import BEARER, FakeBackend, make_client, serving
from tests.gateway.test_gateway_process import started

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.timeout(300),
    pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="reads memory from /proc"),  # noqa: PTH110
]

BODIES = int(os.environ.get("FUZZ_BODIES", "1000"))
AT_ONCE = 16
SECONDS = 20
GROWTH_MIB = 4.0

WORDS = [
    "up", "{}", "", "sum(rate(x[5m]))", '{app="postgres"}', '{resource.service.name="a" && duration > 1s}',
    '{service.name="a"}', "2025-11-21T14:00:00Z", "now-1h", "5m", "-1", "9" * 40, "1e400", "\x00", "ä\U0001f600",
    "a" * 9000, "prometheus", "loki", "tempo", "x", "../../api/v1/admin", "{{{{", '{name=~"(a+)+$"}', "name",
]  # fmt: skip
NAMES = [
    "query", "expr", "logql", "datasource_uid", "datasourceUid", "start", "end", "startTime", "endTime", "step",
    "stepSeconds", "limit", "duration", "context", "queryType", "regex", "labelName", "title", "x",
]  # fmt: skip
TOOLS = [
    "execute_promql_query", "execute_logql_query", "search_dashboards", "traceql-search", "query_prometheus",
    "query_loki_logs", "list_datasources", "list_prometheus_label_values", "list_loki_label_names", "x",
]  # fmt: skip
METHODS = ["initialize", "ping", "tools/list", "tools/call", "notifications/cancelled", "x", ""]


class Bodies:
    """Makes bodies, the same ones for the same seed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311 - protects nothing

    def value(self, depth: int = 0) -> Any:
        """Anything that JSON can say."""
        roll = self._random.random()
        if depth < 3 and roll < 0.25:
            names = self._random.choices(NAMES, k=3)
            return {name: self.value(depth + 1) for name in names} if roll < 0.15 else [self.value(depth + 1)] * 2
        if roll < 0.75:
            return self._random.choice(WORDS)
        return self._random.choice([None, True, False, 0, -1, 15, 3600, 1e300, 2**70, 1764000000, 0.5])

    def parameters(self) -> Any:
        """Arguments of a tool, most of them an object."""
        if self._random.random() < 0.1:
            return self.value()
        usual: dict[str, Any] = {}
        if self._random.random() < 0.6:
            uid = self._random.choice(["prometheus", "loki"])
            query = self._random.choice(["up", '{app="postgres"}', "{}", 'sum(rate({app="x"}[5m]))'])
            usual = {"query": query, "expr": query, "logql": query, "datasource_uid": uid, "datasourceUid": uid}
        return usual | {name: self.value(2) for name in self._random.choices(NAMES, k=self._random.randrange(4))}

    def compass(self) -> bytes:
        """A call in COMPASS's dialect."""
        return self._spoil({"tool": self._pick([*TOOLS[:3], "x"]), "params": self.parameters()})

    def message(self) -> bytes:
        """A message of MCP."""
        params = {"name": self._pick(TOOLS), "arguments": self.parameters()}
        message = {"jsonrpc": "2.0", "method": self._pick(METHODS), "params": self._or_other(params)}
        if self._random.random() < 0.8:
            message["id"] = self._or_other(self._random.randrange(1000))
        return self._spoil(message)

    def _pick(self, known: list[str]) -> Any:
        return self._or_other(self._random.choice(known))

    def _or_other(self, value: Any) -> Any:
        return self.value() if self._random.random() < 0.1 else value

    def _spoil(self, document: Any) -> bytes:
        """As bytes, a fifth of them damaged."""
        body = bytearray(json.dumps(document).encode("utf-8", "surrogatepass"))
        roll = self._random.random()
        if roll < 0.1:
            for _ in range(self._random.randrange(1, 6)):
                body[self._random.randrange(len(body))] = self._random.randrange(256)
        elif roll < 0.15:
            del body[self._random.randrange(len(body)) :]
        elif roll < 0.18:
            return b"[" * self._random.randrange(1, 100_000)
        elif roll < 0.2:
            return self._random.randbytes(self._random.randrange(300))
        return bytes(body)


def resident(pid: int) -> float:
    """MiB of a process that are its own."""
    with open(f"/proc/{pid}/status") as lines:  # noqa: PTH123 - no file system behind it
        fields = dict(line.split(":", 1) for line in lines)
    return int(fields["RssAnon"].split()[0]) / 1024


@pytest.mark.parametrize(
    ("front", "path", "make"),
    [
        ("main", "/mcp", Bodies.compass),
        ("main", "/mcp", Bodies.message),
        ("traces", "/api/mcp", Bodies.message),
    ],
    ids=["compass", "mcp", "traces"],
)
async def test_many_bodies(tmp_path: Path, front: str, path: str, make: Callable[[Bodies], bytes]) -> None:
    backend = FakeBackend("all")
    backend.always("/api/v1/query", lambda: JSONResponse(VECTOR))
    backend.always("/api/v1/query_range", lambda: JSONResponse(MATRIX))
    backend.always("/loki/api/v1/query_range", lambda: JSONResponse(STREAMS))
    for names in ("/loki/api/v1/labels", "/api/v1/labels", "/api/v1/label/__name__/values"):
        backend.always(names, lambda: JSONResponse({"status": "success", "data": ["service_name"]}))
    Jaeger(backend, [payment(number) for number in range(1, 5)])
    bodies = Bodies(1)
    statuses: dict[int, int] = {}
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(serving(backend))
        process, ports = await stack.enter_async_context(
            started(
                tmp_path,
                backends__prometheus={"url": url},
                backends__loki={"url": url},
                backends__traces={"kind": "jaeger", "url": url},
            )
        )
        assert process.stdout is not None
        # It writes a line for each request, which somebody has to read.
        reading = asyncio.create_task(_read(process.stdout))
        client = await stack.enter_async_context(make_client(**BEARER, **JSON))

        async def send(count: int) -> None:
            for _ in range(count):
                body = make(bodies)
                async with asyncio.timeout(SECONDS):
                    answer = await client.post(f"http://127.0.0.1:{ports[front]}{path}", content=body)
                statuses[answer.status_code] = statuses.get(answer.status_code, 0) + 1
                assert answer.status_code != 500, body[:500]
            backend.seen.clear()

        async def send_all(count: int) -> None:
            async with asyncio.TaskGroup() as tasks:
                for _ in range(AT_ONCE):
                    tasks.create_task(send(count // AT_ONCE))

        await send_all(BODIES // 5)
        before = resident(process.pid)
        await send_all(BODIES - BODIES // 5)
        after = resident(process.pid)
        process.terminate()
        await reading
    assert set(statuses) <= {200, 202, 400, 404, 413, 422}, statuses
    assert statuses.get(200, 0) > BODIES // 20, "not everything is refused"
    assert after - before < GROWTH_MIB, "bodies leave nothing behind"


async def _read(stream: asyncio.StreamReader) -> None:
    while await stream.read(65536):
        pass
