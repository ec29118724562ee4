"""What the kubelets keep of a container's output."""

from collections.abc import Iterator, Mapping
from queue import SimpleQueue
from threading import Thread
from typing import Any, Final

from cli.platforms.pods import PodContainer, containers_of
from infra.errors import DemoError
from infra.targets.kubernetes.client import KubeClient
from infra.targets.kubernetes.objects import name_of, part, parts

__all__ = ["container_log", "last_lines"]

_LAST_LINES: Final = 8
_ANSWER_SECONDS: Final = 30


def container_log(client: KubeClient, namespace: str, container: str, *, lines: int, follow: bool) -> Iterator[bytes]:
    """The last lines of a container in every pod that has it; several pods are told apart by their names.

    Raises:
        DemoError: no pod has it, or it has not started.
    """
    pods = [pod for pod in client.items(f"/api/v1/namespaces/{namespace}/pods") if _has(pod, container)]
    running = {one.pod: one for one in containers_of(pods) if one.name == container}
    if not running and pods:
        # A task that has ended: the last of its runs.
        pods = sorted(pods, key=lambda pod: str(pod["metadata"]["creationTimestamp"]))[-1:]
    if not pods:
        raise DemoError(f"{container} has no pod; run ./demo up, and ./demo status says more.")
    for one in running.values():
        if not one.running and not one.crashed:
            raise DemoError(f"{container} has not started: {one.reason}.")
    sources = [
        _stream(client, namespace, pod, container, running.get(pod), lines=lines, follow=follow)
        for pod in (running or [name_of(pods[0])])
    ]
    yield from sources[0] if len(sources) == 1 else _merged(dict(zip(running, sources, strict=True)), follow=follow)


def last_lines(client: KubeClient, namespace: str, container: PodContainer) -> list[str]:
    """The last lines of one container, of its last run if it crashes."""
    chunks = _stream(client, namespace, container.pod, container.name, container, lines=_LAST_LINES, follow=False)
    return b"".join(chunks).decode(errors="replace").splitlines()


def _has(pod: Mapping[str, Any], container: str) -> bool:
    return any(one["name"] == container for one in parts(pod, "spec", "containers")) and not part(pod, "metadata").get(
        "deletionTimestamp"
    )


def _stream(
    client: KubeClient,
    namespace: str,
    pod: str,
    container: str,
    state: PodContainer | None,
    *,
    lines: int,
    follow: bool,
) -> Iterator[bytes]:
    parameters = {"container": container, "tailLines": str(lines)}
    if state is not None and state.crashed and not state.running and state.restarts:
        parameters["previous"] = "true"
    elif follow:
        parameters["follow"] = "true"
    path = f"/api/v1/namespaces/{namespace}/pods/{pod}/log"
    return client.stream(path, parameters, seconds=None if "follow" in parameters else _ANSWER_SECONDS)


def _merged(sources: Mapping[str, Iterator[bytes]], *, follow: bool) -> Iterator[bytes]:
    """Whole lines of several pods, each with its pod's name in front: one after the other, or as they come."""
    if not follow:
        for pod, source in sources.items():
            yield from _lines(pod, source)
        return
    received: SimpleQueue[bytes | None] = SimpleQueue()

    def pump(pod: str, source: Iterator[bytes]) -> None:
        try:
            for line in _lines(pod, source):
                received.put(line)
        finally:
            received.put(None)

    for pod, source in sources.items():
        Thread(target=pump, args=(pod, source), daemon=True).start()
    left = len(sources)
    while left:
        line = received.get()
        if line is None:
            left -= 1
        else:
            yield line


def _lines(pod: str, source: Iterator[bytes]) -> Iterator[bytes]:
    rest = b""
    for chunk in source:
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            yield f"{pod} | ".encode() + line + b"\n"
    if rest:
        yield f"{pod} | ".encode() + rest + b"\n"
