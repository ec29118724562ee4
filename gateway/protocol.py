"""uvicorn's HTTP protocol with a bound on what a caller may send before the application sees anything."""

from __future__ import annotations

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

# More than any URL limit of the configuration, plus room for headers.
HEAD_BYTES = 128 * 1024


class BoundedHttpProtocol(HttpToolsProtocol):
    """Refuses a request line and headers without end: the parser itself would collect them in memory for ever."""

    _head_bytes = 0
    _in_head = True

    def on_headers_complete(self) -> None:
        """Note that the head is complete; what follows is a body, which the application bounds."""
        self._in_head = False
        super().on_headers_complete()

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
            self.send_400_response("The request line and headers are too long.")
