"""What the Kubernetes target renders, as the objects that a cluster would get."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pulumi_recorder import Recorder, plain

from infra.config import DemoConfig, TargetKind
from infra.stack_secrets import StackSecrets
from infra.targets.base import Deployment
from infra.targets.kubernetes.kube import KubeAccess
from infra.targets.kubernetes.target import KubernetesTarget, Plugin
from infra.topology.model import Image, Topology

Object = Mapping[str, Any]
REGISTRY = "registry.example.com/compass"
_POD_OWNERS = ("Deployment", "StatefulSet", "Job")


def digest(image: Image) -> str:
    return f"sha256:{image.repository}-{image.version}"


def on_a_cluster(config: DemoConfig, **changes: Any) -> DemoConfig:
    """The same configuration on Kubernetes."""
    wanted = {"target": TargetKind.KUBERNETES, "image_registry": REGISTRY, "kube_context": "test", **changes}
    return config.model_copy(update=wanted)


def deploy(stack: str, config: DemoConfig, topology: Topology, secrets: StackSecrets) -> Deployment:
    """Register the resources, inside of a mocked program."""
    target = KubernetesTarget(
        stack,
        config,
        KubeAccess(None, "test"),
        digests=lambda asked: {image: digest(image) for image in asked.images if image.built},
        plugin=Plugin(version="1.2.3", kind="builtin"),
    )
    return target.deploy(topology, secrets)


@dataclass(frozen=True)
class Objects:
    """Every object of one rendering."""

    recorder: Recorder

    @cached_property
    def all(self) -> list[Object]:
        return [plain(one.inputs) for one in self.recorder.registrations if one.type.startswith("kubernetes:")]

    def of_kind(self, kind: str) -> dict[str, Object]:
        return {one["metadata"]["name"]: one for one in self.all if one["kind"] == kind}

    def one(self, kind: str, name: str) -> Object:
        return self.of_kind(kind)[name]

    @cached_property
    def templates(self) -> dict[str, Object]:
        """Workload -> the template of its pods."""
        return {
            one["spec"]["template"]["metadata"]["labels"]["app.kubernetes.io/name"]: one["spec"]["template"]
            for one in self.all
            if one["kind"] in _POD_OWNERS
        }

    @cached_property
    def containers(self) -> dict[str, Object]:
        """Container -> its specification, over all pods."""
        return {
            container["name"]: container
            for template in self.templates.values()
            for container in template["spec"]["containers"]
        }

    @cached_property
    def files(self) -> dict[str, dict[str, str]]:
        """Container -> path -> content, as its mounts put them together."""
        configs = {name: one["data"] for name, one in self.of_kind("ConfigMap").items()}
        secrets = {
            name: {key: base64.b64decode(value).decode() for key, value in one["data"].items()}
            for name, one in self.of_kind("Secret").items()
        }
        found: dict[str, dict[str, str]] = {}
        for template in self.templates.values():
            sources: dict[str, Mapping[str, str]] = {}
            for volume in template["spec"].get("volumes", ()):
                if "configMap" in volume:
                    sources[volume["name"]] = configs[volume["configMap"]["name"]]
                elif "secret" in volume:
                    sources[volume["name"]] = secrets[volume["secret"]["secretName"]]
            for container in template["spec"]["containers"]:
                found[container["name"]] = {
                    mount["mountPath"]: sources[mount["name"]][mount["subPath"]]
                    for mount in container.get("volumeMounts", ())
                    if mount["name"] in sources
                }
        return found


Way = tuple[str, str, int]
"""From the pod of a workload, to the pod of a workload, to a port."""


def allowed_ways(objects: Objects) -> set[Way]:
    """Every way between two pods that the policies leave open: the sender's and the receiver's must both allow it."""
    policies = [one["spec"] for one in objects.of_kind("NetworkPolicy").values()]
    pods = {name: template["metadata"]["labels"] for name, template in objects.templates.items()}
    ports = {
        name: {port["containerPort"] for one in template["spec"]["containers"] for port in one.get("ports", ())}
        for name, template in objects.templates.items()
    }
    return {
        (source, to, port)
        for source in pods
        for to in pods
        for port in ports[to]
        if _allows(policies, "egress", "to", pods[source], pods[to], port)
        and _allows(policies, "ingress", "from", pods[to], pods[source], port)
    }


def _allows(
    policies: list[Any], direction: str, peers: str, own: Mapping[str, str], other: Mapping[str, str], port: int
) -> bool:
    about = [
        policy
        for policy in policies
        if direction.capitalize() in policy["policyTypes"] and _selects(policy["podSelector"], own)
    ]
    # Without any policy everything is open; one that says nothing closes everything.
    return not about or any(
        (not rule.get("ports") or any(one["port"] == port and one["protocol"] == "TCP" for one in rule["ports"]))
        and (not rule.get(peers) or any(_is_peer(peer, other) for peer in rule[peers]))
        for policy in about
        for rule in policy.get(direction, ())
    )


def _is_peer(peer: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    # A selector of namespaces means others than the demo's here: there is only the one for the name service.
    return "namespaceSelector" not in peer and _selects(peer["podSelector"], labels)


def _selects(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    return all(labels.get(name) == value for name, value in selector.get("matchLabels", {}).items())
