"""An engine without Docker: the state that a test wants."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from infra.targets.docker.naming import LABEL_SERVICE, LABEL_STACK, container_name
from toolchain.engine import ContainerState, EngineInfo


def container(stack: str, service: str, **changes: object) -> ContainerState:
    fields: dict[str, object] = {
        "id": f"id-{service}",
        "name": container_name(stack, service),
        "labels": {LABEL_STACK: stack, LABEL_SERVICE: service},
        "status": "running",
        "exit_code": 0,
        "restarts": 0,
        "restarts_always": True,
        "health": None,
        "started_at": "2026-01-01T00:00:00.0Z",
        "image": "x:1",
        "memory_mib": 64,
    }
    return ContainerState(**{**fields, **changes})  # type: ignore[arg-type] # fields of any type by name


def _large_machine() -> EngineInfo:
    return EngineInfo(version="20.10", cpus=8, memory_mib=8192, root=Path("/nowhere"))


@dataclass
class FakeEngine:
    """The part of ``Engine`` that waiting and looking need."""

    states: dict[str, ContainerState] = field(default_factory=dict[str, ContainerState])
    """By service name."""
    network_names: set[str] = field(default_factory=set[str])
    volume_names: set[str] = field(default_factory=set[str])
    probe_answers: list[tuple[int, str]] = field(default_factory=list[tuple[int, str]])
    log_lines: list[str] = field(default_factory=list[str])
    stopped: list[str] = field(default_factory=list[str])
    removed: list[str] = field(default_factory=list[str])
    ports_of_stack: dict[int, str] = field(default_factory=dict[int, str])
    ports_starting: set[int] = field(default_factory=set[int])
    """Host ports of the stack's containers that are not listed yet."""
    ports_of_others: dict[int, str] = field(default_factory=dict[int, str])
    """Host port -> container."""
    image_names: set[str] = field(default_factory=set[str])
    shortened_names: set[str] = field(default_factory=set[str])
    """Images that the engine has but lists by another name."""
    info: EngineInfo = field(default_factory=_large_machine)
    memory: dict[str, int] = field(default_factory=dict[str, int])
    """Bytes by container id."""

    def containers(self, label: str) -> list[ContainerState]:
        key, _, value = label.partition("=")
        return [state for state in self.states.values() if state.labels.get(key) == value]

    def claimed_ports(self, label: str) -> set[int]:
        assert label
        return set(self.ports_starting)

    def volumes_labelled(self, label: str) -> list[str]:
        assert label
        return sorted(self.volume_names)

    def container(self, name: str) -> ContainerState | None:
        return next((state for state in self.states.values() if state.name == name), None)

    def run_inside(self, container: str, command: list[str]) -> tuple[int, str]:
        assert container
        assert command
        return self.probe_answers.pop(0)

    def logs(self, container: str, *, lines: int) -> list[str]:
        assert container
        return self.log_lines[-lines:]

    def stop(self, container: str, *, grace_seconds: int) -> None:
        assert grace_seconds >= 0
        self.stopped.append(container)

    def remove(self, container: str) -> None:
        self.removed.append(container)

    def networks(self, name: str) -> dict[str, Mapping[str, str]]:
        return {"network-id": {}} if name in self.network_names else {}

    def volume_labels(self, name: str) -> Mapping[str, str] | None:
        return {} if name in self.volume_names else None

    def published_ports(self, label: str | None = None) -> dict[int, str]:
        return self.ports_of_stack if label else {**self.ports_of_others, **self.ports_of_stack}

    def image_references(self) -> set[str]:
        return self.image_names

    def has_image(self, reference: str) -> bool:
        return reference in self.image_names | self.shortened_names

    def memory_bytes(self, container: str) -> int:
        return self.memory.get(container, 0)
