"""A workload as the template of its pods."""

from collections.abc import Mapping

from pulumi_kubernetes.core import v1
from pulumi_kubernetes.meta import v1 as meta

from infra.stack_secrets import StackSecrets
from infra.targets.kubernetes.container import PRESTOP_SECONDS, container_args, scratch_volume
from infra.targets.kubernetes.files import config_data, digest, file_volumes, secret_data
from infra.targets.kubernetes.naming import CONFIG_DIGEST, SECRETS_DIGEST, Labels, claim_name
from infra.targets.kubernetes.sizing import Scale, mebibytes
from infra.topology.model import Image, Service, Task, Topology, Workload

__all__ = ["pod_template"]


def pod_template(
    topology: Topology,
    workload: Workload,
    *,
    labels: Labels,
    secrets: StackSecrets,
    references: Mapping[Image, str],
    scale: Scale,
) -> v1.PodTemplateSpecArgs:
    """The template; every value in it is plain, so that a digest of it can name a job.

    Args:
        topology: for the addresses in the environment.
        workload: a service with its sidecars, or a task.
        labels: of the stack.
        secrets: whose digest rolls the pods, and whose generation names the claims.
        references: image -> what the cluster pulls.
        scale: how many pods of it there will be.
    """
    gently = isinstance(workload, Service) and bool(workload.ports) and scale.surge > 0
    if isinstance(workload, Service) and workload.peers and scale.several:
        # It knows that it is one of several, and serves on by itself after the signal.
        gently = False
    grace = max(member.stop_grace_seconds for member in workload.members) + (PRESTOP_SECONDS if gently else 0)
    config, secret = config_data(workload), secret_data(workload, secrets)
    return v1.PodTemplateSpecArgs(
        metadata=meta.ObjectMetaArgs(
            labels=labels.of(workload),
            annotations={
                "kubectl.kubernetes.io/default-container": workload.name,
                **({CONFIG_DIGEST: digest(config)} if config else {}),
                **({SECRETS_DIGEST: digest(secret)} if secret else {}),
            },
        ),
        spec=v1.PodSpecArgs(
            service_account_name=workload.name,
            automount_service_account_token=False,
            # Variables such as LOKI_PORT=tcp://... for every service would be read as settings by some programs.
            enable_service_links=False,
            restart_policy="Never" if isinstance(workload, Task) else "Always",
            termination_grace_period_seconds=grace,
            security_context=_security(workload),
            containers=[
                container_args(
                    topology,
                    member,
                    references[member.image],
                    leaves_gently=gently and isinstance(member, Service),
                )
                for member in workload.members
            ],
            volumes=_volumes(workload, secrets.generation) or None,
            topology_spread_constraints=_spread(labels, workload) if scale.several else None,
        ),
    )


def _security(workload: Workload) -> v1.PodSecurityContextArgs:
    return v1.PodSecurityContextArgs(
        run_as_non_root=True,
        run_as_user=workload.user,
        run_as_group=workload.user,
        fs_group=workload.user,
        # At every mount the default would open each file to the group, and PostgreSQL refuses such a directory.
        fs_group_change_policy="OnRootMismatch",
        seccomp_profile=v1.SeccompProfileArgs(type="RuntimeDefault"),
    )


def _volumes(workload: Workload, generation: str) -> list[v1.VolumeArgs]:
    volumes = dict.fromkeys(volume.name for member in workload.members for volume in member.volumes)
    return [
        *(
            v1.VolumeArgs(
                name=name,
                persistent_volume_claim=v1.PersistentVolumeClaimVolumeSourceArgs(
                    claim_name=claim_name(name, generation)
                ),
            )
            for name in volumes
        ),
        *(
            v1.VolumeArgs(
                name=scratch_volume(member, number),
                empty_dir=v1.EmptyDirVolumeSourceArgs(medium="Memory", size_limit=mebibytes(scratch.size_mib)),
            )
            for member in workload.members
            for number, scratch in enumerate(member.scratch)
        ),
        *file_volumes(workload),
    ]


def _spread(labels: Labels, workload: Workload) -> list[v1.TopologySpreadConstraintArgs]:
    """Several pods of one service on several nodes, if there are any."""
    return [
        v1.TopologySpreadConstraintArgs(
            max_skew=1,
            topology_key="kubernetes.io/hostname",
            when_unsatisfiable="ScheduleAnyway",
            label_selector=meta.LabelSelectorArgs(match_labels=labels.selector(workload.name)),
        )
    ]
