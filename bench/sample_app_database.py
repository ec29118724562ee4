"""The bench's PostgreSQL: a container of its own, or a server that somebody gives; seeded by the app's own task."""

import argparse
import contextlib
import os
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path
from urllib.parse import unquote, urlsplit

PACKAGE = Path(__file__).parent.parent / "sample-app"
_FILES = {
    "PAYMENT_SUPERUSER_PASSWORD_FILE": "postgres-password",
    "PAYMENT_OWNER_PASSWORD_FILE": "payments-owner-password",
    "PAYMENT_APP_PASSWORD_FILE": "payment-app-password",
    "PAYMENT_EXPORTER_PASSWORD_FILE": "postgres-exporter-password",
    "PAYMENT_DBA_PASSWORD_FILE": "dba-password",
}
# The disk is not what is measured: with synchronous commits it, and not the core of the app, would be the limit.
_SCRIPT = (
    "set -e; export PGDATA=/tmp/bench;"
    " initdb -U postgres --pwfile=/tmp/password -A scram-sha-256 -E UTF8 --no-sync >/dev/null;"
    " echo 'host all all all scram-sha-256' >> $PGDATA/pg_hba.conf;"
    " exec postgres -c listen_addresses='*' -c shared_buffers=64MB -c synchronous_commit=off"
    " -c shared_preload_libraries=pg_stat_statements"
)


def environment(extra: dict[str, str]) -> dict[str, str]:
    """This process's environment without settings of the app, and with these.

    Args:
        extra: Settings of the app.
    """
    kept = {key: value for key, value in os.environ.items() if not key.startswith("PAYMENT_")}
    return {**kept, "PYTHONPATH": str(PACKAGE), **extra}


@contextlib.contextmanager
def database(chosen: argparse.Namespace, secrets: Path, cores: str) -> Generator[dict[str, str]]:
    """A seeded PostgreSQL.

    Args:
        chosen: The command line: ``dsn``, ``image``, ``payments``.
        secrets: Folder for the password files.
        cores: Cores for the container.

    Yields:
        Settings that lead the app there.
    """
    for name in _FILES.values():
        (secrets / name).write_text("bench", encoding="utf-8")
    settings = {variable: str(secrets / name) for variable, name in _FILES.items()}
    with contextlib.ExitStack() as stack:
        dsn: str | None = chosen.dsn
        if dsn:
            parts = urlsplit(dsn)
            (secrets / "postgres-password").write_text(unquote(parts.password or ""), encoding="utf-8")
            host, port = parts.hostname or "127.0.0.1", str(parts.port or 5432)
        else:
            host, port = "127.0.0.1", stack.enter_context(_container(chosen.image, secrets, cores))
        settings |= {"PAYMENT_DB_HOST": host, "PAYMENT_DB_PORT": port}
        seeded = environment({**settings, "PAYMENT_SEED_PAYMENTS": str(chosen.payments)})
        task = [sys.executable, "-m", "payment_service.database"]
        subprocess.run(task, check=True, env=seeded, stdout=subprocess.DEVNULL)  # our own command
        settings.pop("PAYMENT_SUPERUSER_PASSWORD_FILE")
        yield settings


@contextlib.contextmanager
def _container(image: str, secrets: Path, cores: str) -> Generator[str]:
    name = f"sample-app-bench-{os.getpid()}"
    create = ["create", "--name", name, "--user", "postgres", "--cpuset-cpus", cores, "-p", "127.0.0.1::5432"]
    _docker(*create, "--entrypoint", "bash", image, "-c", _SCRIPT)
    try:
        _docker("cp", str(secrets / "postgres-password"), f"{name}:/tmp/password")
        _docker("start", name)
        yield _docker("port", name, "5432").splitlines()[0].rpartition(":")[2]
    finally:
        _docker("rm", "--force", "--volumes", name)


def _docker(*arguments: str) -> str:
    command = ["docker", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()  # our own command
