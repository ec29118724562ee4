"""``/health`` and ``/metrics`` in a thread of their own, from the standard library and prometheus_client.

A web framework would be a fifth of this process's memory for two answers.
"""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import make_wsgi_app
from prometheus_client.exposition import ThreadingWSGIServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any
    from wsgiref.types import StartResponse, WSGIEnvironment

    from prometheus_client import CollectorRegistry


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
        expose = make_wsgi_app(registry)

        def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
            path = environ.get("PATH_INFO")
            if path == "/metrics":
                return expose(environ, start_response)
            known = path == "/health"
            body = json.dumps(health() if known else {"error": "there are /health and /metrics"}).encode()
            headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
            start_response("200 OK" if known else "404 Not Found", headers)
            return [body]

        self._server: WSGIServer = make_server(host, port, application, ThreadingWSGIServer, _Quiet)
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, name="exposition", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
