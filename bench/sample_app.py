"""What telemetry costs the sample app: requests a second on one core, and latency at a fixed rate, with it and without.

Three modes, measured in turns, so that a noisy machine disturbs all of them alike:

* full: every request traced (spans of server, pool, statements, commit), its log line on stdout and by OTLP, metrics
  with exemplars. What the demo runs.
* off: no spans, no OTLP. Metrics and the log line on stdout stay.
* bare: no metrics and no log line either.

The app is pinned to one core; PostgreSQL (a container, unless the superuser DSN of an empty server is given), the
load generator and the OTLP receiver (a process that takes everything and keeps nothing) share the others. If there is
only one other, PostgreSQL is slower than the app, which then idles ("core used"). So the measure is requests per
second of the app's own CPU time, all its threads and the kernel's work for them included: what one core can do at
most. --rivals N lets N processes that do nothing compete for the app's core, so that it is the limit even then.
"""

import argparse
import contextlib
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

import psutil
from sample_app_database import database, environment

HERE = Path(__file__).parent
PORT, ADMIN_PORT, SINK_PORT = 18480, 18481, 18482
SINK = f"http://127.0.0.1:{SINK_PORT}"
MODES: dict[str, dict[str, str]] = {
    "full": {"PAYMENT_OTLP_ENDPOINT": SINK},
    "off": {},
    "bare": {"PAYMENT_METRICS_ENABLED": "false", "PAYMENT_LOG_LEVEL": "warning"},
}
COMMANDS: dict[str, list[str]] = {}
"""Another command than the app's own, for modes that are no settings of it."""
_RIVAL = "while True: pass"
_HEAD = "| requests | telemetry | per CPU second | of off | of bare | requests/s | of off | of bare | core used |"
_HEAD_AT_RATE = " p50 ms | p99 ms | RSS MiB | errors |"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One measurement of one mode."""

    rate: float
    per_cpu: float
    used: float
    errors: int
    p50_ms: float
    p99_ms: float
    rss_mib: float


@contextlib.contextmanager
def process(
    command: list[str], settings: dict[str, str], cores: list[int], ready: str | None
) -> Generator[psutil.Process]:
    """A process pinned to cores.

    Args:
        command: What to start.
        settings: Its environment.
        cores: Cores it may use.
        ready: URL that answers when it is ready, if it serves.

    Yields:
        The process.
    """
    with subprocess.Popen(command, env=settings, stdout=subprocess.DEVNULL) as started:  # our own command
        psutil.Process(started.pid).cpu_affinity(cores)
        try:
            if ready is not None:
                _wait_for(ready, started)
            yield psutil.Process(started.pid)
        finally:
            started.terminate()


def _wait_for(url: str, started: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            with urllib.request.urlopen(url, timeout=1):  # noqa: S310  # our own address
                return
        except OSError:
            if time.monotonic() > deadline or started.poll() is not None:
                raise
            time.sleep(0.05)


def load(mix: str, seconds: float, cores: list[int], *options: str) -> dict[str, float]:
    """Send load from the other cores.

    Args:
        mix: ``pay`` or ``mix``.
        seconds: For how long.
        cores: Cores of the generator.
        options: More arguments for it.

    Returns:
        Its results.
    """
    command = [sys.executable, str(HERE / "sample_app_load.py"), str(PORT), mix, str(seconds), *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as started:  # our own command
        psutil.Process(started.pid).cpu_affinity(cores)
        text, _ = started.communicate()
    return json.loads(text)


def measure(mode: str, mix: str, chosen: argparse.Namespace, where: dict[str, str], cores: list[int]) -> Sample:
    """Measure one mode once: as fast as it goes, then at a fixed rate.

    Args:
        mode: Which.
        mix: ``pay`` or ``mix``.
        chosen: The command line.
        where: Settings with the database's address.
        cores: All cores; the first is the app's.
    """
    settings = {
        "PAYMENT_HOST": "127.0.0.1",
        "PAYMENT_PORT": str(PORT),
        "PAYMENT_ADMIN_PORT": str(ADMIN_PORT),
        "PAYMENT_DRAIN_SECONDS": "0",
        "PAYMENT_RETENTION_ENABLED": "false",
        "PAYMENT_POOL_MAX_SIZE": str(chosen.connections),
        # Without it the lock on the busiest merchant's total, not the core, would be the limit.
        "PAYMENT_COUNTER_SHARDS": "16",
        "PAYMENT_VELOCITY_MAX_HOURLY": "1000000000",
        "PAYMENT_VELOCITY_MAX_MINOR": "1000000000000",
        **where,
        **MODES[mode],
    }
    command = COMMANDS.get(mode, [sys.executable, "-m", "payment_service"])
    connections = ("--connections", str(chosen.connections))
    with process(command, environment(settings), cores[:1], f"http://127.0.0.1:{PORT}/health/ready") as app:
        with contextlib.ExitStack() as rivals:
            for _ in range(chosen.rivals):
                rivals.enter_context(process([sys.executable, "-c", _RIVAL], dict(os.environ), cores[:1], None))
            load(mix, chosen.seconds / 4, cores[1:], *connections)
            before, started = app.cpu_times(), time.perf_counter()
            fast = load(mix, chosen.seconds, cores[1:], *connections)
            after, elapsed = app.cpu_times(), time.perf_counter() - started
        used = after.user + after.system - before.user - before.system
        steady = load(mix, chosen.seconds, cores[1:], *connections, "--rate", str(chosen.rate))
        return Sample(
            rate=fast["rate"],
            per_cpu=fast["requests"] / used,
            used=used / elapsed * (1 + chosen.rivals),
            errors=round(fast["errors"] + steady["errors"]),
            p50_ms=steady["p50_ms"],
            p99_ms=steady["p99_ms"],
            rss_mib=app.memory_info().rss / 2**20,
        )


def table(samples: dict[tuple[str, str], list[Sample]]) -> str:
    """Medians as a markdown table; shares are medians of each turn's shares.

    Args:
        samples: Measurements by mix and mode.
    """

    def share(mix: str, mode: str, base: str, field: str) -> str:
        pairs = zip(samples[mix, mode], samples.get((mix, base), []), strict=False)
        shares = [getattr(one, field) / getattr(other, field) for one, other in pairs]
        return f"{100 * statistics.median(shares):.0f} %" if shares else ""

    lines = [_HEAD + _HEAD_AT_RATE, "|---|---|" + "---:|" * 11]
    for (mix, mode), taken in samples.items():

        def median(field: str, taken: list[Sample] = taken) -> float:
            return statistics.median(getattr(one, field) for one in taken)

        cells = [mix, mode]
        for field in ("per_cpu", "rate"):
            cells += [f"{median(field):.0f}", share(mix, mode, "off", field), share(mix, mode, "bare", field)]
        cells += [f"{100 * median('used'):.0f} %", f"{median('p50_ms'):.2f}", f"{median('p99_ms'):.1f}"]
        cells += [f"{median('rss_mib'):.0f}", str(sum(one.errors for one in taken))]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--dsn", help="superuser DSN of an empty PostgreSQL: postgresql://postgres:PASSWORD@127.0.0.1:5432"
    )
    parser.add_argument("--image", default="postgres:18", help="image for a PostgreSQL of our own (%(default)s)")
    parser.add_argument("--payments", type=int, default=200_000, help="payments to seed (%(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="measurements of each mode (%(default)s)")
    parser.add_argument("--seconds", type=float, default=8.0, help="of each measurement (%(default)s)")
    parser.add_argument("--rate", type=float, default=100.0, help="requests/s of the latency measurement (%(default)s)")
    parser.add_argument("--connections", type=int, default=16, help="of the load generator and the pool (%(default)s)")
    parser.add_argument("--rivals", type=int, default=0, help="processes that compete for the app's core (%(default)s)")
    parser.add_argument("--mix", choices=("pay", "mix"), action="append", help="what to send (both)")
    parser.add_argument("--mode", choices=tuple(MODES), action="append", help="what to measure (all)")
    chosen = parser.parse_args()
    if len(os.sched_getaffinity(0)) < 2:
        parser.error("two cores are needed: one for the app, one for everything else")
    return chosen


def main() -> int:
    """Measure and print."""
    chosen = parse_arguments()
    cores = sorted(os.sched_getaffinity(0))
    samples: dict[tuple[str, str], list[Sample]] = {}
    sink = [sys.executable, str(HERE / "sample_app_sink.py"), str(SINK_PORT)]
    with (
        tempfile.TemporaryDirectory() as folder,
        database(chosen, Path(folder), ",".join(map(str, cores[1:]))) as where,
        process(sink, dict(os.environ), cores[1:], SINK),
    ):
        for number in range(chosen.rounds):
            for mix in chosen.mix or ("pay", "mix"):
                modes = chosen.mode or list(MODES)
                for mode in modes if number % 2 == 0 else reversed(modes):
                    sample = measure(mode, mix, chosen, where, cores)
                    samples.setdefault((mix, mode), []).append(sample)
                    sys.stderr.write(f"{number} {mix} {mode} {sample}\n")
        with urllib.request.urlopen(SINK, timeout=5) as answer:  # our own address
            received = json.loads(answer.read())
    machine = f"{platform.processor() or platform.machine()}, {len(cores)} cores, Python {platform.python_version()}"
    taken = f"{received['spans']} spans and {received['logs']} log records in {received['batches']} batches"
    print(table(dict(sorted(samples.items(), reverse=True))))  # its output
    print(f"\nThe OTLP receiver took {taken}. {machine}, {time.strftime('%Y-%m-%d')}.")  # its output
    return 0


if __name__ == "__main__":
    sys.exit(main())
