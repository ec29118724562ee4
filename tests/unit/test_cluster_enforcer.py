"""The CNI plugin and the enforcer, spoken to over their socket; the API and nft are stand-ins."""

import io
import json
import socketserver
import threading
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from cluster import mirror as mirror_module
from cluster import plugin, policies
from cluster.api import Api, ApiError, Document
from cluster.layout import Layout
from cluster.mirror import Mirror
from cluster.policies import Enforcer
from infra.errors import DemoError

POD: Document = {"metadata": {"uid": "1", "namespace": "n", "name": "p", "labels": {}}, "spec": {}, "status": {}}
NAMESPACE: Document = {"metadata": {"uid": "2", "name": "n"}}
POLICY: Document = {
    "metadata": {"uid": "3", "namespace": "n", "name": "closed"},
    "spec": {"podSelector": {}, "policyTypes": ["Ingress"]},
}
OBJECTS: dict[str, list[Document]] = {
    "/api/v1/pods": [POD],
    "/api/v1/namespaces": [NAMESPACE],
    "/apis/networking.k8s.io/v1/networkpolicies": [POLICY],
}


class FakeMirror:
    """A list that never changes."""

    def __init__(self, _keys: Path, _user: str, path: str, _changed: Callable[[], None]) -> None:
        self.objects = OBJECTS[path]


@pytest.fixture
def applied(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What nft was given."""
    rules: list[str] = []
    monkeypatch.setattr(policies, "Mirror", FakeMirror)
    monkeypatch.setattr(policies, "nft", rules.append)
    monkeypatch.setattr(policies, "_KNOWN_SECONDS", 0)
    return rules


@pytest.fixture
def enforcer(applied: list[str], tmp_path: Path) -> Enforcer:
    assert applied == []
    return Enforcer(Layout(tmp_path))


@pytest.fixture
def path(enforcer: Enforcer, tmp_path: Path) -> Generator[Path]:
    """The socket of an enforcer that serves."""
    found = tmp_path / "s"
    with socketserver.ThreadingUnixStreamServer(str(found), policies.handler_of(enforcer)) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield found
        server.shutdown()
        thread.join()


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, Any]]:
    """Run the plugin as containerd does; exit code and what it printed."""

    def run(command: str, path: Path, *, pod: str = "p", address: str = "10.0.0.1", container: str = "c1") -> Any:
        result = {"cniVersion": "1.0.0", "ips": [{"address": f"{address}/24"}]}
        config = {"cniVersion": "1.0.0", "name": "x", "socket": str(path), "prevResult": result}
        monkeypatch.setenv("CNI_COMMAND", command)
        monkeypatch.setenv("CNI_CONTAINERID", container)
        monkeypatch.setenv("CNI_ARGS", f"IgnoreUnknown=1;K8S_POD_NAMESPACE=n;K8S_POD_NAME={pod}")
        monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps(config)))
        code = plugin.main()
        output = capsys.readouterr().out
        return code, json.loads(output) if output else None

    return run


def test_a_pods_rules_are_in_force_before_the_plugin_answers(
    path: Path, call: Callable[..., tuple[int, Any]], applied: list[str]
) -> None:
    code, answer = call("ADD", path)
    assert (code, answer["ips"]) == (0, [{"address": "10.0.0.1/24"}])
    assert "10.0.0.1 : jump ingress_10_0_0_1" in applied[-1]


def test_unchanged_rules_are_not_applied_again(
    path: Path, call: Callable[..., tuple[int, Any]], applied: list[str]
) -> None:
    call("ADD", path)
    call("ADD", path)
    assert len(applied) == 1


def test_a_pod_that_ended_is_forgotten_but_not_its_successor(
    path: Path, call: Callable[..., tuple[int, Any]], applied: list[str], enforcer: Enforcer
) -> None:
    call("ADD", path, container="old")
    call("ADD", path, container="new", address="10.0.0.2")
    assert call("DEL", path, container="old") == (0, None)
    enforcer.enforce()
    assert "10.0.0.2 : jump" in applied[-1]
    call("DEL", path, container="new")
    enforcer.enforce()
    assert "jump" not in applied[-1]


def test_a_pod_that_the_api_does_not_know_does_not_start(path: Path, call: Callable[..., tuple[int, Any]]) -> None:
    code, answer = call("ADD", path, pod="stranger")
    assert (code, answer["msg"]) == (1, "the pod n/stranger is not known yet")


def test_a_pod_whose_rules_are_refused_does_not_start(
    path: Path, call: Callable[..., tuple[int, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: str) -> None:
        raise DemoError("nft refused the rules: why")

    monkeypatch.setattr(policies, "nft", refuse)
    code, answer = call("ADD", path)
    assert (code, answer["msg"]) == (1, "nft refused the rules: why")


def test_without_an_enforcer_no_pod_starts_but_each_can_end(
    tmp_path: Path, call: Callable[..., tuple[int, Any]]
) -> None:
    code, answer = call("ADD", tmp_path / "nobody")
    assert code == 1
    assert answer["msg"].startswith("the lab cluster's enforcer of NetworkPolicies does not answer")
    assert call("DEL", tmp_path / "nobody") == (0, None)


def test_the_plugin_says_which_versions_it_speaks(tmp_path: Path, call: Callable[..., tuple[int, Any]]) -> None:
    assert "1.0.0" in call("VERSION", tmp_path)[1]["supportedVersions"]


def item(uid: str, text: str = "") -> dict[str, Any]:
    return {"metadata": {"uid": uid}, "text": text}


def test_a_mirror_follows_events_and_reads_the_list_again_when_told_to(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    lists = iter([[item("a"), item("b")], [item("z")]])
    events: list[Document] = [
        {"type": "ADDED", "object": item("c")},
        {"type": "MODIFIED", "object": item("a", "new")},
        {"type": "BOOKMARK", "object": {}},
        {"type": "DELETED", "object": item("b")},
        {"type": "ERROR", "object": {"code": 410}},
        {"type": "ADDED", "object": item("never")},
    ]

    class FakeApi:
        def __init__(self, *_: object) -> None:
            """Connect to nobody."""

        def get(self, _path: str) -> dict[str, Any]:
            return {"items": next(lists), "metadata": {"resourceVersion": "7"}}

        def watch(self, _path: str, version: str) -> Iterator[dict[str, Any]]:
            assert version == "7"
            yield from events

    monkeypatch.setattr(mirror_module, "Api", FakeApi)
    seen: list[list[str]] = []
    mirror = Mirror(tmp_path, "u", "/things", lambda: seen.append([o["metadata"]["uid"] for o in mirror.objects]))
    mirror.follow_once()
    assert seen == [["a", "b"], ["a", "b", "c"], ["a", "b", "c"], ["a", "c"]]
    assert next(o for o in mirror.objects if o["metadata"]["uid"] == "a")["text"] == "new"
    events.clear()
    mirror.follow_once()
    assert [o["metadata"]["uid"] for o in mirror.objects] == ["z"]


def test_an_api_that_is_away_is_an_error_of_its_own(tmp_path: Path) -> None:
    with pytest.raises(ApiError, match="does not answer") as caught:
        Api(tmp_path).get("/api/v1/pods")
    assert caught.value.code == 0
