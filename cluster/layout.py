"""Where the lab cluster lives on this machine: files below the demo's home, addresses, names of links and tables."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from infra.paths import DemoHome

__all__ = [
    "API_PORT",
    "API_URL",
    "CLAIM_FILE",
    "CNI_NETWORK",
    "DNS_ADDRESS",
    "DOMAIN",
    "ETCD_PEER_PORT",
    "ETCD_PORT",
    "KUBELET_PORT",
    "NAT_TABLE",
    "NODE",
    "NODE_ADDRESS",
    "NODE_LINK",
    "NODE_NETWORK",
    "POD_LINK",
    "POD_NETWORK",
    "POLICY_TABLE",
    "REGISTRY",
    "SERVICE_ADDRESS",
    "SERVICE_NETWORK",
    "Layout",
]

NODE: Final = "compass-demo-lab"
DOMAIN: Final = "cluster.local"

NODE_LINK: Final = "cdlab-node"
"""A bridge without ports that has the node's address: loopback is refused as a node's address."""
NODE_NETWORK: Final = "10.250.0.0/24"
NODE_ADDRESS: Final = "10.250.0.1"
POD_LINK: Final = "cdlab-pods"
POD_NETWORK: Final = "10.244.0.0/24"
SERVICE_NETWORK: Final = "10.96.0.0/16"
SERVICE_ADDRESS: Final = "10.96.0.1"
DNS_ADDRESS: Final = "10.96.0.10"

ETCD_PORT: Final = 26379
ETCD_PEER_PORT: Final = 26380
API_PORT: Final = 26443
API_URL: Final = f"https://{NODE_ADDRESS}:{API_PORT}"
KUBELET_PORT: Final = 26250
REGISTRY: Final = "127.0.0.1:26500"

CNI_NETWORK: Final = "compass-demo-lab"
NAT_TABLE: Final = "compass-demo-lab"
"""The nftables table (family ip) that lets pods reach what is outside."""
POLICY_TABLE: Final = "compass-demo-policies"
"""The nftables table (family inet) that enforces NetworkPolicies."""

CLAIM_FILE: Final = Path("/run/compass-demo-lab")
"""Says which home's cluster has this machine's addresses; gone after a reboot, as are the links."""


@dataclass(frozen=True, slots=True)
class Layout:
    """The files of the cluster below ``<home>/cluster``."""

    root: Path

    @classmethod
    def of(cls, home: DemoHome) -> "Layout":
        """The cluster of a home."""
        return cls(home.cluster)

    @property
    def kubeconfig(self) -> Path:
        """The administrator's, mode 0600."""
        return self.root / "kubeconfig"

    @property
    def keys(self) -> Path:
        """Certificates and private keys."""
        return self.root / "pki"

    @property
    def configs(self) -> Path:
        """Configuration files, written anew by every ``up``."""
        return self.root / "conf"

    @property
    def logs(self) -> Path:
        """What the parts write, and the pods' logs."""
        return self.root / "log"

    @property
    def run(self) -> Path:
        """Sockets, process records and mounts of this boot."""
        return self.root / "run"

    @property
    def state(self) -> Path:
        """The cluster's objects (etcd), the kubelet's files, addresses in use."""
        return self.root / "state"

    @property
    def volumes(self) -> Path:
        """One folder for each claim of the class ``lab``."""
        return self.state / "volumes"

    @property
    def addresses(self) -> Path:
        """Which pod has which address."""
        return self.state / "addresses"

    @property
    def images(self) -> Path:
        """Containerd's store, which ``down`` keeps."""
        return self.root / "containerd"

    @property
    def registry(self) -> Path:
        """What was pushed to the registry, which ``down`` keeps."""
        return self.root / "registry"

    @property
    def containerd_socket(self) -> Path:
        """Where containerd answers."""
        return self.run / "containerd.sock"

    @property
    def policy_socket(self) -> Path:
        """Where the enforcer of NetworkPolicies learns a new pod's address."""
        return self.run / "policies.sock"

    @property
    def plugins(self) -> Path:
        """The folder of CNI plugins."""
        return self.run / "cni"

    def log(self, part: str) -> Path:
        """What a part writes."""
        return self.logs / f"{part}.log"
