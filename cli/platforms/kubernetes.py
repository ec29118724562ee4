"""A stack on a Kubernetes cluster."""

import asyncio
import contextlib
import json
import os
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from cli.platforms.base import ServiceStatus, with_unknown
from cli.platforms.docker_engine import ensure_engine
from cli.platforms.kubernetes_drift import deviations
from cli.platforms.kubernetes_logs import container_log, last_lines
from cli.platforms.kubernetes_plugins import go_on_with, provide
from cli.platforms.kubernetes_status import Snapshot, container_rows, take_snapshot
from cli.platforms.kubernetes_tunnel import serve
from cli.platforms.pods import containers_of
from images.build import check_builder, ensure_images, missing_images
from images.push import push_images, pushed_digests
from infra.backend import pulumi_home
from infra.errors import DemoError, EngineError
from infra.targets.kubernetes import preflight
from infra.targets.kubernetes.client import Forbidden, KubeClient
from infra.targets.kubernetes.kube import KubeAccess, namespace_name, resolve
from infra.targets.kubernetes.lifetime import overdue
from infra.targets.kubernetes.objects import NAME, STACK, is_ours, part, parts
from infra.targets.kubernetes.portforward import PortClosed, http_get
from infra.topology import names
from infra.topology.model import Image
from toolchain import kubernetes_plugin
from toolchain.engine import Engine
from toolchain.pulumi_tools import PulumiTools

if TYPE_CHECKING:
    from cli.doctor import Finding
    from cli.pulumi_stack import PulumiStack
    from cli.session import Session

__all__ = ["KubernetesPlatform"]

_PACKAGE: Final = "kubernetes"
_GONE_SECONDS: Final = 90
_POLL_SECONDS: Final = 0.3
_OK: Final = 200


class KubernetesPlatform:
    """See ``cli.platforms.base.Platform``."""

    def __init__(self, session: "Session") -> None:
        self._session = session

    @cached_property
    def access(self) -> KubeAccess:
        """The cluster that the stack names, and no other."""
        return resolve(self._session.config, self._session.home)

    @cached_property
    def client(self) -> KubeClient:
        """A connection to it."""
        return KubeClient.connect(self.access)

    @property
    def namespace(self) -> str:
        """The stack's namespace."""
        return namespace_name(self._session.stack, self._session.config)

    def make_reachable(self) -> None:
        """A Docker engine, if images have to be built or pushed; the cluster is asked by ``check``."""
        _ = self.access
        try:
            Engine.connect(self._session.config.docker_host)
        except EngineError:
            if self._unpushed():
                ensure_engine(self._session.home, self._session.display, self._session.config.docker_host)

    def check(self) -> None:
        """Rights, namespace, quota, storage and registry."""
        one = self._session
        preflight.check(self.access, one.config, one.topology, stack=one.stack, preview=False, client=self.client)

    def prepare(self) -> PulumiTools:
        """The engine with its Kubernetes plugin, and every image of ours in the registry."""
        # Side by side: linkers and downloads leave processors idle.
        with ThreadPoolExecutor(1, thread_name_prefix="tools") as pool:
            tools = pool.submit(self.ensure_tools)
            self.prepare_images()
            return tools.result()

    def prepare_images(self) -> None:
        """Build and push what the registry does not have; official images are pulled by the cluster itself."""
        wanted = self._unpushed()
        if not wanted:
            return
        one = self._session
        missing = missing_images(one.engine, wanted)
        check_builder(one.config, missing)
        ensure_images(one.config, missing, one.engine, one.home.make_private(), one.display)
        push_images(one.config, wanted, one.engine, one.display)

    def ensure_tools(self) -> PulumiTools:
        """The engine with its Kubernetes plugin."""
        tools = PulumiTools.find_or_make(self._session.home.make_private(), self._session.display)
        kubernetes_plugin.ensure(tools, self._session.display)
        return tools

    def deviations(self) -> list[str]:
        """Objects that are missing or were changed by hand."""
        if self._live_namespace() is None:
            return [f"the namespace {self.namespace} is missing"]
        return deviations(self.client, self.namespace, self._session.stack, self._session.topology)

    def health(self, *, timeout_seconds: float) -> dict[str, Any]:
        """Asked inside a pod of the gateway, the way that a tunnel takes."""
        pod = self._gateway_pod()
        if not pod:
            return {}
        port = self._session.topology.port(names.GATEWAY).number
        question = http_get(self.client, self.namespace, pod, port, "/ready/stack", seconds=timeout_seconds)
        try:
            status, body = self.client.run(question)
            document: dict[str, Any] = json.loads(body)
            told = {**document, "failing": document["failing"], "ready": status == _OK}
        except (PortClosed, ValueError, KeyError, TypeError, asyncio.CancelledError):
            return {}
        return with_unknown(told, list(self._unknown_failing()))

    def trouble(self) -> list[str]:
        """What the cluster says of the containers that are not well, with the last lines of those that crash."""
        snapshot = take_snapshot(self.client, self.namespace)
        told: list[str] = []
        for row in container_rows(self._session.topology, snapshot, {}):
            if row.ok:
                continue
            told.append(f"{row.name}: {row.state}")
            for one in snapshot.containers:
                if one.name == row.name and one.crashed:
                    told.extend(f"    {line}" for line in last_lines(self.client, self.namespace, one))
                    break
        return told

    def services(self, health: Mapping[str, Any]) -> list[ServiceStatus]:
        """Every container as the cluster sees it."""
        return container_rows(self._session.topology, self._snapshot(memory=True), health)

    def remarks(self) -> list[str]:
        """How to reach it, and whether its time to live is over."""
        namespace = self._live_namespace()
        if namespace is None:
            return []
        stack = self._session.stack
        late = overdue(namespace)
        tunnel = (
            "" if self._session.config.ingress_host else f"./demo tunnel {stack} opens the addresses on this machine."
        )
        return [remark for remark in (tunnel, late) if remark]

    def logs(self, container: str, *, lines: int, follow: bool) -> Iterator[bytes]:
        """What the kubelet keeps of a container's output, of all its pods."""
        yield from container_log(self.client, self.namespace, container, lines=lines, follow=follow)

    def tunnel(self) -> None:
        """Through the API server and the kubelets, to whichever pods are ready."""
        if self._live_namespace() is None:
            raise DemoError(f"The stack {self._session.stack} is not up; ./demo up {self._session.stack} makes it.")
        serve(self.client, self.namespace, self._session.topology, self._session.display.say)

    def before_up(self, pulumi: "PulumiStack") -> None:
        """Refuse to go on with another plugin than the one that the state names."""
        go_on_with(self._session.stack, pulumi.plugin_versions(_PACKAGE), pulumi_home(os.environ))

    def before_destroy(self, pulumi: "PulumiStack") -> None:
        """Find out that the cluster answers, give up the pods of a node that does not, and get what destroys it."""
        self._give_up_lost_pods()
        provide(self._session.stack, pulumi.plugin_versions(_PACKAGE), pulumi_home(os.environ))

    def remove_leftovers(self) -> None:
        """The namespace, with all that is in it, and the volumes that were bound for it."""
        deadline = time.monotonic() + _GONE_SECONDS
        while (namespace := self._live_namespace()) is not None and is_ours(namespace, self._session.stack):
            if not part(namespace, "metadata").get("deletionTimestamp"):
                self.client.delete(f"/api/v1/namespaces/{self.namespace}")
            self._give_up_lost_pods()
            if time.monotonic() > deadline:
                raise DemoError(self._why_it_stays(namespace))
            time.sleep(_POLL_SECONDS)
        while left := self._volumes():
            if time.monotonic() > deadline:
                raise DemoError(
                    f"The volumes {', '.join(left)} are still there after {_GONE_SECONDS} seconds; what made them "
                    "(the storage class's provisioner) has to delete them."
                )
            time.sleep(_POLL_SECONDS)

    def how_to_join(self, network: str, env_file: str) -> str:
        """As a pod of the namespace that says that it is a client."""
        return (
            f"For a pod in the namespace {network} with the label compass-demo/client=true, or one that its "
            f"NetworkPolicies let in: kubectl -n {network} create secret generic compass --from-env-file {env_file}"
        )

    def findings(self) -> "Iterator[Finding]":
        """The cluster, what it lacks for the stack, and the registry."""
        from cli.doctor import kubernetes_findings  # noqa: PLC0415 # which asks for platforms

        yield from kubernetes_findings(self._session, self)

    @property
    def version(self) -> str:
        """The API server's version."""
        return str((self.client.get("/version") or {}).get("gitVersion", "?"))

    def _unpushed(self) -> list[Image]:
        images = [image for image in self._session.topology.images if image.built]
        if not self._session.config.image_registry:
            # The check says it in one sentence.
            return []
        there = pushed_digests(self._session.config, images)
        return [image for image in images if image not in there]

    def _snapshot(self, *, memory: bool) -> Snapshot:
        return take_snapshot(self.client, self.namespace, memory=memory)

    def _live_namespace(self) -> dict[str, Any] | None:
        return self.client.get(f"/api/v1/namespaces/{self.namespace}")

    def _gateway_pod(self) -> str:
        """A pod of the gateway that is ready, else one that runs, else nothing."""
        usable = [
            pod
            for pod in self._pods(names.GATEWAY.service)
            if part(pod, "status").get("phase") == "Running" and not pod["metadata"].get("deletionTimestamp")
        ]
        usable.sort(key=lambda pod: not all(one.get("ready") for one in parts(pod, "status", "containerStatuses")))
        return str(usable[0]["metadata"]["name"]) if usable else ""

    def _unknown_failing(self) -> Iterator[dict[str, str]]:
        for service in self._session.topology.services:
            if service.known_to_agents:
                continue
            found = list(containers_of(self._pods(service.name)))
            for member in service.members:
                containers = [one for one in found if one.name == member.name]
                yield from ({"service": one.name, "reason": one.reason} for one in containers if not one.ready)
                if not containers:
                    yield {"service": member.name, "reason": "missing"}

    def _pods(self, service: str) -> list[dict[str, Any]]:
        selector = f"{NAME}={service},{STACK}={self._session.stack}"
        return self.client.items(f"/api/v1/namespaces/{self.namespace}/pods", labelSelector=selector)

    def _give_up_lost_pods(self) -> None:
        """Pods of a silent node are never reported as gone, and would hold up whatever waits for that."""
        snapshot = self._snapshot(memory=False)
        for pod in {one.pod for one in snapshot.containers if one.node in snapshot.silent}:
            self.client.delete(f"/api/v1/namespaces/{self.namespace}/pods/{pod}", grace_seconds=0)

    def _volumes(self) -> list[str]:
        """Persistent volumes that were bound for the namespace, as far as this user may look."""
        with contextlib.suppress(Forbidden):
            return [
                str(one["metadata"]["name"])
                for one in self.client.items("/api/v1/persistentvolumes")
                if part(one, "spec", "claimRef").get("namespace") == self.namespace
                # What somebody told the cluster to keep is kept.
                and one["spec"].get("persistentVolumeReclaimPolicy") == "Delete"
            ]
        return []

    def _why_it_stays(self, namespace: Mapping[str, Any]) -> str:
        conditions = parts(namespace, "status", "conditions")
        said = "; ".join(str(one.get("message")) for one in conditions if one.get("status") == "True")
        return (
            f"The namespace {self.namespace} is still there after {_GONE_SECONDS} seconds: {said or 'no reason told'}. "
            "./demo destroy goes on when the cause is mended."
        )
