"""The component of a service or a task: its account, files, claims, and what runs it."""

import base64
import hashlib
import json
from collections.abc import Sequence
from typing import Any, Final

import pulumi
from pulumi_kubernetes.apps import v1 as apps
from pulumi_kubernetes.autoscaling import v2 as autoscaling
from pulumi_kubernetes.batch import v1 as batch
from pulumi_kubernetes.core import v1
from pulumi_kubernetes.meta import v1 as meta
from pulumi_kubernetes.policy import v1 as policy

from infra.targets.kubernetes.files import config_data, secret_data
from infra.targets.kubernetes.naming import claim_name, config_name, secrets_name
from infra.targets.kubernetes.pod import pod_template
from infra.targets.kubernetes.sizing import cores, mebibytes, scale
from infra.targets.kubernetes.surroundings import SKIP_AWAIT, Surroundings
from infra.topology.model import Service, Task, Volume, Workload

__all__ = ["WorkloadComponent"]

_PULL_SECONDS: Final = 180
"""For pulling images and binding volumes, on top of the topology's own deadlines."""
_ATTEMPTS: Final = 1
"""Second attempts of a task: a node may go; what fails by itself fails again."""
_BUSY_SHARE: Final = 0.6
"""Of the CPU limit, above which the autoscaler adds a pod."""
_OLD_REVISIONS: Final = 2


class WorkloadComponent(pulumi.ComponentResource):
    """A service with its volumes and sidecars, or a task."""

    controller: pulumi.Resource
    """What is ready when the pods are, or done when the task is."""

    def __init__(
        self,
        around: Surroundings,
        workload: Workload,
        *,
        needs: Sequence[pulumi.Resource],
        opts: pulumi.ResourceOptions,
    ) -> None:
        noun = "Service" if isinstance(workload, Service) else "Task"
        super().__init__(f"compass:demo:{noun}", workload.name, None, opts)
        self._around = around
        self._workload = workload
        self._scale = scale(workload, around.config)
        self._labels = around.labels.of(workload)
        self._selector = meta.LabelSelectorArgs(match_labels=around.labels.selector(workload.name))
        self._template = pod_template(
            around.topology,
            workload,
            labels=around.labels,
            secrets=around.secrets,
            references=around.references,
            scale=self._scale,
        )
        before = [*needs, self._account(), *self._files(), *self._claims()]
        if isinstance(workload, Task):
            self.controller = self._job(workload, before)
        else:
            stateful = any(member.volumes for member in workload.members)
            self.controller = self._stateful_set(before) if stateful else self._deployment(before)
            self._budget()
            if self._scale.most:
                self._autoscaler(self._scale.most)
        self.register_outputs({"name": workload.name})

    def _account(self) -> pulumi.Resource:
        return v1.ServiceAccount(
            f"{self._workload.name}-account",
            metadata=self._around.metadata(self._workload.name, self._labels),
            automount_service_account_token=False,
            opts=self._around.child(self),
        )

    def _files(self) -> list[pulumi.Resource]:
        name, around = self._workload.name, self._around
        made: list[pulumi.Resource] = []
        config = config_data(self._workload)
        if config:
            made.append(
                v1.ConfigMap(
                    f"{name}-config",
                    metadata=around.metadata(config_name(name), self._labels),
                    data=config,
                    opts=around.child(self),
                )
            )
        secret = secret_data(self._workload, around.secrets)
        if secret:
            encoded = {key: base64.b64encode(value.encode()).decode() for key, value in secret.items()}
            made.append(
                v1.Secret(
                    f"{name}-secrets",
                    metadata=around.metadata(secrets_name(name), self._labels),
                    type="Opaque",
                    data=pulumi.Output.secret(encoded),
                    opts=around.child(self),
                )
            )
        return made

    def _claims(self) -> list[pulumi.Resource]:
        volumes = {volume.name: volume for member in self._workload.members for volume in member.volumes}
        return [self._claim(volume) for volume in volumes.values()]

    def _claim(self, volume: Volume) -> pulumi.Resource:
        around = self._around
        return v1.PersistentVolumeClaim(
            f"{volume.name}-claim",
            # Many classes bind a claim when its first pod comes, so the pod is what to wait for.
            metadata=around.metadata(claim_name(volume.name, around.secrets.generation), self._labels, SKIP_AWAIT),
            spec=v1.PersistentVolumeClaimSpecArgs(
                access_modes=["ReadWriteOnce"],
                storage_class_name=around.config.storage_class or None,
                resources=v1.VolumeResourceRequirementsArgs(requests={"storage": mebibytes(volume.size_mib)}),
            ),
            opts=around.child(self),
        )

    def _deployment(self, before: Sequence[pulumi.Resource]) -> pulumi.Resource:
        surge = self._scale.surge
        rolling = apps.RollingUpdateDeploymentArgs(max_surge=surge, max_unavailable=0)
        return apps.Deployment(
            f"{self._workload.name}-deployment",
            metadata=self._around.metadata(self._workload.name, self._labels),
            spec=apps.DeploymentSpecArgs(
                # An autoscaler's number is its own: naming one here would put it back at every update.
                replicas=None if self._scale.most else self._scale.replicas,
                revision_history_limit=_OLD_REVISIONS,
                progress_deadline_seconds=self._seconds,
                selector=self._selector,
                strategy=apps.DeploymentStrategyArgs(type="RollingUpdate", rolling_update=rolling)
                if surge
                else apps.DeploymentStrategyArgs(type="Recreate"),
                template=self._template,
            ),
            opts=self._controlled(before),
        )

    def _stateful_set(self, before: Sequence[pulumi.Resource]) -> pulumi.Resource:
        return apps.StatefulSet(
            f"{self._workload.name}-statefulset",
            metadata=self._around.metadata(self._workload.name, self._labels),
            spec=apps.StatefulSetSpecArgs(
                replicas=self._scale.replicas,
                revision_history_limit=_OLD_REVISIONS,
                service_name=self._workload.name,
                # In order, a pod that cannot start would have to be deleted by hand before its correction is tried.
                pod_management_policy="Parallel",
                selector=self._selector,
                template=self._template,
            ),
            opts=self._controlled(before),
        )

    def _job(self, task: Task, before: Sequence[pulumi.Resource]) -> pulumi.Resource:
        """A task runs once for each specification: its digest is in the name, and another name is another job."""
        return batch.Job(
            f"{task.name}-job",
            metadata=self._around.metadata(f"{task.name}-{_digest(self._template)}", self._labels),
            spec=batch.JobSpecArgs(
                backoff_limit=_ATTEMPTS,
                active_deadline_seconds=task.deadline_seconds,
                template=self._template,
            ),
            opts=pulumi.ResourceOptions.merge(
                self._controlled(before, task.deadline_seconds + _PULL_SECONDS),
                # If the new one fails, going back to the old one would find it still there, and then delete it.
                pulumi.ResourceOptions(delete_before_replace=True),
            ),
        )

    def _budget(self) -> None:
        """One pod at a time may be evicted, the only one too: it would block the update of its node for ever."""
        policy.PodDisruptionBudget(
            f"{self._workload.name}-budget",
            metadata=self._around.metadata(self._workload.name, self._labels),
            spec=policy.PodDisruptionBudgetSpecArgs(
                max_unavailable=1, selector=self._selector, unhealthy_pod_eviction_policy="AlwaysAllow"
            ),
            opts=self._around.child(self),
        )

    def _autoscaler(self, most: int) -> None:
        # By the amount and not by a share of the request, which is far below what a pod may use.
        busy = autoscaling.MetricTargetArgs(type="AverageValue", average_value=cores(self._workload.cpus * _BUSY_SHARE))
        autoscaling.HorizontalPodAutoscaler(
            f"{self._workload.name}-autoscaler",
            metadata=self._around.metadata(self._workload.name, self._labels),
            spec=autoscaling.HorizontalPodAutoscalerSpecArgs(
                scale_target_ref=autoscaling.CrossVersionObjectReferenceArgs(
                    api_version="apps/v1", kind="Deployment", name=self._workload.name
                ),
                min_replicas=self._scale.replicas,
                max_replicas=most,
                metrics=[
                    autoscaling.MetricSpecArgs(
                        type="Resource", resource=autoscaling.ResourceMetricSourceArgs(name="cpu", target=busy)
                    )
                ],
            ),
            opts=self._around.child(self),
        )

    @property
    def _seconds(self) -> int:
        """How long the pods may take to be ready, one after the other if there are several."""
        probes = [member.probe for member in self._workload.members if not isinstance(member, Task)]
        deadline = max((probe.deadline_seconds for probe in probes if probe), default=0)
        return deadline * self._scale.ceiling + _PULL_SECONDS

    def _controlled(self, before: Sequence[pulumi.Resource], seconds: int | None = None) -> pulumi.ResourceOptions:
        return pulumi.ResourceOptions.merge(
            self._around.child(self, timeout_seconds=seconds or self._seconds),
            pulumi.ResourceOptions(depends_on=list(before)),
        )


def _digest(template: v1.PodTemplateSpecArgs) -> str:
    return hashlib.sha256(json.dumps(_plain(template), sort_keys=True).encode()).hexdigest()[:10]


def _plain(value: Any) -> Any:  # noqa: ANN401 # the SDK's argument objects hold anything
    if isinstance(value, list):
        return [_plain(one) for one in value]  # pyright: ignore[reportUnknownVariableType] # as above
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items()}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType] # as above
    return value if isinstance(value, str | int | float | bool | None) else _plain(vars(value))
