"""What ``doctor`` says of a machine: each thing that ``up`` needs, and what is wrong with it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from fake_display import FakeDisplay
from fake_engine import FakeEngine
from fake_session import fake_session
from small_topology import TOPOLOGY
from stubs import always

from cli import doctor
from cli.doctor import Finding, docker_findings, examine
from cli.session import Session
from infra.errors import DemoError
from infra.paths import DemoHome
from infra.targets.docker import preflight
from toolchain.pulumi_tools import PulumiTools


@dataclass
class Machine(FakeEngine):
    """An engine with an address, and perhaps a registry that answers."""

    host: str = "unix:///docker.sock"
    answers: bool = True

    def registry_answers(self, reference: str) -> bool:
        assert reference == "example/db:1.2.3"
        return self.answers


@pytest.fixture(autouse=True)
def _enough(monkeypatch: pytest.MonkeyPatch) -> None:  # pyright: ignore[reportUnusedFunction] - a fixture
    for check in ("check_machine", "check_disk", "check_ports"):
        monkeypatch.setattr(preflight, check, always([]))
    monkeypatch.setattr(PulumiTools, "present", always(None))


def look(monkeypatch: pytest.MonkeyPatch, home: Path, machine: Machine) -> dict[str, Finding]:
    monkeypatch.setattr(doctor.Engine, "connect", always(machine))
    return {finding.what: finding for finding in docker_findings(fake_session(home, "airgap", engine=machine))}


def test_a_machine_that_has_everything(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found = look(monkeypatch, tmp_path, Machine(image_names={"example/db:1.2.3", "demo/web:abc"}))
    assert {what: finding.detail for what, finding in found.items()} == {
        "Docker engine": "20.10 at unix:///docker.sock, 8 processors, 8192 MiB",
        "processors and memory": "enough",
        "disk": "enough",
        "ports": "free",
        "images": "2 of 2 here; up gets the rest",
        "image registry": "answers for example/db:1.2.3",
    }
    assert all(finding.ok for finding in found.values())


@pytest.mark.parametrize(
    ("check", "what"),
    [("check_machine", "processors and memory"), ("check_disk", "disk"), ("check_ports", "ports")],
)
def test_a_fault_of_the_preflight_is_told_in_its_words(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, check: str, what: str
) -> None:
    monkeypatch.setattr(preflight, check, always(["It is not enough.", "Do this."]))
    found = look(monkeypatch, tmp_path, Machine())
    assert found[what] == Finding(what, ok=False, detail="It is not enough. Do this.")


def test_images_and_a_registry_that_are_not_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found = look(monkeypatch, tmp_path, Machine(image_names={"demo/web:abc"}, answers=False))
    assert found["images"] == Finding("images", ok=False, detail="1 of 2 here; up gets the rest")
    assert found["image registry"].detail == "does not answer for example/db:1.2.3"
    assert not found["image registry"].ok


def test_an_engine_that_does_not_answer_is_the_only_finding(tmp_path: Path) -> None:
    class NoEngine(Session):
        engine = _raising("No Docker engine answers; install one.")

    session = NoEngine("test", DemoHome(tmp_path), FakeDisplay())
    session.__dict__["topology"] = TOPOLOGY
    assert list(docker_findings(session)) == [
        Finding("Docker engine", ok=False, detail="No Docker engine answers; install one.")
    ]


def _raising(sentence: str) -> Any:
    """A property of a session that cannot be had."""

    def fail(_: Session) -> None:
        raise DemoError(sentence)

    return property(fail)


def test_a_wrong_configuration_ends_the_examination(tmp_path: Path) -> None:
    class Mistyped(Session):
        topology = _raising("compass-demo:prot: there is no such key; did you mean port?")

    home = DemoHome(tmp_path)
    found = list(examine(home, lambda name: Mistyped(name, home, FakeDisplay()), "test"))
    assert [finding.what for finding in found] == [
        "Python",
        "demo's directory",
        "stacks on this machine",
        "Pulumi engine",
        "configuration of test",
    ]
    assert [finding.ok for finding in found] == [True, True, True, False, False]
    assert found[-1].detail.startswith("compass-demo:prot")
