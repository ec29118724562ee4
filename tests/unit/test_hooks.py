"""What the hooks clear away before a resource is made, and what they refuse to touch."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import pulumi
import pytest
from fake_engine import container
from small_topology import SCHEMA, TOPOLOGY

from infra.errors import DemoError
from infra.targets.docker.hooks import Hooks
from infra.targets.docker.naming import LABEL_GENERATION, LABEL_STACK, network_name, volume_name
from infra.targets.docker.readiness import Readiness
from infra.topology.model import ExecProbe, Service, Task
from toolchain.engine import ContainerState, Engine

OURS = {LABEL_STACK: "test"}


@dataclass
class Things:
    """What an engine has, and what was removed of it."""

    containers: dict[str, ContainerState] = field(default_factory=dict[str, ContainerState])
    nets: dict[str, Mapping[str, str]] = field(default_factory=dict[str, Mapping[str, str]])
    volumes: dict[str, Mapping[str, str]] = field(default_factory=dict[str, Mapping[str, str]])
    removed: list[str] = field(default_factory=list[str])

    def container(self, name: str) -> ContainerState | None:
        return self.containers.get(name)

    def networks(self, name: str) -> dict[str, Mapping[str, str]]:
        assert name == network_name("test")
        return dict(self.nets)

    def volume_labels(self, name: str) -> Mapping[str, str] | None:
        return self.volumes.get(name)

    def remove(self, container: str) -> None:
        self.removed.append(container)

    def remove_network(self, network: str) -> None:
        self.removed.append(network)

    def remove_volume(self, name: str) -> None:
        self.removed.append(name)


class Waits:
    """Remembers what was waited for."""

    def __init__(self) -> None:
        self.waited: list[str] = []

    async def wait_until_done(self, task: Task) -> None:
        self.waited.append(f"{task.name} done")

    async def wait_until_ready(self, service: Service, _probe: ExecProbe) -> None:
        self.waited.append(f"{service.name} ready")


class Hook:
    """A hook that no engine is told of: the SDK's registers itself with the one that runs."""

    def __init__(self, name: str, callback: Callable[[Any], Coroutine[Any, Any, None]]) -> None:
        self.name, self.callback = name, callback


@pytest.fixture(autouse=True)
def _without_an_engine(monkeypatch: pytest.MonkeyPatch) -> None:  # pyright: ignore[reportUnusedFunction] - a fixture
    monkeypatch.setattr(pulumi, "ResourceHook", Hook)


def hooks(things: Things, waits: Waits | None = None) -> Hooks:
    return Hooks("test", lambda: cast("Engine", things), lambda: cast("Readiness", waits))


def run(some: Any) -> None:
    """Run hooks as the engine does."""
    for hook in some or ():
        asyncio.run(hook.callback(None))


def test_leftovers_of_this_stack_are_cleared_away() -> None:
    state = container("test", "schema", labels=OURS)
    old, new = volume_name("test", "old"), volume_name("test", "new")
    things = Things(
        containers={state.name: state},
        nets={"one": OURS, "two": OURS},
        volumes={old: {**OURS, LABEL_GENERATION: "1"}, new: {**OURS, LABEL_GENERATION: "2"}},
    )
    made = hooks(things)
    run(made.container(SCHEMA, needed=False).before_create)
    run(made.network(network_name("test")).before_create)
    for name in ("old", "new", "missing"):
        run(made.volume(name, "2").before_create)
    assert things.removed == [state.id, "one", "two", old], "a volume of these secrets is the data, and stays"


@pytest.mark.parametrize("labels", [{}, {LABEL_STACK: "another"}])
def test_what_has_the_name_and_is_somebody_else_s_is_refused_by_its_kind(labels: dict[str, str]) -> None:
    state = container("test", "schema", labels=labels)
    things = Things(containers={state.name: state}, nets={"one": labels}, volumes={volume_name("test", "data"): labels})
    made = hooks(things)
    for kind, name, binding in (
        ("container", state.name, made.container(SCHEMA, needed=False)),
        ("network", network_name("test"), made.network(network_name("test"))),
        ("volume", volume_name("test", "data"), made.volume("data", "1")),
    ):
        with pytest.raises(DemoError) as caught:
            run(binding.before_create)
        assert str(caught.value) == (
            f"A {kind} named {name} exists and is not this demo's; remove it (docker {kind} rm {name})."
        )
    assert things.removed == []


def test_a_task_is_waited_for_and_of_services_those_that_others_need_and_that_check_themselves() -> None:
    waits = Waits()
    made = hooks(Things(), waits)
    run(made.container(SCHEMA, needed=False).after_create)
    assert waits.waited == ["schema done"]
    for service in TOPOLOGY.services:
        for needed in (True, False):
            run(made.container(service, needed=needed).after_create)
    wanted = [f"{one.name} ready" for one in TOPOLOGY.services if isinstance(one.probe, ExecProbe)]
    assert wanted
    assert waits.waited[1:] == wanted
