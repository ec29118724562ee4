"""What many tests need: a service in this process or in one of its own, an OTLP receiver, waiting."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import httpx2
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from payment_service.application import Service
from payment_service.settings import ServiceSettings, TaskSettings
from payment_service.store.driver import Connection, Target, connect

from tests.sample_app.postgres import free_port

if TYPE_CHECKING:
    from pathlib import Path

    from opentelemetry.proto.common.v1.common_pb2 import KeyValue

    from tests.sample_app.postgres import Server

DEADLINE = 20.0


async def until(condition: Callable[[], bool], deadline: float = DEADLINE) -> None:
    """Wait until something is so."""
    end = time.monotonic() + deadline
    while not condition():
        assert time.monotonic() < end, "the condition did not come true in time"
        await asyncio.sleep(0.01)


async def until_true(condition: Callable[[], Awaitable[object]], deadline: float = DEADLINE) -> None:
    """Wait until something that has to be asked for is so."""
    async with asyncio.timeout(deadline):
        while not await condition():  # noqa: ASYNC110 - nobody announces it
            await asyncio.sleep(0.01)


@dataclass(frozen=True, kw_only=True)
class Place:
    """A seeded database and the secrets that open it."""

    server: Server
    secrets: Path
    database: str

    def settings(self, **changes: Any) -> ServiceSettings:
        """Settings of a service on it."""
        values: dict[str, Any] = {
            "db_host": self.server.host,
            "db_port": self.server.port,
            "db_name": self.database,
            "app_password_file": self.secrets / "payment-app-password",
            "host": "127.0.0.1",
            "retention_enabled": False,
            "drain_seconds": 0.0,
        }
        return ServiceSettings(**(values | changes))

    def task_settings(self, **changes: Any) -> TaskSettings:
        """Settings of the task that makes it."""
        values: dict[str, Any] = {
            "db_host": self.server.host,
            "db_port": self.server.port,
            "db_name": self.database,
            "seed_payments": 10_000,
            "superuser_password_file": self.secrets / "postgres-password",
            "owner_password_file": self.secrets / "payments-owner-password",
            "app_password_file": self.secrets / "payment-app-password",
            "exporter_password_file": self.secrets / "postgres-exporter-password",
            "dba_password_file": self.secrets / "dba-password",
        }
        return TaskSettings(**(values | changes))

    def environment(self, kind: str = "service", /, **changes: object) -> dict[str, str]:
        """The same for a process of its own."""
        settings = self.settings() if kind == "service" else self.task_settings()
        values = settings.model_dump(mode="json", include=set(settings.model_fields_set)) | changes
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PAYMENT_")}
        return kept | {f"PAYMENT_{name.upper()}": str(value) for name, value in values.items()}

    @asynccontextmanager
    async def connect(self, user: str = "postgres", database: str | None = None) -> AsyncGenerator[Connection]:
        """A session beside the service."""
        secrets = {"postgres": "postgres-password", "payment_app": "payment-app-password", "dba": "dba-password"}
        target = Target(
            host=self.server.host,
            port=self.server.port,
            user=user,
            database=database or self.database,
            ssl="disable",
            connect_timeout=5,
            settings={"application_name": "test"},
        )
        connection = await connect(target, (self.secrets / secrets[user]).read_text(encoding="utf-8").strip())
        try:
            yield connection
        finally:
            await connection.close(timeout=5)


@dataclass(frozen=True)
class Running:
    """A service in this process, and a client of each of its ports."""

    service: Service
    public: httpx2.AsyncClient
    admin: httpx2.AsyncClient

    async def pay(self, **body: Any) -> dict[str, Any]:
        """Make a payment that has to succeed."""
        answer = await self.public.post("/payment", json={"amount": 100.0} | body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def metric(self, line: str) -> float:
        """The value of a metric, named with its labels as it is rendered."""
        text = (await self.public.get("/metrics")).text
        values = [float(each.rpartition(" ")[2]) for each in text.splitlines() if each.startswith(line + " ")]
        return values[0] if values else 0.0


@asynccontextmanager
async def running(settings: ServiceSettings, *, ready: bool = True) -> AsyncGenerator[Running]:
    """A service in this process."""
    service = Service(settings)
    await service.start()
    try:
        if ready:
            await until(lambda: service.ready)
        public = httpx2.ASGITransport(app=service.public_app())
        admin = httpx2.ASGITransport(app=service.admin_app())
        async with (
            httpx2.AsyncClient(transport=public, base_url="http://app", timeout=60) as public_client,
            httpx2.AsyncClient(transport=admin, base_url="http://app", timeout=60) as admin_client,
        ):
            yield Running(service, public_client, admin_client)
    finally:
        await service.stop()


@dataclass
class Process:
    """A service in a process of its own."""

    popen: subprocess.Popen[bytes]
    port: int
    admin_port: int
    output: Path

    @property
    def url(self) -> str:
        """Of its public port."""
        return f"http://127.0.0.1:{self.port}"

    def lines(self) -> list[dict[str, Any]]:
        """What it has logged."""
        return [json.loads(line) for line in self.output.read_text(encoding="utf-8").splitlines()]


@contextmanager
def process(place: Place, folder: Path, *, admin_port: int | None = None, **changes: object) -> Generator[Process]:
    """A service in a process of its own, once it is ready."""
    port, admin_port = free_port(), admin_port or free_port()
    environment = place.environment("service", port=port, admin_port=admin_port, **changes)
    output = folder / f"output-{port}"
    with output.open("wb") as out:
        popen = subprocess.Popen(
            [sys.executable, "-m", "payment_service"], env=environment, stdout=out, stderr=subprocess.STDOUT
        )
    started = Process(popen, port, admin_port, output)
    try:
        deadline = time.monotonic() + DEADLINE
        while not _answers(f"{started.url}/health/ready"):
            assert popen.poll() is None, output.read_text(encoding="utf-8")
            assert time.monotonic() < deadline, output.read_text(encoding="utf-8")
            time.sleep(0.05)
        yield started
    finally:
        popen.kill()
        popen.wait()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2):  # noqa: S310 - our own address
            return True
    except (OSError, urllib.error.HTTPError):
        return False


def attributes(pairs: Any) -> dict[str, Any]:
    """OTLP's attributes as a dictionary."""
    found: list[KeyValue] = list(pairs)
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value") or "string_value") for pair in found}


@dataclass
class Receiver:
    """An OTLP receiver that keeps what it got."""

    url: str
    spans: list[Span] = field(default_factory=list[Span])
    logs: list[LogRecord] = field(default_factory=list[LogRecord])
    resources: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    statuses: list[int] = field(default_factory=list[int])
    """Answers to the next requests; 200 when there are none left."""
    requests: int = 0

    def take(self, path: str, body: bytes) -> int:
        """Take one request."""
        self.requests += 1
        status = self.statuses.pop(0) if self.statuses else 200
        if status != 200:
            return status
        if path == "/v1/traces":
            for group in ExportTraceServiceRequest.FromString(body).resource_spans:
                self.resources.append(attributes(group.resource.attributes))
                self.spans += [span for scope in group.scope_spans for span in scope.spans]
        else:
            for group in ExportLogsServiceRequest.FromString(body).resource_logs:
                self.resources.append(attributes(group.resource.attributes))
                self.logs += [record for scope in group.scope_logs for record in scope.log_records]
        return 200

    def of_trace(self, trace_id: str) -> list[Span]:
        """The spans of a trace."""
        return [span for span in self.spans if span.trace_id.hex() == trace_id]


@contextmanager
def receiver(port: int = 0) -> Generator[Receiver]:
    """An OTLP receiver on this machine."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            status = found.take(self.path, self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's own name
            del format, args

    with ThreadingHTTPServer(("127.0.0.1", port), Handler) as server:
        server.daemon_threads = True
        found = Receiver(f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield found
        finally:
            server.shutdown()
            thread.join()
