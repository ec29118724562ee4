"""A real PostgreSQL for the tests: given by a DSN, made from local binaries, or run from an image."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from abc import ABC, abstractmethod
from pathlib import Path
from urllib.parse import unquote, urlsplit

import psutil

PASSWORD = "a-superuser's-password"
_OPTIONS = (
    "-c", "shared_buffers=64MB", "-c", "max_connections=120", "-c", "fsync=off",
    "-c", "shared_preload_libraries=pg_stat_statements", "-c", "deadlock_timeout=200ms",
)  # fmt: skip
_START_TIMEOUT = 30.0


class NoServerError(Exception):
    """No PostgreSQL can be had; the text says why."""


class Server(ABC):
    """A PostgreSQL server on this machine."""

    def __init__(self, host: str, port: int, password: str) -> None:
        self.host = host
        self.port = port
        self.password = password

    @abstractmethod
    def start(self) -> None:
        """Start it unless it runs, and wait until it listens."""

    @abstractmethod
    def stop(self) -> None:
        """Kill it: connections break, new ones are refused."""

    @abstractmethod
    def pause(self) -> None:
        """Stop it from answering; connections stay."""

    @abstractmethod
    def resume(self) -> None:
        """Let it answer again."""

    @abstractmethod
    def remove(self) -> None:
        """Leave nothing behind."""

    def _wait_until_open(self) -> None:
        deadline = time.monotonic() + _START_TIMEOUT
        while True:
            with contextlib.suppress(OSError), socket.create_connection((self.host, self.port), timeout=1) as probe:
                # A TCP connection alone proves nothing with Docker's proxy: ask whether it wants TLS, it says S or N.
                probe.sendall(b"\x00\x00\x00\x08\x04\xd2\x16\x2f")
                if probe.recv(1) in {b"S", b"N"}:
                    return
            if time.monotonic() > deadline:
                raise NoServerError(f"PostgreSQL did not listen on port {self.port} in time")
            time.sleep(0.05)


class GivenServer(Server):
    """A server of somebody else: it can be used, not stopped."""

    def start(self) -> None:
        self._wait_until_open()

    def stop(self) -> None:
        raise NotImplementedError

    def pause(self) -> None:
        raise NotImplementedError

    def resume(self) -> None:
        raise NotImplementedError

    def remove(self) -> None:
        """It was there before."""


class LocalServer(Server):
    """A server from binaries of this machine, in a temporary folder."""

    def __init__(self, binaries: Path) -> None:
        super().__init__("127.0.0.1", free_port(), PASSWORD)
        self._binaries = binaries
        self._folder = Path(tempfile.mkdtemp(prefix="payment-tests-"))
        self._process: subprocess.Popen[bytes] | None = None
        self._user = _server_user()
        secret = self._folder / "password"
        secret.write_text(PASSWORD, encoding="utf-8")
        if self._user is not None:
            shutil.chown(self._folder, self._user)
            shutil.chown(secret, self._user)
        data = ["-D", str(self._folder / "data")]
        options = [
            "-U",
            "postgres",
            f"--pwfile={secret}",
            "-A",
            "scram-sha-256",
            "-E",
            "UTF8",
            "--locale=C",
            "--no-sync",
        ]
        subprocess.run(
            [str(binaries / "initdb"), *data, *options],
            check=True,
            capture_output=True,
            user=self._user,
            cwd=self._folder,
        )

    def start(self) -> None:
        if self._process is not None:
            return
        where = ["-D", str(self._folder / "data"), "-p", str(self.port), "-k", str(self._folder)]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [str(self._binaries / "postgres"), *where, "-c", "listen_addresses=127.0.0.1", *_OPTIONS],
                stdout=log, stderr=log, user=self._user, cwd=self._folder,
            )  # fmt: skip
        self._wait_until_open()

    def stop(self) -> None:
        if self._process is not None:
            # Immediate shutdown: the server ends as if the machine had.
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait(_START_TIMEOUT)
            self._process = None

    def pause(self) -> None:
        for process in self._family():
            process.suspend()

    def resume(self) -> None:
        for process in self._family():
            process.resume()

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self._folder)

    def _family(self) -> list[psutil.Process]:
        assert self._process is not None
        parent = psutil.Process(self._process.pid)
        return [parent, *parent.children()]


class ContainerServer(Server):
    """A server in a container."""

    def __init__(self, image: str) -> None:
        super().__init__("127.0.0.1", free_port(), PASSWORD)
        self._name = f"payment-tests-{uuid.uuid4().hex[:8]}"
        script = (
            'set -e; export PGDATA=/tmp/data; printf %s "$SECRET" > /tmp/password;'
            "initdb -U postgres --pwfile=/tmp/password -A scram-sha-256 -E UTF8 --locale=C --no-sync >/dev/null;"
            "echo 'host all all all scram-sha-256' >> $PGDATA/pg_hba.conf"
        )
        run = f"exec postgres -D /tmp/data -c listen_addresses='*' {' '.join(_OPTIONS)}"
        publish = f"127.0.0.1:{self.port}:5432"
        self._docker("create", "--name", self._name, "--user", "postgres", "-p", publish, "-e", f"SECRET={PASSWORD}",
                     "--entrypoint", "bash", image, "-c", f"[ -d /tmp/data ] || ({script}); {run}")  # fmt: skip

    def start(self) -> None:
        self._docker("start", self._name)
        self._wait_until_open()

    def stop(self) -> None:
        self._docker("kill", "--signal", "QUIT", self._name)
        self._docker("wait", self._name)

    def pause(self) -> None:
        self._docker("pause", self._name)

    def resume(self) -> None:
        self._docker("unpause", self._name)

    def remove(self) -> None:
        self._docker("rm", "--force", "--volumes", self._name)

    def _docker(self, *arguments: str) -> None:
        subprocess.run(["docker", *arguments], check=True, capture_output=True)


def make_server() -> Server:
    """The first of: ``TEST_POSTGRES_DSN``, binaries of this machine, ``TEST_POSTGRES_IMAGE``.

    Raises:
        NoServerError: None of them is there.
    """
    dsn = os.environ.get("TEST_POSTGRES_DSN")
    if dsn:
        parts = urlsplit(dsn)
        return GivenServer(parts.hostname or "127.0.0.1", parts.port or 5432, unquote(parts.password or ""))
    image = os.environ.get("TEST_POSTGRES_IMAGE")
    if image:
        return ContainerServer(image)
    binaries = _find_binaries()
    if binaries is not None:
        return LocalServer(binaries)
    raise NoServerError("no PostgreSQL: set TEST_POSTGRES_DSN or TEST_POSTGRES_IMAGE, or install its server")


def free_port() -> int:
    """A port of this machine that nobody uses now."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


def _find_binaries() -> Path | None:
    on_path = shutil.which("initdb")
    if on_path is not None:
        return Path(on_path).resolve().parent
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda folder: int(folder.parent.name))
    return next((folder for folder in reversed(folders) if (folder / "initdb").exists()), None)


def _server_user() -> str | None:
    """PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return next((name for name in ("postgres", "nobody") if name in names), None)
