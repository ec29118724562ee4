"""The stack's outputs: COMPASS's connection settings, flat and in upper case, and what else scripts ask for."""

from typing import Any

import pulumi

from infra.config import DemoConfig
from infra.stack_secrets import StackSecrets
from infra.targets.base import Deployment
from infra.topology import names
from infra.topology.model import Service, Topology
from infra.topology.settings import compass_settings

__all__ = ["INSIDE", "NETWORK", "OWNER_TOKEN", "PRESENTER_TOKEN", "RUNNER_URL", "TOPOLOGY", "outputs"]

TOPOLOGY = "topology"
INSIDE = "inside"
NETWORK = "network"
RUNNER_URL = "incidentRunnerUrl"
PRESENTER_TOKEN = "incidentPresenterToken"  # noqa: S105 # a name
OWNER_TOKEN = "incidentOwnerToken"  # noqa: S105 # a name


def outputs(config: DemoConfig, topology: Topology, deployment: Deployment, secrets: StackSecrets) -> dict[str, Any]:
    """Name -> value, secrets marked.

    ``inside`` holds the same settings for a container that joins ``network`` (on Kubernetes: for a pod of that
    namespace that carries the label of clients); ``topology`` is the demo as data. What is about incidents is
    for whoever presents the demo: no agent is given it.
    """
    token = secrets.values[names.GATEWAY_TOKEN]
    flat: dict[str, Any] = {}
    inside: dict[str, Any] = {}
    for setting in compass_settings():
        outer = inner = token
        if setting.endpoint:
            external = deployment.external[setting.endpoint]
            outer = setting.url(str(external), token, scheme=external.scheme)
            inner = setting.url(topology.address(setting.endpoint), token)
        flat[setting.name] = _marked(outer, secret=setting.secret)
        inside[setting.name] = _marked(inner, secret=setting.secret)
    return {
        **flat,
        INSIDE: inside,
        NETWORK: deployment.inside,
        RUNNER_URL: f"http://{deployment.external[names.INCIDENT_RUNNER]}",
        PRESENTER_TOKEN: _marked(secrets.values[names.INCIDENT_PRESENTER_TOKEN], secret=True),
        OWNER_TOKEN: _marked(secrets.values[names.INCIDENT_OWNER_TOKEN], secret=True),
        TOPOLOGY: _describe(config, topology, deployment),
    }


def _marked(value: str, *, secret: bool) -> str | pulumi.Output[str]:
    return pulumi.Output.secret(value) if secret else value


def _describe(config: DemoConfig, topology: Topology, deployment: Deployment) -> dict[str, Any]:
    addresses = {f"{endpoint.service}/{endpoint.port}": str(a) for endpoint, a in deployment.external.items()}
    return {
        "distribution": str(config.distribution),
        "target": str(config.target),
        "services": {
            workload.name: {
                "image": workload.image.reference,
                "kind": "service" if isinstance(workload, Service) else "task",
                "addresses": {
                    port.name: addresses[f"{workload.name}/{port.name}"]
                    for port in (workload.ports if isinstance(workload, Service) else ())
                    if f"{workload.name}/{port.name}" in addresses
                },
            }
            for workload in topology.workloads
        },
    }
