"""The lab cluster itself: volumes, names, policies, repair, and that nothing is left of it."""

import time
from typing import Any

import pytest
import yaml
from eventually import eventually
from lab_cluster import Lab
from machine_state import MachineState, machine_state

from cli.progress import make_display
from cluster.lifecycle import parts_of
from cluster.parts import PART_NAMES
from cluster.processes import find, stop
from cluster.programs import installed_programs
from cluster.teardown import halt
from images.build import ensure_images
from images.catalog import images
from infra.config import load_stack_config
from infra.paths import LAB_CONTEXT, REPOSITORY, DemoHome
from toolchain.engine import Engine
from toolchain.progress import Silent

pytestmark = [pytest.mark.kubernetes, pytest.mark.timeout(900)]

SPACE = "compass-test"
PODS = f"/api/v1/namespaces/{SPACE}/pods"
USER = 4711

SERVER = """
import http.server, os, socket, threading
open('/data/written', 'a').write('x')
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(b'served')
    def log_message(self, *_): pass
http.server.HTTPServer(('', 8080), Handler).serve_forever()
"""
ASK = "import sys, urllib.request as u; print(u.urlopen(f'http://{sys.argv[1]}/', timeout=4).read().decode())"


@pytest.fixture(scope="module")
def image(lab: Lab) -> str:
    """Python, pushed to the cluster's registry as a person would push it."""
    config = load_stack_config(REPOSITORY, "airgap")
    wanted, engine = images(config)["python"], Engine.connect()
    ensure_images(config, [wanted], engine, DemoHome.default(), make_display())
    return lab.push(wanted.reference, "test/python")


def pod(name: str, image: str, command: list[str], **more: Any) -> dict[str, Any]:
    container = {
        "name": "main",
        "image": image,
        "command": command,
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        **more.pop("container", {}),
    }
    security = {"runAsNonRoot": True, "runAsUser": USER, "fsGroup": USER, "seccompProfile": {"type": "RuntimeDefault"}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": SPACE, "labels": {"app": name}},
        "spec": {
            "terminationGracePeriodSeconds": 0,
            "securityContext": security,
            "containers": [container],
            **more,
        },
    }


@pytest.fixture(scope="module")
def pods(lab: Lab, image: str) -> None:
    """A server with a claim behind a Service, and a client, in a strict namespace; they go with the cluster."""
    lab.create(
        f"/api/v1/namespaces/{SPACE}",
        {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": SPACE, "labels": {"pod-security.kubernetes.io/enforce": "restricted"}},
        },
    )
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "data", "namespace": SPACE},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "10Mi"}}},
    }
    lab.create(f"/api/v1/namespaces/{SPACE}/persistentvolumeclaims/data", claim)
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "server", "namespace": SPACE},
        "spec": {"selector": {"app": "server"}, "ports": [{"port": 80, "targetPort": 8080}]},
    }
    lab.create(f"/api/v1/namespaces/{SPACE}/services/server", service)
    eventually(lambda: lab.api.find(f"/api/v1/namespaces/{SPACE}/serviceaccounts/default"))
    probe = {"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 1}
    lab.create(
        f"{PODS}/server",
        pod(
            "server",
            image,
            ["python3", "-c", SERVER],
            container={"volumeMounts": [{"name": "data", "mountPath": "/data"}], "readinessProbe": probe},
            volumes=[{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}],
        ),
    )
    lab.create(f"{PODS}/client", pod("client", image, ["sleep", "3600"]))
    for name in ("server", "client"):
        eventually(lambda name=name: ready(lab, name), seconds=60)


def ready(lab: Lab, name: str) -> bool:
    found = lab.api.find(f"{PODS}/{name}") or {}
    conditions = found.get("status", {}).get("conditions", [])
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def asks(lab: Lab, host: str) -> tuple[int, str]:
    """The client asks the server; exit code 0 and its answer, or what went wrong."""
    code, output = lab.inside(SPACE, "client", "python3", "-c", ASK, host)
    return code, output.splitlines()[-1] if output else ""


def policy(lab: Lab, name: str, **spec: Any) -> None:
    lab.create(
        f"/apis/networking.k8s.io/v1/namespaces/{SPACE}/networkpolicies/{name}",
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {"name": name, "namespace": SPACE},
            "spec": {"podSelector": {}, **spec},
        },
    )


def without_policy(lab: Lab, name: str) -> None:
    lab.api.delete(f"/apis/networking.k8s.io/v1/namespaces/{SPACE}/networkpolicies/{name}")


def test_it_says_that_it_runs(lab: Lab) -> None:
    status = lab.status()
    assert status["ready"], status
    assert all(part["pid"] and part["memory_mib"] > 0 for part in status["parts"])
    kubeconfig = lab.layout.kubeconfig
    assert kubeconfig.stat().st_mode & 0o777 == 0o600
    assert [one["name"] for one in yaml.safe_load(kubeconfig.read_text())["contexts"]] == [LAB_CONTEXT]


def test_up_again_starts_nothing(lab: Lab) -> None:
    started = time.monotonic()
    assert lab.up() == []
    assert time.monotonic() - started < 10


@pytest.mark.usefixtures("pods")
def test_a_claim_gets_a_volume_that_its_pod_may_write_to(lab: Lab) -> None:
    code, output = lab.inside(SPACE, "server", "stat", "-c", "%u %g", "/data", "/data/written")
    assert (code, output.split()) == (0, [str(USER)] * 4)
    (volume,) = lab.api.get("/api/v1/persistentvolumes")["items"]
    assert (lab.layout.volumes / volume["metadata"]["name"] / "written").read_text() == "x"


@pytest.mark.usefixtures("pods")
def test_names_are_resolved_in_pods(lab: Lab) -> None:
    assert asks(lab, "server") == (0, "served")
    assert asks(lab, f"server.{SPACE}.svc.cluster.local") == (0, "served")


@pytest.mark.usefixtures("pods")
def test_policies_close_and_open_paths(lab: Lab) -> None:
    server = f"{lab.address(SPACE, 'server')}:8080"
    assert asks(lab, server) == (0, "served")
    policy(lab, "closed", policyTypes=["Ingress", "Egress"])
    eventually(lambda: asks(lab, server)[0] != 0, seconds=5)
    started = time.monotonic()
    assert "No route to host" in asks(lab, server)[1]
    assert time.monotonic() - started < 3, "a refusal is answered, not dropped"
    # By service address, by name (DNS is closed too), and the API on the node itself.
    address = lab.api.get(f"/api/v1/namespaces/{SPACE}/services/server")["spec"]["clusterIP"]
    assert "No route to host" in asks(lab, address)[1]
    assert "name resolution" in asks(lab, "server")[1]
    assert "No route to host" in asks(lab, "10.96.0.1:443")[1]
    assert ready(lab, "server"), "probes come from the node and are never closed"

    peer = {"podSelector": {"matchLabels": {"app": "server"}}}
    policy(lab, "out", policyTypes=["Egress"], egress=[{"to": [peer], "ports": [{"port": 8080}]}])
    client = {"podSelector": {"matchLabels": {"app": "client"}}}
    policy(lab, "in", policyTypes=["Ingress"], ingress=[{"from": [client]}])
    eventually(lambda: asks(lab, server) == (0, "served"), seconds=5)
    assert asks(lab, address) == (0, "served"), "a service's address is judged as the pod's behind it"
    assert "name resolution" in asks(lab, "server")[1], "DNS only if a policy allows it"
    dns = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}}}
    policy(lab, "dns", policyTypes=["Egress"], egress=[{"to": [dns], "ports": [{"port": 53, "protocol": "UDP"}]}])
    eventually(lambda: asks(lab, "server") == (0, "served"), seconds=5)
    for name in ("closed", "out", "in", "dns"):
        without_policy(lab, name)
    eventually(lambda: asks(lab, server) == (0, "served"), seconds=5)


@pytest.mark.usefixtures("pods")
def test_a_policy_holds_from_a_pods_first_packet(lab: Lab, image: str) -> None:
    policy(lab, "closed", podSelector={"matchLabels": {"app": "early"}}, policyTypes=["Egress"])
    server = f"{lab.address(SPACE, 'server')}:8080"
    lab.create(f"{PODS}/early", pod("early", image, ["python3", "-c", ASK, server], restartPolicy="Never"))
    eventually(lambda: lab.phase(SPACE, "early") in {"Succeeded", "Failed"}, seconds=30)
    assert lab.phase(SPACE, "early") == "Failed", "it reached the server before its rules were in force"
    without_policy(lab, "closed")
    lab.api.delete(f"{PODS}/early")


@pytest.mark.usefixtures("pods")
@pytest.mark.parametrize(
    "part",
    [
        "apiserver",
        *(pytest.param(one, marks=pytest.mark.long) for one in ("kubelet", "containerd", "etcd", "policies")),
    ],
)
def test_a_killed_part_is_started_again_and_pods_live_on(lab: Lab, part: str) -> None:
    server = f"{lab.address(SPACE, 'server')}:8080"
    lab.kill(part)
    assert not lab.status()["ready"]
    assert part in lab.up()
    assert lab.status()["ready"]
    assert asks(lab, server) == (0, "served")
    status = lab.api.get(f"{PODS}/server")["status"]["containerStatuses"][0]
    assert status["restartCount"] == 0


@pytest.mark.long
@pytest.mark.usefixtures("pods")
def test_a_lost_node_shows_and_comes_back(lab: Lab) -> None:
    server = f"{lab.address(SPACE, 'server')}:8080"
    lab.kill("kubelet")
    eventually(lambda: lab.status()["node"] != "Ready", seconds=60, poll=1)
    assert "Kubelet stopped posting node status" in lab.status()["node"]
    assert asks(lab, server) == (0, "served"), "its pods run on"
    assert lab.up() == ["kubelet"]
    assert lab.status()["node"] == "Ready"


@pytest.mark.long
@pytest.mark.usefixtures("pods")
def test_after_a_reboot_up_starts_the_same_cluster(lab: Lab) -> None:
    """What a reboot does, as far as it can be done without one: no process, mount, link or rule is left."""
    before = lab.api.get(f"{PODS}/server")["metadata"]["uid"]
    halt(lab.layout, installed_programs(lab.home), Silent())
    (lab.layout.run / "boot").write_text("another")
    assert len(lab.up()) == len(PART_NAMES)
    eventually(lambda: asks(lab, "server") == (0, "served"), seconds=60)
    assert lab.api.get(f"{PODS}/server")["metadata"]["uid"] == before
    (volume,) = lab.api.get("/api/v1/persistentvolumes")["items"]
    assert (lab.layout.volumes / volume["metadata"]["name"] / "written").read_text() == "xx", "it started twice"


@pytest.mark.long
@pytest.mark.usefixtures("pods")
def test_a_part_that_cannot_start_is_named_with_its_last_lines(lab: Lab) -> None:
    scheduler = parts_of(lab.layout, installed_programs(lab.home))["scheduler"]
    assert find(lab.layout, "scheduler")
    stop(lab.layout, "scheduler")
    key = lab.layout.keys / "scheduler.key"
    good = key.read_bytes()
    key.write_text("nonsense")
    result = lab.demo("up")
    key.write_bytes(good)
    assert result.returncode == 1
    assert "demo: The cluster's scheduler ended; the last lines of" in result.stderr
    assert "failed to find any PEM data in key input" in result.stderr
    assert lab.up() == ["scheduler"]
    assert scheduler.ready() == ""


@pytest.mark.usefixtures("pods")
def test_a_volume_goes_with_its_claim(lab: Lab) -> None:
    lab.api.delete(f"{PODS}/server", gracePeriodSeconds="0")
    lab.api.delete(f"/api/v1/namespaces/{SPACE}/persistentvolumeclaims/data")
    eventually(lambda: not lab.api.get("/api/v1/persistentvolumes")["items"], seconds=30)
    assert list(lab.layout.volumes.iterdir()) == []


def test_down_leaves_nothing_and_up_is_quick_again(lab: Lab, untouched: MachineState) -> None:
    started = time.monotonic()
    lab.succeed("down")
    assert time.monotonic() - started < 30
    left = machine_state(lab.home.root)
    for what, before in untouched.items():
        assert left[what] == before, f"{what} changed"
    assert sorted(path.name for path in lab.layout.root.iterdir()) == ["containerd", "lock", "registry"]
    assert not lab.status()["exists"]
    lab.up()
    lab.succeed("down", "--all")
    assert not lab.layout.root.exists()


@pytest.mark.long
def test_down_of_a_broken_cluster_leaves_nothing_either(lab: Lab, untouched: MachineState) -> None:
    lab.up()
    for part in ("containerd", "kubelet", "apiserver", "etcd"):
        lab.kill(part)
    lab.succeed("down", "--all")
    left = machine_state(lab.home.root)
    for what, before in untouched.items():
        assert left[what] == before, f"{what} changed"
