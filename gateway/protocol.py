"""uvicorn's HTTP protocol with bounds on what a caller may send before the application sees anything."""

from __future__ import annotations

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from gateway.problems import Refused

# More than any URL limit of the configuration, plus room for headers.
HEAD_BYTES = 128 * 1024


class BoundedHttpProtocol(HttpToolsProtocol):
    """Refuses a request line and headers without end: the parser itself would collect them in memory for ever."""

    _head_bytes = 0
    _in_head = True

    def on_headers_complete(self) -> None:
        """Note that the head is complete, and refuse the request if too many are served already."""
        self._in_head = False
        own, limit = self.app, self.limit_concurrency
        # uvicorn's own answer is two words that name no limit.
        self.limit_concurrency = None
        if limit is not None and (len(self.connections) > limit or len(self.tasks) >= limit):
            sentence = f"the gateway serves as many connections as its limit of {limit} connections; try again"
            self.app = Refused(503, "unavailable", sentence, headers={"Retry-After": "1"}).response()
        try:
            super().on_headers_complete()
        finally:
            self.app, self.limit_concurrency = own, limit

    def on_message_complete(self) -> None:
        """Note that another head may follow."""
        self._in_head = True
        self._head_bytes = 0
        super().on_message_complete()

    def data_received(self, data: bytes) -> None:
        """Parse what came, and count it as long as the head is not complete."""
        self._head_bytes += len(data)
        super().data_received(data)
        if self._in_head and self._head_bytes > HEAD_BYTES and not self.transport.is_closing():
            self.send_400_response(f"The request line and headers are longer than the limit of {HEAD_BYTES} bytes.")
