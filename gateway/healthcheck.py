"""``python -m gateway.healthcheck [PORT [PATH]]``: a container's health check without curl.

Asks the internal listener for ``/ready/stack``; exit code 0 if the whole stack answers, else 1 and one line that names
what does not. It runs every second, so it imports next to nothing: a plain socket, and JSON only when there is
something to say.
"""

import socket
import sys

_PORT = 8090
_PATH = "/ready/stack"
_SECONDS = 4.0


def ask(port: int, path: str) -> tuple[int, bytes]:
    """Return status code and body of the local gateway's answer.

    Raises:
        OSError: it does not answer.
        ValueError: it does not answer with HTTP.
    """
    with socket.create_connection(("127.0.0.1", port), _SECONDS) as connection:
        connection.sendall(f"GET {path} HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n".encode())
        received = b""
        while chunk := connection.recv(65536):
            received += chunk
    head, _, body = received.partition(b"\r\n\r\n")
    return int(head.split(b" ", 2)[1]), body


def missing(body: bytes) -> str:
    """Return what does not answer and why, from the body of a 503."""
    import json  # noqa: PLC0415 - only needed when something is wrong

    return "; ".join(f"{one['service']}: {one['reason']}" for one in json.loads(body)["failing"])


def main(arguments: list[str]) -> int:
    """Return the exit code; print one line about what is missing."""
    port = int(arguments[0]) if arguments else _PORT
    path = arguments[1] if len(arguments) > 1 else _PATH
    try:
        status, body = ask(port, path)
        if status == 200:  # noqa: PLR2004 - http.HTTPStatus costs milliseconds to import
            return 0
        print(f"not ready: {missing(body)}")
    except OSError as error:
        print(f"the gateway does not answer on port {port}: {error}")
    except (ValueError, LookupError, TypeError):
        print(f"the gateway's answer on port {port} is not understood")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
