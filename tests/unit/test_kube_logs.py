"""``logs`` on a cluster: of which pods, of which run, and what is said when there is nothing to read."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from fake_cluster import FakeCluster
from pods import container_status, pod

from cli.platforms.kubernetes_logs import container_log
from infra.errors import DemoError

PODS = "/api/v1/namespaces/compass-test/pods"
CRASH: dict[str, Any] = {"waiting": {"reason": "CrashLoopBackOff"}}


class LogCluster(FakeCluster):
    """Every pod has written two lines, the second one not to its end."""

    def stream(self, path: str, parameters: Mapping[str, str], *, seconds: float | None) -> Iterator[bytes]:
        self.asked.append((path, dict(parameters)))
        assert (seconds is None) == ("follow" in parameters)
        yield b"one\ntw"
        yield b"o"


def read(*pods: Any, container: str = "web", follow: bool = False) -> tuple[bytes, list[tuple[str, dict[str, str]]]]:
    cluster = LogCluster({PODS: list(pods)})
    text = b"".join(container_log(cluster, "compass-test", container, lines=5, follow=follow))
    return text, cluster.asked[1:]


def test_one_pod_is_passed_on_as_it_is() -> None:
    text, asked = read(pod("web", container_status("web")), pod("db", container_status("db")))
    assert text == b"one\ntwo"
    assert asked == [(f"{PODS}/web-0/log", {"container": "web", "tailLines": "5"})]


@pytest.mark.parametrize("follow", [False, True])
def test_several_pods_are_told_apart_line_by_line(follow: bool) -> None:
    pods = [pod("web", container_status("web"), suffix=suffix) for suffix in ("a", "b")]
    text, _ = read(*pods, follow=follow)
    assert sorted(text.splitlines()) == [b"web-a | one", b"web-a | two", b"web-b | one", b"web-b | two"]


def test_a_sidecar_is_read_in_its_services_pod() -> None:
    _, asked = read(pod("db", container_status("db"), container_status("db-logs")), container="db-logs")
    assert asked == [(f"{PODS}/db-0/log", {"container": "db-logs", "tailLines": "5"})]


def test_following_says_so() -> None:
    assert read(pod("web", container_status("web")), follow=True)[1][0][1]["follow"] == "true"


def test_what_crashes_shows_its_last_run() -> None:
    _, asked = read(pod("web", container_status("web", ready=False, restarts=2, **CRASH)), follow=True)
    assert asked[0][1] == {"container": "web", "tailLines": "5", "previous": "true"}


def test_a_task_that_has_ended_has_a_log_and_its_last_run_counts() -> None:
    runs = [
        pod("schema", container_status("schema"), suffix="old", phase="Failed"),
        pod("schema", container_status("schema"), suffix="new", phase="Succeeded"),
    ]
    runs[1]["metadata"]["creationTimestamp"] = "2026-01-01T00:10:00Z"
    assert read(*runs, container="schema")[1][0][0] == f"{PODS}/schema-new/log"


def test_what_has_not_started_says_why() -> None:
    waiting = container_status("web", ready=False, waiting={"reason": "ErrImagePull", "message": "not found"})
    with pytest.raises(DemoError, match="web has not started: its image cannot be pulled: not found"):
        read(pod("web", waiting))


def test_without_a_pod_the_sentence_says_what_makes_one() -> None:
    with pytest.raises(DemoError, match=r"web has no pod; run ./demo up"):
        read()
