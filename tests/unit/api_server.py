"""An API server on a loopback port that answers what a test wants, and a kubeconfig for it."""

import json
import threading
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml

Answer = tuple[int, object]


class ApiServer:
    """Path -> status and document; ``hanging`` keeps every answer back."""

    def __init__(self) -> None:
        self.answers: dict[str, Answer] = {"/version": (200, {"gitVersion": "v1.34.0"})}
        self.asked: list[tuple[str, str, object]] = []
        self.hanging = False
        self.released = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def _answer(self) -> None:
                path = self.path.partition("?")[0].rstrip("/")
                length = int(self.headers.get("Content-Length") or 0)
                outer.asked.append((self.command, self.path, json.loads(self.rfile.read(length) or b"null")))
                if outer.hanging:
                    outer.released.wait()
                    return
                status, document = outer.answers.get(path, (404, {"message": "not found"}))
                body = document if isinstance(document, bytes) else json.dumps(document).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = do_DELETE = _answer  # noqa: N815 # the names that the base class calls

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 # the base's
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    @contextmanager
    def running(self) -> Generator[None]:
        thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield
        finally:
            self.released.set()
            self.server.shutdown()
            thread.join()
            self.server.server_close()


def kubeconfig(
    path: Path, url: str, user: Mapping[str, Any] | None = None, cluster: Mapping[str, Any] | None = None
) -> Path:
    document = {
        "clusters": [{"name": "c", "cluster": {"server": url, **(cluster or {})}}],
        "users": [{"name": "u", "user": dict(user or {})}],
        "contexts": [{"name": "test", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "",
    }
    path.write_text(yaml.safe_dump(document))
    return path
