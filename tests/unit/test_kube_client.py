"""The client of a cluster: what the server answers becomes data or one sentence."""

import tempfile
import time
from collections.abc import Generator
from pathlib import Path

import pytest
from api_server import ApiServer, kubeconfig

from infra.errors import ClusterError
from infra.paths import LAB_CONTEXT
from infra.targets.kubernetes.client import Forbidden, KubeClient, Unreachable
from infra.targets.kubernetes.kube import KubeAccess

pytestmark = pytest.mark.processes

PODS = "/api/v1/namespaces/x/pods"


@pytest.fixture
def server() -> Generator[ApiServer]:
    server = ApiServer()
    with server.running():
        yield server


@pytest.fixture
def access(server: ApiServer, tmp_path: Path) -> KubeAccess:
    return KubeAccess(kubeconfig(tmp_path / "config", server.url), "test")


@pytest.fixture
def client(access: KubeAccess) -> KubeClient:
    return KubeClient.connect(access)


def test_an_object_is_data_and_a_missing_one_is_none(server: ApiServer, client: KubeClient) -> None:
    server.answers[f"{PODS}/a"] = 200, {"metadata": {"name": "a"}}
    assert client.get(f"{PODS}/a") == {"metadata": {"name": "a"}}
    assert client.get(f"{PODS}/b") is None
    assert client.server == server.url


def test_a_collection_is_a_list_and_an_unknown_one_is_empty(server: ApiServer, client: KubeClient) -> None:
    server.answers[PODS] = 200, {"items": [{"metadata": {"name": "a"}}]}
    assert client.items(PODS, labelSelector="a=b") == [{"metadata": {"name": "a"}}]
    assert server.asked[-1][1] == f"{PODS}?labelSelector=a%3Db"
    assert client.items_of_all((PODS, "/apis/none/v1/things")) == {
        PODS: [{"metadata": {"name": "a"}}],
        "/apis/none/v1/things": [],
    }


def test_what_is_created_is_sent_as_json(server: ApiServer, client: KubeClient) -> None:
    server.answers[PODS] = 201, {"metadata": {"name": "a", "uid": "1"}}
    assert client.create(PODS, {"metadata": {"name": "a"}})["metadata"]["uid"] == "1"
    assert server.asked[-1] == ("POST", PODS, {"metadata": {"name": "a"}})


def test_deleting_says_whether_there_was_something(server: ApiServer, client: KubeClient) -> None:
    server.answers[f"{PODS}/a"] = 200, {}
    assert client.delete(f"{PODS}/a", grace_seconds=0)
    assert server.asked[-1][1] == f"{PODS}/a?gracePeriodSeconds=0"
    assert not client.delete(f"{PODS}/b")


def test_no_rights_are_told_in_the_servers_words_and_asked_for_once(server: ApiServer, client: KubeClient) -> None:
    server.answers[PODS] = 403, {"message": 'pods is forbidden: User "bob" cannot list resource "pods".'}
    asked = len(server.asked)
    with pytest.raises(Forbidden, match=r'context test does not allow to get /api.*: pods is forbidden: User "bob"'):
        client.items(PODS)
    assert len(server.asked) == asked + 1


@pytest.mark.parametrize(("document", "said"), [({"message": "no quota."}, "no quota"), (b"<html>", "<html>")])
def test_a_refusal_is_one_sentence(server: ApiServer, client: KubeClient, document: object, said: str) -> None:
    server.answers[PODS] = 422, document
    with pytest.raises(ClusterError, match=rf"refused to create {PODS}: {said}\.$"):
        client.create(PODS, {})


def test_a_log_comes_as_it_is_and_a_missing_one_is_empty(server: ApiServer, client: KubeClient) -> None:
    server.answers[f"{PODS}/a/log"] = 200, b"one\ntwo \xff\n"
    assert b"".join(client.stream(f"{PODS}/a/log", {"tailLines": "2"}, seconds=5)) == b"one\ntwo \xff\n"
    assert list(client.stream(f"{PODS}/b/log", {}, seconds=5)) == []


def test_a_server_that_is_gone_is_one_sentence(tmp_path: Path) -> None:
    server = ApiServer()
    access = KubeAccess(kubeconfig(tmp_path / "config", server.url), "test")
    with server.running():
        client = KubeClient.connect(access)
    with pytest.raises(Unreachable, match="The API server of the context test does not answer"):
        client.get(PODS)


def test_a_server_that_was_never_there_is_one_sentence(tmp_path: Path) -> None:
    access = KubeAccess(kubeconfig(tmp_path / "config", "http://127.0.0.1:9"), "test")
    with pytest.raises(Unreachable, match=r"does not answer \(.*\); check the network and the kubeconfig"):
        KubeClient.connect(access)


def test_a_server_that_keeps_silent_is_given_up(server: ApiServer, access: KubeAccess) -> None:
    server.hanging = True
    started = time.monotonic()
    with pytest.raises(Unreachable, match="does not answer in time"):
        KubeClient.connect(access, timeout_seconds=0.5)
    assert time.monotonic() - started < 3


def test_the_lab_clusters_advice_is_to_start_it(tmp_path: Path) -> None:
    file = kubeconfig(tmp_path / "config", "http://127.0.0.1:9")
    file.write_text(file.read_text().replace("name: test", f"name: {LAB_CONTEXT}"))
    with pytest.raises(Unreachable, match=r"./demo cluster up starts one"):
        KubeClient.connect(KubeAccess(file, LAB_CONTEXT))


def test_credentials_that_a_program_should_give_and_does_not_are_one_sentence(
    server: ApiServer, tmp_path: Path
) -> None:
    user = {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "no-such-program-here"}}
    access = KubeAccess(kubeconfig(tmp_path / "config", server.url, user), "test")
    with pytest.raises(
        ClusterError, match=r"The credentials of the context test cannot be used: .*no-such-program-here"
    ):
        KubeClient.connect(access)


def test_inline_credentials_leave_no_file_behind(
    server: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    pem = Path(__file__).with_name("api_server_ca.pem").read_text()
    file = kubeconfig(tmp_path / "config", server.url, cluster={"certificate-authority-data": _base64(pem)})
    assert KubeClient.connect(KubeAccess(file, "test")).get(PODS) is None
    assert list(folder.iterdir()) == []


def _base64(text: str) -> str:
    import base64  # noqa: PLC0415

    return base64.b64encode(text.encode()).decode()
