"""What a demo consists of, as plain data.

A topology knows nothing of Pulumi, Docker or Kubernetes. Names are DNS names on both targets, so the files
that services read are the same bytes everywhere. A value that exists only after deployment is a reference
(``SecretRef``, ``Endpoint``), never a string.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

__all__ = [
    "Container",
    "Endpoint",
    "ExecProbe",
    "Exposure",
    "File",
    "HttpProbe",
    "Image",
    "Port",
    "Probe",
    "Scratch",
    "SecretFile",
    "SecretRef",
    "Service",
    "Sidecar",
    "Task",
    "Topology",
    "Volume",
    "Workload",
]


class Exposure(StrEnum):
    """Who may reach a port."""

    INTERNAL = "internal"
    """Other workloads of the same demo, where ``connects`` says so."""
    HOST = "host"
    """The person at the machine too: a loopback port on Docker, a tunnel on a cluster."""
    EDGE = "edge"
    """Users of the demo too: a loopback port on Docker, the ingress on a cluster."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Image:
    """An image by exact version. ``built`` images are made on this machine, the others are pulled."""

    repository: str
    version: str
    built: bool = False

    @property
    def reference(self) -> str:
        """``repository:version``, as engines write it."""
        return f"{self.repository}:{self.version}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Port:
    """A TCP port that a service listens on."""

    name: str
    number: int
    exposure: Exposure = Exposure.INTERNAL
    host_port: int | None = None
    """The loopback port on a laptop; set exactly when the port is not internal."""
    host_port_key: str | None = None
    """The configuration key that moves ``host_port``, for messages."""


@dataclass(frozen=True, slots=True)
class SecretRef:
    """A secret by name; its value never enters the topology."""

    name: str


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A port of a service as other workloads see it; an address for people is a different type (infra.targets)."""

    service: str
    port: str


@dataclass(frozen=True, kw_only=True, slots=True)
class File:
    """A read-only configuration file inside the container."""

    path: str
    content: str


@dataclass(frozen=True, kw_only=True, slots=True)
class SecretFile:
    """A secret delivered as a file: never an environment variable, never an argument."""

    path: str
    secret: SecretRef


@dataclass(frozen=True, kw_only=True, slots=True)
class Volume:
    """Storage that survives the container. Containers that name the same volume share it."""

    name: str
    path: str
    size_mib: int
    read_only: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Scratch:
    """Writable memory-backed space that may vanish; images run with a read-only root where the target can."""

    path: str
    size_mib: int


@dataclass(frozen=True, kw_only=True, slots=True)
class HttpProbe:
    """Ready when GET answers 200."""

    port: str
    path: str
    deadline_seconds: int = 60


@dataclass(frozen=True, kw_only=True, slots=True)
class ExecProbe:
    """Ready when the command, run in the container, exits with 0."""

    command: tuple[str, ...]
    deadline_seconds: int = 60


Probe = HttpProbe | ExecProbe
EnvValue = str | Endpoint


@dataclass(frozen=True, kw_only=True, slots=True)
class Container:
    """What a service, a sidecar and a task have in common."""

    name: str
    image: Image
    entrypoint: tuple[str, ...] | None = None
    """Replaces the image's entry point; ``None`` keeps it."""
    command: tuple[str, ...] = ()
    """Arguments for the entry point."""
    env: Mapping[str, EnvValue] = field(default_factory=dict[str, EnvValue])
    """An ``Endpoint`` becomes ``host:port``."""
    files: tuple[File | SecretFile, ...] = ()
    volumes: tuple[Volume, ...] = ()
    scratch: tuple[Scratch, ...] = ()
    memory_mib: int
    cpus: float
    user: int
    """Numeric user id, never 0."""
    connects: tuple[Endpoint, ...] = ()
    """The ports of other services that it talks to; may be cyclic."""
    stop_grace_seconds: int = 10

    @property
    def secrets(self) -> frozenset[str]:
        """Names of the secrets that are delivered to it."""
        return frozenset(file.secret.name for file in self.files if isinstance(file, SecretFile))


@dataclass(frozen=True, kw_only=True, slots=True)
class Sidecar(Container):
    """A container that lives and dies with its service and shares volumes with it."""

    ports: tuple[Port, ...] = ()
    probe: Probe | None = None
    """May be left out for a helper that answers nobody."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Service(Container):
    """Runs until it is told to stop."""

    ports: tuple[Port, ...] = ()
    probe: Probe | None = None
    """Required; the validator says so in a sentence instead of a traceback."""
    own_probe: HttpProbe | None = None
    """Whether the service itself answers, where ``probe`` says more: the gateway's is the health of the whole demo.

    A target that sends requests only to what is ready asks this one, or a dead back end would close the front door;
    one that has a single state of health for each container asks ``probe``, which implies it.
    """
    needs: tuple[str, ...] = ()
    """What starts before it, acyclic: services with an exec probe are ready then, others started, and tasks done."""
    sidecars: tuple[Sidecar, ...] = ()
    peers: bool = False
    """Whether several replicas of it may run; ``peers_name`` is then the name of each single one of them."""
    known_to_agents: bool = True
    """Whether it may appear where agents look: in the gateway's answers, in metrics and traces, in their settings.

    What runs the incidents must not: an agent that finds its name knows that something was done on purpose.
    """

    @property
    def peers_name(self) -> str:
        """The DNS name that stands for every single replica."""
        return f"{self.name}-peers"

    @property
    def gate(self) -> Probe | None:
        """The probe that says whether requests may be sent here."""
        return self.own_probe or self.probe

    @property
    def members(self) -> "tuple[Service | Sidecar, ...]":
        """The service and its sidecars: what lives and dies together."""
        return (self, *self.sidecars)

    def port(self, name: str) -> Port:
        """The port of that name; raises ``KeyError``."""
        for port in self.ports:
            if port.name == name:
                return port
        raise KeyError(name)


@dataclass(frozen=True, kw_only=True, slots=True)
class Task(Container):
    """Runs to completion, once for each distinct specification."""

    needs: tuple[str, ...] = ()
    deadline_seconds: int = 300

    @property
    def members(self) -> "tuple[Task]":
        """The task alone, so that workloads can be looked through alike."""
        return (self,)


Workload = Service | Task


@dataclass(frozen=True, kw_only=True, slots=True)
class Topology:
    """A whole demo."""

    workloads: tuple[Workload, ...]

    @property
    def services(self) -> tuple[Service, ...]:
        """The workloads that keep running."""
        return tuple(w for w in self.workloads if isinstance(w, Service))

    @property
    def tasks(self) -> tuple[Task, ...]:
        """The workloads that run to completion."""
        return tuple(w for w in self.workloads if isinstance(w, Task))

    @property
    def needed(self) -> frozenset[str]:
        """Names of the workloads that another one needs."""
        return frozenset(need for workload in self.workloads for need in workload.needs)

    def service(self, name: str) -> Service:
        """The service of that name; raises ``KeyError``."""
        for service in self.services:
            if service.name == name:
                return service
        raise KeyError(name)

    def port(self, endpoint: Endpoint) -> Port:
        """The port behind an endpoint, a sidecar's included; raises ``KeyError``."""
        for service in self.services:
            for member in service.members:
                for port in member.ports:
                    if (member.name, port.name) == (endpoint.service, endpoint.port):
                        return port
        raise KeyError(endpoint)

    def address(self, endpoint: Endpoint) -> str:
        """``host:port`` as other workloads write it, the same on every target."""
        return f"{endpoint.service}:{self.port(endpoint).number}"

    def containers(self) -> Iterator[Container]:
        """Every container: services, their sidecars, tasks."""
        for workload in self.workloads:
            yield from workload.members

    def in_order(self) -> Iterator[Workload]:
        """Every workload after those that it needs; the validator has refused cycles."""
        remaining = list(self.workloads)
        made: set[str] = set()
        while remaining:
            for workload in [one for one in remaining if made.issuperset(one.needs)]:
                yield workload
                made.add(workload.name)
                remaining.remove(workload)

    @property
    def volumes(self) -> Mapping[str, int]:
        """Size in MiB of every volume, by its name."""
        return {volume.name: volume.size_mib for container in self.containers() for volume in container.volumes}

    def published(self) -> Iterator[tuple[Service, Port]]:
        """Every port that a person at the machine can reach."""
        for service in self.services:
            for port in service.ports:
                if port.exposure is not Exposure.INTERNAL:
                    yield service, port

    def for_agents(self) -> Iterator[tuple[Service, Port]]:
        """The published ports of the services that agents may know of."""
        return ((service, port) for service, port in self.published() if service.known_to_agents)

    @property
    def secrets(self) -> frozenset[str]:
        """Names of all secrets that some container needs."""
        return frozenset(name for container in self.containers() for name in container.secrets)

    @property
    def images(self) -> tuple[Image, ...]:
        """Every image once, in order of first use."""
        return tuple(dict.fromkeys(container.image for container in self.containers()))
