"""Who may have the machine's addresses, and what the machine is asked."""

import json
import subprocess
from pathlib import Path

import pytest

from cluster import machine
from cluster.layout import NODE_LINK, Layout
from infra.errors import DemoError

Answers = dict[str, tuple[int, str]]


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Answers:
    """Command -> (exit code, output); what is not in it fails."""
    found: Answers = {"ip -json -4 route": (0, json.dumps([{"dst": "default", "dev": "eth0"}]))}

    def run(*command: str) -> "subprocess.CompletedProcess[str]":
        code, output = found.get(" ".join(command), (1, ""))
        return subprocess.CompletedProcess(command, code, output, "")

    monkeypatch.setattr(machine, "_run", run)
    monkeypatch.setattr(machine, "CLAIM_FILE", tmp_path / "claim")
    monkeypatch.setattr(machine, "_CGROUPS", tmp_path / "cgroup")
    return found


@pytest.mark.usefixtures("answers")
def test_one_home_claims_the_machine_and_may_do_so_again() -> None:
    layout = Layout(Path("/one/cluster"))
    machine.claim(layout)
    machine.claim(layout)
    assert machine.claimed_by() == "/one/cluster"


@pytest.mark.usefixtures("answers")
def test_the_cluster_of_another_home_is_named_with_the_way_to_stop_it() -> None:
    machine.claim(Layout(Path("/one/cluster")))
    with pytest.raises(DemoError, match=r"cluster in /one/cluster .*: COMPASS_DEMO_HOME=/one \./demo cluster down"):
        machine.claim(Layout(Path("/two/cluster")))
    assert machine.claimed_by() == "/one/cluster"


def test_another_kubernetes_is_not_disturbed(answers: Answers, tmp_path: Path) -> None:
    answers["nft list table ip kube-proxy"] = (0, "table ip kube-proxy {}")
    with pytest.raises(DemoError, match="another Kubernetes runs on this machine"):
        machine.claim(Layout(tmp_path))
    assert machine.claimed_by() == ""
    del answers["nft list table ip kube-proxy"]
    pods = tmp_path / "cgroup/memory/kubepods/burstable"
    pods.mkdir(parents=True)
    (pods / "cgroup.procs").write_text("")
    machine.claim(Layout(tmp_path))
    machine.CLAIM_FILE.unlink()
    (pods / "cgroup.procs").write_text("4711\n")
    with pytest.raises(DemoError, match="it has pods in"):
        machine.claim(Layout(tmp_path))


@pytest.mark.parametrize(
    ("destination", "device", "fits"),
    [
        ("10.0.0.0/8", "vpn", True),
        ("172.17.0.0/16", "docker0", True),
        ("10.250.0.0/24", NODE_LINK, True),
        ("10.244.0.0/24", "vpn", False),
        ("10.96.3.0/24", "vpn", False),
        ("10.250.0.7", "vpn", False),
    ],
)
def test_a_route_into_the_clusters_addresses_is_named(
    answers: Answers, tmp_path: Path, destination: str, device: str, fits: bool
) -> None:
    answers["ip -json -4 route"] = (0, json.dumps([{"dst": destination, "dev": device}]))
    if fits:
        machine.claim(Layout(tmp_path))
        return
    with pytest.raises(DemoError, match=rf"a route to {destination}.* \(vpn\)"):
        machine.claim(Layout(tmp_path))
