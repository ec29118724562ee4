"""What the gateway adds to an instant query, and how much memory large and slow answers take.

The gateway is a process of its own on one core; the load is on the others. Latency is measured against Prometheus
itself: of a running stack (--stack, reached by its container's address, so on Linux), or any other (--prometheus),
else against a stand-in that answers at once. Direct and through the gateway take turns, so that a noisy machine
disturbs both alike; on one that is busy with other things, start this with chrt -f 5. Memory is what is resident at
the most (VmHWM), shared pages included.
"""

import argparse
import asyncio
import contextlib
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Generator
from dataclasses import dataclass
from pathlib import Path

import docker
import httpx2
import psutil
import yaml
from machine import describe_machine

from infra.targets.docker.naming import container_name

HERE = Path(__file__).parent
TOKEN = "a-token-of-the-benchmark"  # noqa: S105 - opens nothing but the benchmark's own gateway
FRONTS = ("main", "loki", "prometheus", "traces", "internal")
FIRST_PORT, BACKEND_PORT = 18500, 18510
RATE = 50
QUERY = "/api/v1/query?query=up"
LARGE = {"query": "large", "start": "2025-01-01T00:00:00Z", "end": "2025-01-01T01:00:00Z"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Gateway:
    """A running gateway."""

    process: psutil.Process

    def url(self, front: str) -> str:
        """Base URL of a front."""
        return f"http://127.0.0.1:{FIRST_PORT + FRONTS.index(front)}"

    def resident(self, field: str) -> float:
        """``VmRSS`` or its peak ``VmHWM``, in MiB."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii").splitlines()
        (value,) = [line.split()[1] for line in lines if line.startswith(f"{field}:")]
        return int(value) / 1024

    def processor_seconds(self) -> float:
        """What it has used so far, the kernel's work for it included."""
        times = self.process.cpu_times()
        return times.user + times.system

    def forget_peak(self) -> None:
        """Let the peak begin anew."""
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5", encoding="ascii")


@contextlib.contextmanager
def gateway(prometheus: str, other: str, core: int) -> Generator[Gateway]:
    """A gateway pinned to one core.

    Args:
        prometheus: URL of its Prometheus.
        other: URL of all other back ends.
        core: number of the core.
    """
    with tempfile.TemporaryDirectory() as folder:
        token = Path(folder, "token")
        token.write_text(TOKEN, encoding="ascii")
        document = {
            "stack": "bench",
            "distribution": "packages",
            "authentication": {"mode": "required", "token_file": str(token)},
            "listeners": {
                front: {"host": "127.0.0.1", "port": FIRST_PORT + number} for number, front in enumerate(FRONTS)
            },
            "backends": {
                "prometheus": {"url": prometheus},
                "loki": {"url": other},
                "traces": {"kind": "jaeger", "url": other},
            },
        }
        file = Path(folder, "gateway.yaml")
        file.write_text(yaml.safe_dump(document), encoding="utf-8")
        command = [sys.executable, "-m", "gateway", "--config", str(file), "--log-level", "INFO"]
        with started(command, core, f"http://127.0.0.1:{FIRST_PORT}/ready") as process:
            yield Gateway(process=process)


@contextlib.contextmanager
def started(command: list[str], core: int, ready: str) -> Generator[psutil.Process]:
    """A process on one core, from when it answers."""
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as popen:
        process = psutil.Process(popen.pid)
        process.cpu_affinity([core])
        try:
            deadline = time.monotonic() + 20
            while not _answers(ready):
                if popen.poll() is not None or time.monotonic() > deadline:
                    sys.exit(f"{command[2]} did not start")
                time.sleep(0.05)
            yield process
        finally:
            popen.terminate()


def _answers(url: str) -> bool:
    try:
        return httpx2.get(url, timeout=2, trust_env=False).is_success
    except httpx2.HTTPError:
        return False


async def latencies(client: httpx2.AsyncClient, url: str, seconds: float) -> list[float]:
    """Milliseconds of each request at the fixed rate, from when it was due."""
    found: list[float] = []
    started_at = time.perf_counter()

    async def ask(due: float) -> None:
        answer = await client.get(url)
        answer.raise_for_status()
        found.append((time.perf_counter() - due) * 1000)

    async with asyncio.TaskGroup() as tasks:
        for number in range(int(RATE * seconds)):
            due = started_at + number / RATE
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            tasks.create_task(ask(due))
    return sorted(found)


def percentile(values: list[float], share: float) -> float:
    """The value that this share of all does not exceed."""
    return values[min(len(values) - 1, int(len(values) * share))]


async def measure_latency(running: Gateway, direct: str, *, rounds: int, seconds: float) -> None:
    """Print what the gateway adds."""
    through = running.url("prometheus")
    rows: list[tuple[float, ...]] = []
    used = 0.0
    async with client() as asked:
        for url in (direct, through):
            await latencies(asked, url + QUERY, 2)
        for _ in range(rounds):
            one = await latencies(asked, direct + QUERY, seconds)
            before = running.processor_seconds()
            other = await latencies(asked, through + QUERY, seconds)
            used += running.processor_seconds() - before
            rows.append(tuple(percentile(values, share) for share in (0.5, 0.99) for values in (one, other)))
    print("| | direct ms | through the gateway ms | added ms | at most |\n|---|---:|---:|---:|---:|")
    for name, at, most in (("p50", 0, 5), ("p99", 2, 15)):
        medians = [statistics.median(row[at + side] for row in rows) for side in (0, 1)]
        added = statistics.median(row[at + 1] - row[at] for row in rows)
        print(f"| {name} | {medians[0]:.1f} | {medians[1]:.1f} | {added:.1f} | {most} |")
    print(f"\nprocessor time of a request: {used * 1000 / (rounds * int(RATE * seconds)):.2f} ms")


def client() -> httpx2.AsyncClient:
    """A client with the token."""
    limits = httpx2.Limits(max_connections=400)
    return httpx2.AsyncClient(
        headers={"Authorization": f"Bearer {TOKEN}"}, limits=limits, timeout=60, trust_env=False, verify=False
    )


async def tool(asked: httpx2.AsyncClient, running: Gateway, name: str, uid: str) -> httpx2.Response:
    """Call a tool in COMPASS's dialect."""
    call = {"tool": name, "params": LARGE | {"datasource_uid": uid}}
    return await asked.post(running.url("main") + "/mcp", json=call)


async def measure_memory(running: Gateway, many: int) -> None:
    """Print the peak for many large answers at once, each kind for itself, and for slow ones."""

    async def metrics(asked: httpx2.AsyncClient) -> httpx2.Response:
        return await tool(asked, running, "execute_promql_query", "prometheus")

    async def logs(asked: httpx2.AsyncClient) -> httpx2.Response:
        return await tool(asked, running, "execute_logql_query", "loki")

    async def mcp(asked: httpx2.AsyncClient) -> httpx2.Response:
        arguments = {"expr": "large", "datasourceUid": "prometheus", "queryType": "range", "stepSeconds": 15}
        arguments |= {"startTime": "2025-01-01T00:00:00Z", "endTime": "2025-01-01T01:00:00Z"}
        params = {"name": "query_prometheus", "arguments": arguments}
        message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
        return await asked.post(running.url("main") + "/mcp", json=message)

    async def front(asked: httpx2.AsyncClient) -> httpx2.Response:
        return await asked.get(running.url("prometheus") + "/api/v1/query?query=large")

    kinds: dict[str, Callable[[httpx2.AsyncClient], Awaitable[httpx2.Response]]] = {
        "metrics, COMPASS's dialect": metrics,
        "logs, COMPASS's dialect": logs,
        "metrics, MCP": mcp,
        "Prometheus front": front,
    }
    print(f"\n| {many} large answers at once | peak MiB | seconds | answered |\n|---|---:|---:|---|")
    for name, ask in kinds.items():
        running.forget_peak()
        began = time.monotonic()
        async with client() as asked:
            answers = await asyncio.gather(*(ask(asked) for _ in range(many)))
        statuses = [answer.status_code for answer in answers]
        counts = ", ".join(f"{statuses.count(status)} x {status}" for status in sorted(set(statuses)))
        print(f"| {name} | {running.resident('VmHWM'):.0f} | {time.monotonic() - began:.1f} | {counts} |")


async def measure_slow(running: Gateway) -> None:
    """Print how readiness answers beside 200 queries that hang."""
    async with client() as asked, client() as other:
        never = [
            asyncio.create_task(asked.get(running.url("prometheus") + "/api/v1/query?query=never")) for _ in range(200)
        ]
        await asyncio.sleep(1)
        times = await latencies(other, running.url("internal") + "/ready", 4)
        for task in never:
            task.cancel()
        await asyncio.gather(*never, return_exceptions=True)
    middle, slowest = (percentile(times, share) for share in (0.5, 0.99))
    print(f"\n/ready beside 200 hanging queries: p50 {middle:.1f} ms, p99 {slowest:.1f} ms")
    print(f"resident at the end: {running.resident('VmRSS'):.0f} MiB")


def _prometheus_of(stack: str) -> str:
    container = docker.from_env().containers.get(container_name(stack, "prometheus"))
    networks = container.attrs["NetworkSettings"]["Networks"]
    (address,) = [network["IPAddress"] for network in networks.values()]
    return f"http://{address}:9090"


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stack", help="a running stack on Docker, whose Prometheus is asked")
    parser.add_argument("--prometheus", help="URL of any other one that is asked")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=20, help="of each round and side")
    parser.add_argument("--many", type=int, default=32, help="large answers at once")
    options = parser.parse_args()
    print(describe_machine())
    cores = psutil.Process().cpu_affinity() or [0]
    stand_in = f"http://127.0.0.1:{BACKEND_PORT}"
    backend = [sys.executable, str(HERE / "gateway_backend.py"), str(BACKEND_PORT)]
    psutil.Process().cpu_affinity(cores[1:] or cores)
    with started(backend, cores[-1], f"{stand_in}/ready"):
        direct = options.prometheus or (_prometheus_of(options.stack) if options.stack else stand_in)
        print(f"\nPrometheus: {'a stand-in' if direct == stand_in else direct}, {RATE} requests/s\n")
        with gateway(direct, stand_in, cores[0]) as running:
            asyncio.run(measure_latency(running, direct, rounds=options.rounds, seconds=options.seconds))
            print(f"\nresident after it: {running.resident('VmRSS'):.0f} MiB")
        with gateway(stand_in, stand_in, cores[0]) as running:
            asyncio.run(measure_memory(running, options.many))
            asyncio.run(measure_slow(running))


if __name__ == "__main__":
    main()
