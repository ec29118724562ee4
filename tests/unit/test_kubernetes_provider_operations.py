"""What a run of the engine may delete, and what a failed job becomes, on an API server of one dictionary."""

import asyncio
import itertools
from collections.abc import Mapping
from typing import Any

from kubernetes_provider.access import Access, Address
from kubernetes_provider.faults import NotFound
from kubernetes_provider.kinds import KINDS, Kind
from kubernetes_provider.operations import Operations, Result
from kubernetes_provider.paths import Json, Object

LABELS = {
    "compass-demo/stack": "test",
    "app.kubernetes.io/part-of": "compass-demo",
    "app.kubernetes.io/managed-by": "pulumi",
}
JOB = next(kind for kind in KINDS if kind.name == "Job")
FAILED = {"conditions": [{"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded", "message": "m"}]}


class Server(Access):
    """Keeps what is applied; whatever is deleted is gone at once."""

    def __init__(self) -> None:
        super().__init__(Address(None, "shop"))
        self.objects: dict[str, Object] = {}
        self.asked: list[str] = []
        self._uids = itertools.count(1)

    async def request(
        self,
        method: str,
        path: str,
        *,
        what: str,
        parameters: Mapping[str, str] | None = None,
        body: Json = None,
        content_type: str = "application/json",
    ) -> dict[str, Json]:
        del content_type
        self.asked.append(method)
        if method == "PATCH":
            assert isinstance(body, dict)
            known = self.objects.get(path, {}).get("metadata", {})
            uid = known.get("uid") or str(next(self._uids))
            result: Object = {**self.objects.get(path, {}), **body, "metadata": {**body["metadata"], "uid": uid}}
            if "dryRun" in (parameters or {}):
                return result
            self.objects[path] = result
        elif path not in self.objects:
            raise NotFound(f"{what} does not exist.")
        return self.objects.pop(path) if method == "DELETE" else self.objects[path]


class Run(Operations):
    """The operations of one run of the engine."""

    async def _gone(self, kind: Kind, live: Object, seconds: float) -> None:
        """The server above has no watches, and needs none."""


def job(name: str) -> Object:
    annotations = {"pulumi.com/skipAwait": "true"}
    return {"metadata": {"name": name, "namespace": "shop", "labels": LABELS, "annotations": annotations}, "spec": {}}


def create(run: Operations, name: str) -> Result:
    return asyncio.run(run.put(JOB, job(name), {}, seconds=1))


def delete(run: Operations, entry: Result) -> None:
    asyncio.run(run.delete(JOB, entry.id, entry.outputs, seconds=1))


def names(server: Server) -> set[str]:
    return {path.rpartition("/")[2] for path in server.objects}


def test_what_an_update_went_back_to_is_not_deleted_with_what_a_failed_one_left() -> None:
    server = Server()
    old = create(Run(server), "old")
    new = create(Run(server), "new")  # which failed, so that the state still has the old one, to be deleted
    back = Run(server)
    again = create(back, "old")
    delete(back, new)
    delete(back, old)
    assert names(server) == {"old"}
    delete(Run(server), again)
    assert names(server) == set()


def test_what_was_made_anew_under_the_name_of_an_older_entry_stays() -> None:
    server = Server()
    old = create(Run(server), "old")
    server.objects.clear()  # somebody deleted it
    back = Run(server)
    create(back, "old")
    delete(back, old)
    assert names(server) == {"old"}


def test_what_a_run_made_it_may_delete() -> None:
    server = Server()
    run = Run(server)
    entry = create(run, "one")
    delete(run, entry)
    assert names(server) == set()


def test_a_job_that_has_failed_is_made_anew_by_the_next_run() -> None:
    server = Server()
    entry = create(Run(server), "one")
    (path,) = server.objects
    server.objects[path]["status"] = FAILED
    result: Any = asyncio.run(Run(server).put(JOB, job("one"), entry.outputs, seconds=1))
    assert result.outputs["metadata"]["uid"] != entry.outputs["metadata"]["uid"]
    assert "status" not in server.objects[path]


def test_what_is_as_declared_is_only_looked_at() -> None:
    server = Server()
    create(Run(server), "one")
    server.asked.clear()
    found = asyncio.run(Run(server).diff(JOB, job("one"), job("one")))
    assert (found.changes, server.asked) == ((), ["GET"])


def test_what_was_changed_by_hand_is_tried() -> None:
    server = Server()
    create(Run(server), "one")
    (path,) = server.objects
    labels = {**LABELS, "compass-demo/stack": "other"}
    server.objects[path]["metadata"]["labels"] = labels
    server.asked.clear()
    found = asyncio.run(Run(server).diff(JOB, job("one"), job("one")))
    assert [change.path for change in found.changes] == [("metadata", "labels", "compass-demo/stack")]
    assert "PATCH" in server.asked
