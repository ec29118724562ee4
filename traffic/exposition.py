"""``/health`` and ``/metrics`` in a thread of their own, from the standard library and prometheus_client.

A web framework would be a fifth of this process's memory for two answers.
"""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client.exposition import ThreadingWSGIServer, choose_encoder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any
    from wsgiref.types import StartResponse, WSGIEnvironment

    from prometheus_client import CollectorRegistry


# How long closing may take.
_POLL_SECONDS = 0.1


class _Quiet(WSGIRequestHandler):
    timeout = 10

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002, ANN401 - the overridden signature
        """Log nothing: what asks here asks every few seconds."""


class Exposition:
    """Serves until closed.

    Args:
        host: address to listen on.
        port: port; 0 takes a free one.
        registry: the metrics.
        health: returns the body of ``/health``.

    Raises:
        OSError: the address cannot be served.
    """

    def __init__(
        self, host: str, port: int, registry: CollectorRegistry, health: Callable[[], dict[str, object]]
    ) -> None:
        def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
            status, content_type = "200 OK", "application/json"
            match environ.get("PATH_INFO"):
                case "/metrics":
                    encode, content_type = choose_encoder(environ.get("HTTP_ACCEPT", ""))
                    body = encode(registry)
                case "/health":
                    body = json.dumps(health()).encode()
                case _:
                    status = "404 Not Found"
                    body = b'{"error": "there are /health and /metrics"}'
            start_response(status, [("Content-Type", content_type), ("Content-Length", str(len(body)))])
            return [body]

        self._server: WSGIServer = make_server(host, port, application, ThreadingWSGIServer, _Quiet)
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(_POLL_SECONDS,), name="exposition", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
