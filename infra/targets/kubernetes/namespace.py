"""The namespace of a stack: its rules, its bounds and its end."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pulumi
from pulumi_kubernetes.core import v1
from pulumi_kubernetes.meta import v1 as meta

from infra.config import DemoConfig
from infra.targets.kubernetes.lifetime import EXPIRES
from infra.targets.kubernetes.naming import TIME_TO_LIVE, Labels
from infra.targets.kubernetes.quota import limit_range, quota
from infra.targets.kubernetes.surroundings import Surroundings
from infra.topology.model import Topology

__all__ = ["Bounds", "Namespace", "lifetime_annotations"]

_DELETE_SECONDS = 300


class Namespace(pulumi.ComponentResource):
    """The one object outside of itself; every other one is in it and goes with it."""

    namespace: v1.Namespace

    def __init__(
        self, name: str, labels: Labels, annotations: Mapping[str, str], *, opts: pulumi.ResourceOptions
    ) -> None:
        super().__init__("compass:demo:Namespace", "namespace", None, opts)
        pod_security = {
            f"pod-security.kubernetes.io/{mode}{suffix}": value
            for mode in ("enforce", "audit", "warn")
            for suffix, value in (("", "restricted"), ("-version", "latest"))
        }
        self.namespace = v1.Namespace(
            "namespace-object",
            metadata=meta.ObjectMetaArgs(
                name=name, labels={**labels.of_stack(), **pod_security}, annotations=dict(annotations)
            ),
            opts=pulumi.ResourceOptions(
                parent=self, custom_timeouts=pulumi.CustomTimeouts(delete=f"{_DELETE_SECONDS}s")
            ),
        )
        self.register_outputs({"name": name})


class Bounds(pulumi.ComponentResource):
    """What the namespace may take of the cluster."""

    def __init__(self, around: Surroundings, topology: Topology, *, opts: pulumi.ResourceOptions) -> None:
        super().__init__("compass:demo:Bounds", "bounds", None, opts)
        metadata = around.metadata("demo", around.labels.of_stack())
        child = around.child(self)
        v1.ResourceQuota("bounds-quota", metadata=metadata, spec=quota(topology, around.config), opts=child)
        v1.LimitRange("bounds-limits", metadata=metadata, spec=limit_range(topology), opts=child)
        self.register_outputs({})


def lifetime_annotations(config: DemoConfig, live: Mapping[str, str], now: datetime | None = None) -> dict[str, str]:
    """When the stack's time is over, as annotations of its namespace.

    Args:
        config: with the time to live.
        live: annotations that the namespace has, if there is one: an ``up`` in between must not change anything.
        now: the time, for tests.
    """
    hours = config.time_to_live_hours
    if not hours:
        return {}
    moment = now or datetime.now(UTC)
    if live.get(TIME_TO_LIVE) == str(hours) and live.get(EXPIRES, "") > _written(moment):
        return {TIME_TO_LIVE: str(hours), EXPIRES: live[EXPIRES]}
    return {TIME_TO_LIVE: str(hours), EXPIRES: _written(moment + timedelta(hours=hours))}


def _written(moment: datetime) -> str:
    """RFC 3339 in UTC: compares as text."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
