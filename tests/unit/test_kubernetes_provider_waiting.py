"""When an object is ready and why a pod is not, from what the API server shows."""

import pytest

from kubernetes_provider.paths import Json, Object
from kubernetes_provider.pods import find_creation, find_pod, pods_of
from kubernetes_provider.readiness import state_of

FINAL_AT_ONCE = 0.0
NEVER_FINAL = float("inf")


def workload(name: str, spec: Object, status: Object, *, generation: int = 2) -> Object:
    metadata = {"name": "web", "namespace": "shop", "uid": "u", "generation": generation}
    return {"kind": name, "metadata": metadata, "spec": spec, "status": status}


def pod(
    name: str = "web-1", *, conditions: list[Object] | None = None, containers: list[Object] | None = None
) -> Object:
    return {
        "metadata": {"name": name},
        "spec": {"volumes": [{"persistentVolumeClaim": {"claimName": "data"}}]},
        "status": {"conditions": conditions or [], "containerStatuses": containers or []},
    }


def container(state: Object, **more: Json) -> Object:
    return {"name": "main", "image": "shop/web:1", "ready": False, "state": state, **more}


def event(name: str, reason: str, message: str, when: str = "2026-01-01T00:00:00Z") -> Object:
    return {"involvedObject": {"name": name}, "reason": reason, "message": message, "lastTimestamp": when}


class TestReadiness:
    @pytest.mark.parametrize(
        ("status", "ready"),
        [
            ({"observedGeneration": 1, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2}, False),
            ({"observedGeneration": 2, "replicas": 3, "updatedReplicas": 2, "availableReplicas": 3}, False),
            ({"observedGeneration": 2, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 1}, False),
            ({"observedGeneration": 2, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2}, True),
        ],
    )
    def test_a_deployment_is_ready_when_all_its_pods_are_new_and_available(
        self, status: Object, *, ready: bool
    ) -> None:
        assert state_of(workload("Deployment", {"replicas": 2}, status)).ready == ready

    def test_a_deployment_past_its_deadline_has_failed(self) -> None:
        late = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}
        assert state_of(workload("Deployment", {}, {"observedGeneration": 2, "conditions": [late]})).failed

    @pytest.mark.parametrize(("current", "ready"), [("a", False), ("b", True)])
    def test_a_stateful_set_is_ready_when_it_has_rolled(self, current: str, *, ready: bool) -> None:
        revisions = {"currentRevision": current, "updateRevision": "b"}
        counts = {"replicas": 1, "updatedReplicas": 1, "availableReplicas": 1}
        status = {"observedGeneration": 2, **revisions, **counts}
        assert state_of(workload("StatefulSet", {"replicas": 1}, status)).ready == ready

    def test_a_job_is_ready_when_it_is_complete(self) -> None:
        complete = {"conditions": [{"type": "Complete", "status": "True"}]}
        failed = {
            "conditions": [{"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded", "message": "m"}]
        }
        assert not state_of(workload("Job", {}, {})).ready
        assert state_of(workload("Job", {}, complete)).ready
        assert state_of(workload("Job", {}, failed)).failed == "BackoffLimitExceeded: m"

    def test_a_claim_is_ready_when_it_is_bound(self) -> None:
        assert state_of(workload("PersistentVolumeClaim", {}, {"phase": "Bound"})).ready
        assert not state_of(workload("PersistentVolumeClaim", {}, {"phase": "Pending"})).ready
        assert state_of(workload("PersistentVolumeClaim", {}, {"phase": "Lost"})).failed

    @pytest.mark.parametrize("name", ["Service", "Ingress", "ConfigMap"])
    def test_what_does_not_start_is_ready_at_once(self, name: str) -> None:
        assert state_of(workload(name, {}, {})).ready


class TestPods:
    def test_only_pods_of_the_newest_revision_count(self) -> None:
        def one(name: str, revision: str, created: str) -> Object:
            labels = {"app": "web", "pod-template-hash": revision}
            return {"metadata": {"name": name, "labels": labels, "creationTimestamp": created}}

        owner = workload("Deployment", {"selector": {"matchLabels": {"app": "web"}}}, {})
        pods = [one("old", "a", "2026-01-01T00:00:00Z"), one("new", "b", "2026-01-02T00:00:00Z")]
        assert [found["metadata"]["name"] for found in pods_of(owner, pods)] == ["new"]

    def test_an_image_that_cannot_be_had_is_told_with_the_registrys_words(self) -> None:
        waiting = {"waiting": {"reason": "ImagePullBackOff", "message": "Back-off pulling image"}}
        said = [event("web-1", "Failed", "failed to pull shop/web:1: not found")]
        found = find_pod(pod(containers=[container(waiting)]), said, [])
        assert found
        assert "shop/web:1" in found.text
        assert "not found" in found.text
        assert 0 < found.patience < 60

    @pytest.mark.parametrize(("restarts", "patience"), [(1, NEVER_FINAL), (3, FINAL_AT_ONCE)])
    def test_a_crash_loop_is_final_after_several_restarts(self, restarts: int, patience: float) -> None:
        ended = {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}
        looping = container({"waiting": {"reason": "CrashLoopBackOff"}}, lastState=ended, restartCount=restarts)
        found = find_pod(pod(containers=[looping]), [], [])
        assert found
        assert "exit code 137, OOMKilled" in found.text
        assert (found.patience, found.container, found.crashed) == (patience, "main", True)

    def test_a_jobs_own_limit_decides_about_restarts(self) -> None:
        looping = container({"waiting": {"reason": "CrashLoopBackOff"}}, restartCount=9)
        found = find_pod(pod(containers=[looping]), [], [], restarts=False)
        assert found
        assert found.patience == NEVER_FINAL

    def test_an_unschedulable_pod_is_told_with_the_schedulers_words_and_its_claims(self) -> None:
        said = "0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims."
        unscheduled: Object = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": said}
        claims: list[Object] = [{"metadata": {"name": "data"}, "status": {"phase": "Pending"}}]
        events = [event("data", "ProvisioningFailed", "no room")]
        found = find_pod(pod(conditions=[unscheduled]), events, claims)
        assert found
        assert "0/1 nodes are available" in found.text
        assert "the claim data is not bound (no room)" in found.text

    def test_a_failing_probe_is_told_at_the_time_out_alone(self) -> None:
        running = container({"running": {}})
        events = [event("web-1", "Unhealthy", "old", "2026-01-01T00:00:00Z")]
        events.append(event("web-1", "Unhealthy", "Readiness probe failed: 503", "2026-01-02T00:00:00Z"))
        found = find_pod(pod(containers=[running]), events, [])
        assert found
        assert "Readiness probe failed: 503" in found.text
        assert found.patience == NEVER_FINAL

    def test_a_ready_pod_has_no_finding(self) -> None:
        assert (
            find_pod(pod(containers=[container({"running": {}}, ready=True)]), [event("web-1", "Unhealthy", "x")], [])
            is None
        )

    def test_a_quota_that_refuses_pods_is_told(self) -> None:
        said = 'pods "web-1" is forbidden: exceeded quota: q, requested: cpu=1, used: cpu=0, limited: cpu=500m'
        condition = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": said}
        found = find_creation(workload("Deployment", {}, {"conditions": [condition]}), [])
        assert found
        assert "the quota q is too small: cpu=1 is asked for, cpu=0 is in use, cpu=500m is the limit" in found.text
        refused = {**event("web", "FailedCreate", said), "involvedObject": {"name": "web", "uid": "u"}}
        assert find_creation(workload("StatefulSet", {}, {}), [refused])
        assert find_creation(workload("StatefulSet", {}, {}), []) is None
