"""Looking for deviations: each of them is found, and nothing else is."""

from collections.abc import Callable
from typing import cast

import pytest
from fake_engine import FakeEngine, container
from small_topology import TOPOLOGY

from cli.platforms.docker_drift import deviations
from toolchain.engine import Engine

NETWORKS = ("compass-test", "compass-test-clients")


def complete() -> FakeEngine:
    engine = FakeEngine(network_names=set(NETWORKS), volume_names={"compass-test-data", "compass-test-logs"})
    for name in ("db", "db-logs", "web"):
        engine.states[name] = container("test", name)
    engine.states["schema"] = container("test", "schema", status="exited", restarts_always=False)
    return engine


def look(engine: FakeEngine) -> list[str]:
    return deviations(TOPOLOGY, cast("Engine", engine), "test")


def test_a_stack_that_is_as_it_should_be_has_no_deviation() -> None:
    assert look(complete()) == []


Happening = Callable[[FakeEngine], object]


def remove(service: str) -> Happening:
    return lambda engine: engine.states.pop(service)


def replace(service: str, **changes: object) -> Happening:
    return lambda engine: engine.states.update({service: container("test", service, **changes)})


def remove_network(name: str) -> Happening:
    return lambda engine: engine.network_names.remove(name)


def remove_volume(name: str) -> Happening:
    return lambda engine: engine.volume_names.remove(f"compass-test-{name}")


@pytest.mark.parametrize(
    ("happens", "found"),
    [
        (remove("web"), "web is missing"),
        (remove("db-logs"), "db-logs is missing"),
        (remove("schema"), "schema is missing"),
        (replace("web", status="exited", exit_code=137), "web is exited"),
        (replace("web", status="paused"), "web is paused"),
        (replace("schema", status="exited", exit_code=2), "schema is not done"),
        (replace("schema", status="running"), "schema is not done"),
        *((remove_network(name), f"the network {name} is missing") for name in NETWORKS),
        (remove_volume("data"), "the volume data is missing"),
        (remove_volume("logs"), "the volume logs is missing"),
    ],
)
def test_one_deviation_is_found_and_named(happens: Happening, found: str) -> None:
    engine = complete()
    happens(engine)
    assert look(engine) == [found]


def test_containers_of_another_stack_do_not_stand_in_for_ours() -> None:
    engine = complete()
    engine.states["web"] = container("other", "web")
    assert look(engine) == ["web is missing"]


def test_a_removed_stack_is_missing_everything() -> None:
    assert len(look(FakeEngine())) == 4 + len(NETWORKS) + 2
