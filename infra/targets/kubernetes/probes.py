"""The topology's probes as the kubelet asks them.

- Readiness is the topology's probe: it decides whether requests are sent to a pod.
- Start-up is the same question, asked often until the deadline: then the container counts as failed and is
  started again. The other two wait for it.
- Liveness only asks whether somebody still takes connections. It must depend on nothing else: a pod that is killed
  because its back end is away makes two outages of one. What the topology asks by a command (the database) has none:
  a server that is slow is not mended by killing it, and one that is gone ends its container anyway.
"""

from typing import Final, TypedDict

from pulumi_kubernetes.core import v1

from infra.topology.model import ExecProbe, HttpProbe, Probe, Service, Sidecar

__all__ = ["Probes", "probes"]

_START_PERIOD_SECONDS: Final = 1
_READY_PERIOD_SECONDS: Final = 5
_EXEC_PERIOD_SECONDS: Final = 10
"""A command starts a process each time."""
_ALIVE_PERIOD_SECONDS: Final = 15
_ALIVE_FAILURES: Final = 6
"""A minute and a half: longer than any pause that ends by itself."""
_TIMEOUT_SECONDS: Final = 5
_FAILURES: Final = 3


class _Question(TypedDict, total=False):
    exec_: v1.ExecActionArgs
    http_get: v1.HTTPGetActionArgs


Probes = tuple[v1.ProbeArgs | None, v1.ProbeArgs | None, v1.ProbeArgs | None]
"""Start-up, readiness, liveness."""


def probes(container: Service | Sidecar) -> Probes:
    """The three probes of a container; none for a helper that the topology asks nothing."""
    probe = container.gate if isinstance(container, Service) else container.probe
    if probe is None:
        return None, None, None
    deadline = probe.deadline_seconds
    if container.probe is not None:
        # The one that says more may be slower; the pod must not be killed before it would have answered.
        deadline = max(deadline, container.probe.deadline_seconds)
    startup = v1.ProbeArgs(
        **_question(container, probe),
        period_seconds=_START_PERIOD_SECONDS,
        failure_threshold=max(1, deadline // _START_PERIOD_SECONDS),
        timeout_seconds=_TIMEOUT_SECONDS,
    )
    ready = v1.ProbeArgs(
        **_question(container, probe),
        period_seconds=_EXEC_PERIOD_SECONDS if isinstance(probe, ExecProbe) else _READY_PERIOD_SECONDS,
        failure_threshold=_FAILURES,
        timeout_seconds=_TIMEOUT_SECONDS,
    )
    alive = None
    if isinstance(probe, HttpProbe):
        alive = v1.ProbeArgs(
            tcp_socket=v1.TCPSocketActionArgs(port=_number(container, probe)),
            period_seconds=_ALIVE_PERIOD_SECONDS,
            failure_threshold=_ALIVE_FAILURES,
            timeout_seconds=_TIMEOUT_SECONDS,
        )
    return startup, ready, alive


def _question(container: Service | Sidecar, probe: Probe) -> _Question:
    if isinstance(probe, ExecProbe):
        return {"exec_": v1.ExecActionArgs(command=list(probe.command))}
    number = _number(container, probe)
    return {
        "http_get": v1.HTTPGetActionArgs(
            path=probe.path,
            port=number,
            # By name, as its peers ask: some servers refuse a request for a bare address.
            http_headers=[v1.HTTPHeaderArgs(name="Host", value=f"{container.name}:{number}")],
        )
    }


def _number(container: Service | Sidecar, probe: HttpProbe) -> int:
    return next(port.number for port in container.ports if port.name == probe.port)
