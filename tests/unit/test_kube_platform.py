"""A stack on a cluster as the commands ask for it: images, health, drift, remarks, and what destroy removes."""

import json
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest
from fake_cluster import CONFIG, OURS, FakeCluster, meta
from fake_display import FakeDisplay
from fake_engine import FakeEngine
from fake_session import fake_session
from pods import container_status, pod
from small_topology import BUILT, SECRETIVE, TOPOLOGY
from stubs import always

from cli.platforms import kubernetes
from cli.platforms.kubernetes import KubernetesPlatform
from cli.pulumi_stack import PulumiStack
from cli.session import Session
from infra.errors import DemoError, EngineError
from infra.targets.kubernetes.portforward import PortClosed
from infra.topology import names
from infra.topology.model import Endpoint, Image, Topology
from toolchain.engine import Engine

SPACE = "/api/v1/namespaces/compass-test"
PODS = f"{SPACE}/pods"


class GoingCluster(FakeCluster):
    """A namespace stays for some looks after it was deleted."""

    looks = 2

    def delete(self, path: str, *, grace_seconds: int | None = None) -> bool:
        self.deleted.append((path, grace_seconds))
        if path == SPACE:
            self.objects[SPACE]["metadata"]["deletionTimestamp"] = "now"
        return True

    def get(self, path: str, **parameters: str) -> dict[str, Any] | None:
        found = super().get(path, **parameters)
        if path == SPACE and found and "deletionTimestamp" in found["metadata"]:
            self.looks -= 1
            if self.looks == 0:
                del self.objects[SPACE]
                self.objects.pop("/api/v1/persistentvolumes", None)
        return found

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        work.close()
        if isinstance(self.objects["answer"], Exception):
            raise self.objects["answer"]
        return self.objects["answer"]


def platform(home: Path, objects: dict[str, Any] | None = None, **parts: Any) -> tuple[KubernetesPlatform, FakeCluster]:
    cluster = parts.pop("cluster", None) or GoingCluster(objects)
    session: Session = fake_session(home, config=parts.pop("config", CONFIG), **parts)
    one = KubernetesPlatform(session)
    one.__dict__["client"] = cluster
    session.__dict__["platform"] = one
    return one, cluster


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kubernetes, "_POLL_SECONDS", 0.0)
    monkeypatch.setattr(names, "GATEWAY", Endpoint("web", "http"))


def namespace(**more: Any) -> dict[str, Any]:
    return {SPACE: {"metadata": meta("compass-test", **more)}}


def test_the_gateway_is_asked_in_a_pod_that_is_ready(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    async def question() -> None:
        """Never run: the fake client answers by itself."""

    def http_get(_client: object, space: str, name: str, number: int, path: str, *, seconds: float) -> Any:
        assert seconds > 0
        asked.append(f"{space}/{name}:{number}{path}")
        return question()

    monkeypatch.setattr(kubernetes, "http_get", http_get)
    pods = [
        pod("web", container_status("web", ready=False), suffix="a"),
        pod("web", container_status("web"), suffix="b"),
        pod("web", container_status("web"), suffix="c", phase="Pending"),
    ]
    answer: dict[str, Any] = {"failing": [], "services": {}}
    one, cluster = platform(tmp_path, {PODS: pods, "answer": (200, json.dumps(answer).encode())})
    assert one.health(timeout_seconds=1) == {**answer, "ready": True}
    assert asked == ["compass-test/web-b:80/ready/stack"]
    cluster.objects["answer"] = 503, json.dumps(answer).encode()
    assert one.health(timeout_seconds=1)["ready"] is False
    cluster.objects["answer"] = 200, b"<html>"
    assert one.health(timeout_seconds=1) == {}


def test_what_the_gateway_does_not_know_of_is_seen_by_its_pods(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def question() -> None:
        """Never run: the fake client answers by itself."""

    def http_get(*_: object, **__: object) -> Any:
        return question()

    monkeypatch.setattr(kubernetes, "http_get", http_get)
    answer: dict[str, Any] = {"failing": [], "services": {}}
    objects: dict[str, Any] = {
        PODS: [pod("web", container_status("web"))],
        "answer": (200, json.dumps(answer).encode()),
    }
    topology = Topology(workloads=(*TOPOLOGY.workloads, SECRETIVE))
    one, cluster = platform(tmp_path, objects, topology=topology)
    assert one.health(timeout_seconds=1)["failing"] == [{"service": "secretive", "reason": "missing"}]
    cluster.objects[PODS] = [*objects[PODS], pod("secretive", container_status("secretive", ready=False))]
    told = one.health(timeout_seconds=1)
    assert told["ready"] is False
    assert [failing["service"] for failing in told["failing"]] == ["secretive"]
    cluster.objects[PODS] = [*objects[PODS], pod("secretive", container_status("secretive"))]
    assert one.health(timeout_seconds=1) == {**answer, "ready": True}


def test_a_gateway_that_has_no_pod_or_no_open_port_is_an_empty_answer(tmp_path: Path) -> None:
    one, cluster = platform(tmp_path, {"answer": PortClosed("connection refused")})
    assert one.health(timeout_seconds=1) == {}
    cluster.objects[PODS] = [pod("web", container_status("web"))]
    assert one.health(timeout_seconds=1) == {}


def test_only_what_the_registry_lacks_is_built_and_pushed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[tuple[str, list[str]]] = []

    def note(what: str) -> Any:
        def call(_config: object, images: Any, *_: object) -> dict[Any, str]:
            done.append((what, [image.reference for image in images]))
            return {}

        return call

    monkeypatch.setattr(kubernetes, "ensure_images", note("built"))
    monkeypatch.setattr(kubernetes, "push_images", note("pushed"))
    monkeypatch.setattr(kubernetes, "check_builder", always(None))
    one, _ = platform(tmp_path, engine=FakeEngine())
    monkeypatch.setattr(kubernetes, "pushed_digests", always({BUILT: "sha256:1"}))
    one.prepare_images()
    assert done == []
    monkeypatch.setattr(kubernetes, "pushed_digests", always(dict[Image, str]()))
    one.prepare_images()
    assert done == [("built", ["demo/web:abc"]), ("pushed", ["demo/web:abc"])]


def test_no_engine_is_needed_where_the_registry_has_everything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: object, **__: object) -> None:
        raise EngineError("none")

    asked: list[str] = []
    monkeypatch.setattr(Engine, "connect", none)

    def ensure(*_: object) -> None:
        asked.append("engine")

    monkeypatch.setattr(kubernetes, "ensure_engine", ensure)
    monkeypatch.setattr(kubernetes, "pushed_digests", always({BUILT: "sha256:1"}))
    one, _ = platform(tmp_path)
    one.__dict__["access"] = None
    one.make_reachable()
    assert asked == []
    monkeypatch.setattr(kubernetes, "pushed_digests", always(dict[Image, str]()))
    one.make_reachable()
    assert asked == ["engine"]


def test_a_namespace_that_is_gone_is_a_deviation(tmp_path: Path) -> None:
    one, _ = platform(tmp_path, {})
    assert one.deviations() == ["the namespace compass-test is missing"]
    one, _ = platform(tmp_path, namespace())
    assert "web is missing" in one.deviations()


def test_remarks_say_how_to_reach_it_and_when_its_time_is_over(tmp_path: Path) -> None:
    assert platform(tmp_path, {})[0].remarks() == []
    assert platform(tmp_path, namespace())[0].remarks() == ["./demo tunnel test opens the addresses on this machine."]
    late = namespace(annotations={"compass-demo/expires": "2020-01-01T00:00:00Z"})
    config = CONFIG.model_copy(update={"ingress_host": "demo.example.com"})
    (remark,) = platform(tmp_path, late, config=config)[0].remarks()
    assert "was over at 2020-01-01 00:00 UTC" in remark


def test_leftovers_are_the_namespace_and_the_volumes_bound_for_it(tmp_path: Path) -> None:
    volume = {
        "metadata": meta("pv", {}),
        "spec": {"claimRef": {"namespace": "compass-test"}, "persistentVolumeReclaimPolicy": "Delete"},
    }
    one, cluster = platform(tmp_path, {**namespace(), "/api/v1/persistentvolumes": [volume]})
    one.remove_leftovers()
    assert cluster.deleted == [(SPACE, None)]
    assert SPACE not in cluster.objects


@pytest.mark.parametrize("labels", [{}, {**OURS, "compass-demo/stack": "other"}])
def test_a_namespace_of_somebody_else_is_no_leftover(tmp_path: Path, labels: dict[str, str]) -> None:
    one, cluster = platform(tmp_path, {SPACE: {"metadata": meta("compass-test", labels)}})
    one.remove_leftovers()
    assert cluster.deleted == []


def test_a_namespace_that_stays_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kubernetes, "_GONE_SECONDS", 0)
    one, cluster = platform(tmp_path, namespace())
    assert isinstance(cluster, GoingCluster)
    cluster.looks = 10**6
    condition = {"status": "True", "message": "Some content has finalizers remaining: example.com/x in 1 instance"}
    cluster.objects[SPACE]["status"] = {"conditions": [condition]}
    with pytest.raises(DemoError, match=r"compass-test is still there after 0 seconds: Some content has finalizers"):
        one.remove_leftovers()


def test_pods_of_a_silent_node_are_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PulumiStack, "plugin_versions", always(set[str]()))
    silent = {"type": "Ready", "status": "Unknown", "message": "Kubelet stopped posting node status."}
    nodes: list[dict[str, Any]] = [
        {"metadata": meta("one", {}), "status": {"conditions": [silent]}},
        {"metadata": meta("two", {}), "status": {"conditions": [{"type": "Ready", "status": "True"}]}},
    ]
    pods = [pod("web", container_status("web")), pod("db", container_status("db"), node="two")]
    one, cluster = platform(tmp_path, {PODS: pods, "/api/v1/nodes": nodes})
    one.before_destroy(PulumiStack("test", FakeDisplay()))
    assert cluster.deleted == [(f"{PODS}/web-0", 0)]


def test_trouble_is_told_for_each_container_that_is_not_well(tmp_path: Path) -> None:
    one, _ = platform(tmp_path, {PODS: [pod("web", container_status("web"))]})
    assert one.trouble() == ["db: missing", "db-logs: missing", "schema: missing"]
    assert {row.name for row in one.services({}) if row.ok} == {"web"}
    assert {container.name for container in TOPOLOGY.containers()} == {row.name for row in one.services({})}


def test_the_settings_for_the_inside_say_who_may_use_them(tmp_path: Path) -> None:
    told = platform(tmp_path)[0].how_to_join("compass-test", "agent.env")
    assert "namespace compass-test with the label compass-demo/client=true" in told
    assert "--from-env-file agent.env" in told
