"""What is checked before anything is created, and the sentence for each fault."""

import os
import shutil
import socket
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple, cast

import psutil
import pytest
from fake_engine import FakeEngine
from small_topology import DB, TOPOLOGY
from stubs import always

from infra.errors import DemoError
from infra.targets.docker.naming import volume_name
from infra.targets.docker.preflight import check_disk, check_images, check_machine, check_ports, require
from infra.topology.model import Exposure, Port, Topology
from toolchain.engine import Engine, EngineInfo


@pytest.fixture
def taken() -> Generator[int]:
    """A port that this process listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def publishing(number: int, key: str | None = "postgresPort") -> Topology:
    port = Port(name="sql", number=5432, exposure=Exposure.HOST, host_port=number, host_port_key=key)
    return Topology(workloads=(replace(DB, ports=(port,)),))


def ports(topology: Topology, engine: FakeEngine) -> list[str]:
    return list(check_ports(topology, cast("Engine", engine), "test"))


class Address(NamedTuple):
    ip: str
    port: int


class Connection(NamedTuple):
    laddr: Address
    status: str
    pid: int | None


def test_a_port_of_another_program_names_the_program_and_the_key(taken: int, monkeypatch: pytest.MonkeyPatch) -> None:
    here = Address("127.0.0.1", taken)
    connections = [
        Connection(Address("127.0.0.1", taken + 1), psutil.CONN_LISTEN, 1),
        Connection(here, psutil.CONN_ESTABLISHED, 1),
        Connection(here, psutil.CONN_LISTEN, os.getpid()),
    ]
    monkeypatch.setattr(psutil, "net_connections", always(connections))
    (sentence,) = ports(publishing(taken), FakeEngine())
    assert sentence.startswith(f"Port {taken} for db is in use by ")
    assert f"{psutil.Process().name()} (process {os.getpid()})" in sentence
    assert sentence.endswith("or move the port with compass-demo:postgresPort or compass-demo:portOffset.")


def test_a_port_of_another_container_names_the_container(taken: int) -> None:
    (sentence,) = ports(publishing(taken), FakeEngine(ports_of_others={taken: "their-postgres"}))
    assert "is in use by the container their-postgres;" in sentence


@pytest.mark.parametrize("error", [psutil.AccessDenied(), psutil.NoSuchProcess(1), PermissionError()])
def test_a_holder_that_cannot_be_seen_is_another_program(
    taken: int, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def refuse(_kind: str) -> None:
        raise error

    monkeypatch.setattr(psutil, "net_connections", refuse)
    (sentence,) = ports(publishing(taken), FakeEngine())
    assert "is in use by another program;" in sentence


def test_a_port_that_no_key_moves_has_a_sentence_too(taken: int) -> None:
    (sentence,) = ports(publishing(taken, key=None), FakeEngine())
    assert sentence.endswith("move the port with its key.")


def test_a_port_that_the_stack_itself_holds_is_fine(taken: int) -> None:
    assert ports(publishing(taken), FakeEngine(ports_of_stack={taken: "compass-test-db"})) == []


def test_a_port_of_a_container_that_is_just_starting_is_fine(taken: int) -> None:
    assert ports(publishing(taken), FakeEngine(ports_starting={taken})) == []


def test_a_free_port_is_fine_also_a_moment_after_it_was_closed(taken: int) -> None:
    with socket.create_connection(("127.0.0.1", taken)):
        assert len(ports(publishing(taken), FakeEngine())) == 1
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        free = probe.getsockname()[1]
    assert ports(publishing(free), FakeEngine()) == []


class Usage(NamedTuple):
    total: int
    used: int
    free: int


def disk(monkeypatch: pytest.MonkeyPatch, root: Path, free_mib: int, made: set[str] | None = None) -> list[str]:
    monkeypatch.setattr(shutil, "disk_usage", always(Usage(0, 0, free_mib * 2**20)))
    info = EngineInfo(version="20.10", cpus=8, memory_mib=8192, root=root)
    return list(check_disk(TOPOLOGY, cast("Engine", FakeEngine(info=info, volume_names=made or set())), "airgap"))


def test_a_disk_that_is_nearly_full_is_told_with_both_figures(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    # A gibibyte to spare, and the volume that two containers share counts once: 100 + 50.
    assert disk(monkeypatch, tmp_path, 1173) == [
        f"{tmp_path} has 1173 MiB free and the demo may take 1174; free some space (docker system prune)."
    ]
    assert disk(monkeypatch, tmp_path, 1174) == []


def test_volumes_that_are_made_already_need_only_what_is_to_spare(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    names = {volume.name for container in TOPOLOGY.containers() for volume in container.volumes}
    made = {volume_name("airgap", name) for name in names}
    assert disk(monkeypatch, tmp_path, 1024, made) == []
    assert len(disk(monkeypatch, tmp_path, 1023, made)) == 1


def test_a_disk_that_cannot_be_seen_from_here_is_not_judged(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert disk(monkeypatch, tmp_path / "in-a-virtual-machine", 0) == []


@pytest.mark.parametrize(
    ("cpus", "memory_mib", "sentences"),
    [
        (2, 512, []),
        (1, 512, ["The Docker engine has 1 processor and the demo needs 2."]),
        (2, 511, ["The Docker engine has 511 MiB of memory and the demo needs 512 MiB."]),
    ],
)
def test_the_machine_needs_what_the_largest_container_does(cpus: int, memory_mib: int, sentences: list[str]) -> None:
    engine = FakeEngine(info=EngineInfo(version="20.10", cpus=cpus, memory_mib=memory_mib, root=Path("/nowhere")))
    assert list(check_machine(TOPOLOGY, cast("Engine", engine))) == sentences


def missing(engine: FakeEngine) -> list[str]:
    return list(check_images(TOPOLOGY, cast("Engine", engine)))


def test_an_image_of_ours_that_is_not_built_says_how_to_build_it() -> None:
    assert missing(FakeEngine(image_names={"example/db:1.2.3"})) == [
        "Not built yet: demo/web:abc. Run ./demo up, or ./demo images and then pulumi up."
    ]


def test_an_official_image_that_is_missing_is_the_providers_to_pull() -> None:
    assert missing(FakeEngine(image_names={"demo/web:abc"})) == []


def test_an_image_that_the_engine_lists_by_another_name_is_there() -> None:
    assert missing(FakeEngine(shortened_names={"demo/web:abc"})) == []


def test_all_faults_are_told_at_once() -> None:
    with pytest.raises(DemoError, match=r"^first\nsecond$"):
        require(iter(["first", "second"]))
    require([])
