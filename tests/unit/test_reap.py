"""``reap``: what has outlived its time is found by label and annotation, and nothing else is deleted."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from fake_cluster import ACCESS, OURS, FakeCluster, meta
from stubs import always

from cli import reap
from cli.reap import expired, reap_clusters
from infra.errors import DemoError
from infra.paths import DemoHome
from infra.targets.kubernetes.lifetime import expiry, overdue

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
PAST, FUTURE = "2026-06-01T11:00:00Z", "2126-06-01T13:00:00Z"


def namespace(name: str, expires: str | None, **more: Any) -> dict[str, Any]:
    annotations = {} if expires is None else {"compass-demo/expires": expires}
    return {"metadata": meta(name, {**OURS, "compass-demo/stack": name}, annotations=annotations, **more)}


@pytest.mark.parametrize(
    ("annotation", "moment"),
    [
        (PAST, datetime(2026, 6, 1, 11, tzinfo=UTC)),
        ("2026-06-01T13:00:00+02:00", datetime(2026, 6, 1, 11, tzinfo=UTC)),
        ("2026-06-01T11:00:00", datetime(2026, 6, 1, 11, tzinfo=UTC)),
        ("soon", None),
        ("", None),
        (None, None),
    ],
)
def test_a_moment_that_cannot_be_read_is_none(annotation: str | None, moment: datetime | None) -> None:
    assert expiry(namespace("a", annotation)) == moment


def test_a_stack_says_when_its_time_is_over() -> None:
    assert "The time to live of the stack a was over at 2026-06-01 11:00 UTC; ./demo reap" in overdue(
        namespace("a", PAST), NOW
    )
    assert overdue(namespace("a", FUTURE), NOW) == ""
    assert overdue(namespace("a", None), NOW) == ""


def test_only_what_is_over_and_still_there_has_expired() -> None:
    found = expired(
        [
            namespace("past", PAST),
            namespace("future", FUTURE),
            namespace("for-ever", None),
            namespace("broken", "yesterday"),
            namespace("going", PAST, deletionTimestamp=PAST),
        ],
        NOW,
    )
    assert [one["metadata"]["name"] for one, _ in found] == ["past"]


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> FakeCluster:
    found = [namespace("past", "2026-01-01T00:00:00Z"), namespace("future", FUTURE)]
    cluster = FakeCluster({"/api/v1/namespaces": found})
    monkeypatch.setattr(reap.KubeClient, "connect", always(cluster))
    monkeypatch.setattr(reap, "resolve_context", always(ACCESS))
    return cluster


def run(home: Path, *, yes: bool = False, dry_run: bool = False) -> list[str]:
    said: list[str] = []
    reap_clusters(DemoHome(home), "shop", None, said.append, yes=yes, dry_run=dry_run)
    return said


def test_what_has_expired_is_deleted_by_label(cluster: FakeCluster, tmp_path: Path) -> None:
    said = run(tmp_path, yes=True)
    assert cluster.deleted == [("/api/v1/namespaces/past", None)]
    assert cluster.asked == [("/api/v1/namespaces", {"labelSelector": "app.kubernetes.io/part-of=compass-demo"})]
    assert said[0].startswith("The namespace past (stack past) is ")


def test_a_dry_run_deletes_nothing(cluster: FakeCluster, tmp_path: Path) -> None:
    assert "past" in run(tmp_path, yes=True, dry_run=True)[0]
    assert cluster.deleted == []


def test_without_a_person_to_ask_nothing_is_deleted(cluster: FakeCluster, tmp_path: Path) -> None:
    assert run(tmp_path)[-1] == "past stays; --yes deletes it without asking."
    assert cluster.deleted == []


def test_a_cluster_without_expired_demos_says_so(cluster: FakeCluster, tmp_path: Path) -> None:
    cluster.objects["/api/v1/namespaces"] = [namespace("future", FUTURE)]
    assert run(tmp_path, yes=True) == ["No demo in the context shop has outlived its time."]


def test_a_checkout_that_names_no_cluster_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(reap, "stack_names", always(["local"]))
    with pytest.raises(DemoError, match="name one with --context"):
        reap_clusters(DemoHome(tmp_path), None, None, print, yes=True, dry_run=False)
