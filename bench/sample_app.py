"""What does telemetry cost the sample app? Requests a second on one core, and latency at a fixed rate, with it and without.

Three modes, measured in turns, so that a noisy machine disturbs all of them alike:

* ``full``: every request traced (spans of server, pool, statements, commit), its log line on stdout and by OTLP,
metrics with
  exemplars. What the demo runs.
* ``off``: no spans, no OTLP. Metrics and the log line on stdout stay.
* ``bare``: no metrics and no log line either.

The app is pinned to one core; PostgreSQL, the load generator and the OTLP receiver (a process that takes everything
and keeps nothing) share the other cores. PostgreSQL is a container unless an empty server's superuser DSN is given.
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
from urllib.parse import urlsplit

import psutil

HERE = Path(__file__).parent
PACKAGE = HERE.parent / "sample-app"
PORT, ADMIN_PORT, SINK_PORT = 18480, 18481, 18482
MODES: dict[str, dict[str, str]] = {
    "full": {"PAYMENT_OTLP_ENDPOINT": f"http://127.0.0.1:{SINK_PORT}"},
    "off": {},
    "bare": {"PAYMENT_METRICS_ENABLED": "false", "PAYMENT_LOG_LEVEL": "warning"},
}
_SECRETS = ("postgres-password", "payments-owner-password", "payment-app-password", "postgres-exporter-password")
_DATABASE = (
    "set -e; export PGDATA=/tmp/bench; initdb -U postgres --pwfile=/tmp/password -A scram-sha-256 -E UTF8 --no-sync
    >/dev/null;" "echo 'host all all all scram-sha-256' >> $PGDATA/pg_hba.conf;" "exec postgres -c
    listen_addresses='*' -c shared_buffers=64MB -c shared_preload_libraries=pg_stat_statements" # The disk is not what
    is measured: without this it, not the core of the app, would be the limit. " -c synchronous_commit=off"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One measurement of one mode."""

    rate: float
    cpu_us: float
    errors: int
    p50_ms: float
    p99_ms: float
    rss_mib: float


def _run(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()  # our own commands


@contextlib.contextmanager
def database(chosen: argparse.Namespace, secrets: Path, cores: str) -> Generator[dict[str, str]]:
    """A seeded PostgreSQL.

    Args:
        chosen: The command line.
        secrets: Folder of the password files.
        cores: Cores for the container.

    Yields:
        Environment for the app: where it is.
    """
    name = f"sample-app-bench-{os.getpid()}"
    if chosen.dsn:
        parts = urlsplit(chosen.dsn)
        (secrets / "postgres-password").write_text(parts.password or "", encoding="utf-8")
        where = {"PAYMENT_DB_HOST": parts.hostname or "127.0.0.1", "PAYMENT_DB_PORT": str(parts.port or 5432)}
    else:
        _run("docker", "create", "--name", name, "--user", "postgres", "--cpuset-cpus", cores, "-p", "127.0.0.1::5432",
             "--entrypoint", "bash", chosen.image, "-c", _DATABASE)  # fmt: skip
        _run("docker", "cp", str(secrets / "postgres-password"), f"{name}:/tmp/password")
        _run("docker", "start", name)
        port = _run("docker", "port", name, "5432").rpartition(":")[2]
        where = {"PAYMENT_DB_HOST": "127.0.0.1", "PAYMENT_DB_PORT": port}
    files = {
        "PAYMENT_SUPERUSER_PASSWORD_FILE": str(secrets / "postgres-password"),
        "PAYMENT_OWNER_PASSWORD_FILE": str(secrets / "payments-owner-password"),
        "PAYMENT_APP_PASSWORD_FILE": str(secrets / "payment-app-password"),
        "PAYMENT_EXPORTER_PASSWORD_FILE": str(secrets / "postgres-exporter-password"),
    }
    environment = {**where, **files}
    try:
        task = [sys.executable, "-m", "payment_service.database"]
        settings = {**_environment(environment), "PAYMENT_SEED_PAYMENTS": str(chosen.payments)}
        subprocess.run(task, check=True, env=settings, stdout=subprocess.DEVNULL)  # our own command
        yield environment
    finally:
        if not chosen.dsn:
            _run("docker", "rm", "--force", "--volumes", name)


def _environment(extra: dict[str, str]) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("PAYMENT_")}
    return {**kept, "PYTHONPATH": str(PACKAGE), **extra}


@contextlib.contextmanager
def process(command: list[str], environment: dict[str, str], cores: list[int], ready: str) -> Generator[psutil.Process]:
    """A process pinned to cores, once it answers.

    Args:
        command: What to start.
        environment: Its environment.
        cores: Cores it may use.
        ready: URL that answers when it is ready.

    Yields:
        The process.
    """
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) as started:  # our own command
        psutil.Process(started.pid).cpu_affinity(cores)
        try:
            deadline = time.monotonic() + 30
            while True:
                try:
                    with urllib.request.urlopen(ready, timeout=1):  # noqa: S310  # our own address
                        break
                except OSError:
                    if time.monotonic() > deadline or started.poll() is not None:
                        raise
                    time.sleep(0.05)
            yield psutil.Process(started.pid)
        finally:
            started.terminate()


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
        where: Environment with the database's address.
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
        **{key: value for key, value in where.items() if "SUPERUSER" not in key},
        **MODES[mode],
    }
    command = [sys.executable, "-m", "payment_service"]
    with process(command, _environment(settings), cores[:1], f"http://127.0.0.1:{PORT}/health/ready") as app:
        connections = ("--connections", str(chosen.connections))
        load(mix, chosen.seconds / 4, cores[1:], *connections)
        before = app.cpu_times()
        fast = load(mix, chosen.seconds, cores[1:], *connections)
        after = app.cpu_times()
        used = after.user + after.system - before.user - before.system
        steady = load(mix, chosen.seconds, cores[1:], *connections, "--rate", str(chosen.rate))
        return Sample(
            rate=fast["rate"],
            cpu_us=1e6 * used / fast["requests"],
            errors=round(fast["errors"] + steady["errors"]),
            p50_ms=steady["p50_ms"],
            p99_ms=steady["p99_ms"],
            rss_mib=app.memory_info().rss / 2**20,
        )


def table(samples: dict[tuple[str, str], list[Sample]]) -> str:
    """Medians as a markdown table.

    Args:
        samples: Measurements by mix and mode.
    """
    lines = [
        "| requests | telemetry | requests/s | of off | of bare | CPU µs/request | p50 ms | p99 ms | RSS MiB | errors
        |", "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for (mix, mode), taken in samples.items():
        shares: list[str] = []
        for base in ("off", "bare"):
            pairs = [one.rate / other.rate for one, other in zip(taken, samples.get((mix, base), []), strict=False)]
            shares.append(f"{100 * statistics.median(pairs):.0f} %" if pairs else "")
        medians = [
            statistics.median(getattr(one, field) for one in taken)
            for field in ("rate", "cpu_us", "p50_ms", "p99_ms", "rss_mib")
        ]
        rate, cpu, p50, p99, rss = medians
        errors = sum(one.errors for one in taken)
        lines.append(
            f"| {mix} | {mode} | {rate:.0f} | {shares[0]} | {shares[1]} | {cpu:.0f} | {p50:.2f} | {p99:.2f} | {rss:.0f} | {errors} |"
        )
    return "\n".join(lines)


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--dsn", help="superuser DSN of an empty PostgreSQL, such as postgresql://postgres:PASSWORD@127.0.0.1:5432"
    )
    parser.add_argument(
        "--image", default="postgres:18", help="image for a container of our own (default: %(default)s)"
    )
    parser.add_argument("--payments", type=int, default=200_000, help="payments to seed (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="measurements of each mode (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=8.0, help="of each measurement (default: %(default)s)")
    parser.add_argument(
        "--rate", type=float, default=150.0, help="requests/s of the latency measurement (default: %(default)s)"
    )
    parser.add_argument(
        "--connections", type=int, default=16, help="of the load generator and of the pool (default: %(default)s)"
    )
    parser.add_argument("--mix", choices=("pay", "mix"), action="append", help="what to send (default: both)")
    parser.add_argument("--mode", choices=tuple(MODES), action="append", help="what to measure (default: all)")
    chosen = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        parser.error("two cores are needed: one for the app, one for everything else")
    samples: dict[tuple[str, str], list[Sample]] = {}
    with tempfile.TemporaryDirectory() as folder:
        secrets = Path(folder)
        secrets.chmod(0o755)
        for name in _SECRETS:
            (secrets / name).write_text("bench", encoding="utf-8")
        others = ",".join(map(str, cores[1:]))
        sink = [sys.executable, str(HERE / "sample_app_sink.py"), str(SINK_PORT)]
        with (
            database(chosen, secrets, others) as where,
            process(sink, dict(os.environ), cores[1:], f"http://127.0.0.1:{SINK_PORT}/"),
        ):
            for number in range(chosen.rounds):
                for mix in chosen.mix or ("pay", "mix"):
                    modes = chosen.mode or list(MODES)
                    for mode in modes if number % 2 == 0 else reversed(modes):
                        sample = measure(mode, mix, chosen, where, cores)
                        samples.setdefault((mix, mode), []).append(sample)
                        sys.stderr.write(f"{number} {mix} {mode} {sample}\n")
            with urllib.request.urlopen(f"http://127.0.0.1:{SINK_PORT}/", timeout=5) as answer:  # our own address
                received = json.loads(answer.read())
    print(table(dict(sorted(samples.items(), reverse=True))))  # its output
    print(
        f"\nThe OTLP receiver took {received['spans']} spans and {received['logs']} log records in {received['batches']} batches."
    )  # as above
    print(
        f"{platform.processor() or platform.machine()}, {len(cores)} cores, Python {platform.python_version()}, {time.strftime('%Y-%m-%d')}."
    )  # as above
    return 0


if __name__ == "__main__":
    sys.exit(main())
