"""``python -m cluster.policies ROOT``: enforces the cluster's NetworkPolicies with nftables."""

import json
import socketserver
import sys
import threading
import time
from pathlib import Path
from typing import Any, Final

from cluster.layout import Layout
from cluster.machine import nft
from cluster.mirror import Mirror
from cluster.rules import pods_of, render
from infra.errors import DemoError

__all__ = ["Enforcer", "handler_of"]

_USER: Final = "policies"
_RETRY_SECONDS: Final = 1
_KNOWN_SECONDS: Final = 5
_POLL_SECONDS: Final = 0.02


class Enforcer:
    """Keeps the rules as the objects demand. All methods may be called from any thread."""

    def __init__(self, layout: Layout) -> None:
        self.changed = threading.Event()
        self._lock = threading.Lock()
        self._in_force = ""
        self._early: dict[tuple[str, str], tuple[str, str]] = {}
        """(namespace, name) -> (container id, address): a pod's address before the API knows it."""
        self._pods, self._namespaces, self._policies = (
            Mirror(layout.keys, _USER, path, self.changed.set)
            for path in ("/api/v1/pods", "/api/v1/namespaces", "/apis/networking.k8s.io/v1/networkpolicies")
        )

    def follow(self) -> None:
        """Start to follow the API and return when everything was read once."""
        mirrors = (self._pods, self._namespaces, self._policies)
        for mirror in mirrors:
            mirror.start()
        for mirror in mirrors:
            mirror.filled.wait()

    def enforce(self) -> None:
        """Put the rules in force that the objects demand now.

        Raises:
            DemoError: nftables refuses them; those before stay in force.
        """
        with self._lock:
            early = {key: address for key, (_, address) in self._early.items()}
            namespaces: dict[str, dict[str, str]] = {
                item["metadata"]["name"]: item["metadata"].get("labels") or {} for item in self._namespaces.objects
            }
            ruleset = render(self._policies.objects, pods_of(self._pods.objects, early), namespaces)
            if ruleset != self._in_force:
                nft(ruleset)
                self._in_force = ruleset

    def add(self, pod: tuple[str, str], container: str, address: str) -> str:
        """Count a pod's address in, before its first process runs; returns what is wrong."""
        deadline = time.monotonic() + _KNOWN_SECONDS
        while not any((p["metadata"]["namespace"], p["metadata"]["name"]) == pod for p in self._pods.objects):
            if time.monotonic() > deadline:
                return f"the pod {'/'.join(pod)} is not known yet"
            time.sleep(_POLL_SECONDS)
        self._early[pod] = container, address
        try:
            self.enforce()
        except DemoError as error:
            return str(error)
        return ""

    def remove(self, pod: tuple[str, str], container: str) -> None:
        """Forget a pod's address, unless the pod has a new one by now."""
        if self._early.get(pod, ("",))[0] == container:
            del self._early[pod]
            self.changed.set()


def handler_of(enforcer: Enforcer) -> type[socketserver.StreamRequestHandler]:
    """What answers the CNI plugin for this enforcer."""

    class Handler(socketserver.StreamRequestHandler):
        """Answers one call of the CNI plugin."""

        def handle(self) -> None:
            line = self.rfile.readline()
            if not line:
                # Somebody looked whether we are here.
                return
            message: dict[str, Any] = json.loads(line)
            pod, problem = (str(message["namespace"]), str(message["name"])), ""
            if message["command"] == "ADD":
                problem = enforcer.add(pod, str(message["id"]), str(message["address"]))
            else:
                enforcer.remove(pod, str(message["id"]))
            self.wfile.write(json.dumps({"problem": problem}).encode() + b"\n")

    return Handler


def main() -> None:
    """Enforce for ever."""
    layout = Layout(Path(sys.argv[1]))
    enforcer = Enforcer(layout)
    enforcer.follow()
    enforcer.enforce()
    layout.policy_socket.unlink(missing_ok=True)
    server = socketserver.ThreadingUnixStreamServer(str(layout.policy_socket), handler_of(enforcer))
    server.daemon_threads = True
    layout.policy_socket.chmod(0o600)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    retry = None
    while True:
        enforcer.changed.wait(retry)
        enforcer.changed.clear()
        retry = None
        try:
            enforcer.enforce()
        except DemoError as error:
            print(error, flush=True)
            retry = _RETRY_SECONDS


if __name__ == "__main__":
    main()
