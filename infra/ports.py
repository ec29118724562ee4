"""Loopback ports of this machine: whether one is taken, by which program, and which key moves ours."""

import contextlib
import socket
from typing import Any, Final

import psutil

from infra.topology.model import Port

__all__ = ["LOOPBACK", "holder", "is_taken", "taken_sentence"]

LOOPBACK: Final = "127.0.0.1"


def is_taken(number: int) -> bool:
    """Whether another program listens on a loopback port."""
    with socket.socket() as probe:
        # As servers bind: a port that was closed a moment ago is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, number))
        except OSError:
            return True
    return False


def holder(number: int) -> str:
    """Which program listens on a port."""
    # Other users' processes are hidden from a plain user, on some systems all of them.
    with contextlib.suppress(psutil.Error, OSError):
        for connection in psutil.net_connections("tcp"):
            address: Any = connection.laddr
            if connection.status == psutil.CONN_LISTEN and address.port == number and connection.pid:
                return f"{psutil.Process(connection.pid).name()} (process {connection.pid})"
    return "another program"


def taken_sentence(service: str, port: Port, who: str) -> str:
    """What to do about a port that somebody else has."""
    keys = f"compass-demo:{port.host_port_key} or compass-demo:portOffset" if port.host_port_key else "its key"
    return f"Port {port.host_port} for {service} is in use by {who}; stop it, or move the port with {keys}."
