"""The configuration files of the cluster's parts, as text."""

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from cluster.layout import (
    API_URL,
    CNI_NETWORK,
    DNS_ADDRESS,
    DOMAIN,
    KUBELET_PORT,
    NODE,
    NODE_ADDRESS,
    NODE_NETWORK,
    POD_LINK,
    POD_NETWORK,
    REGISTRY,
    Layout,
)
from cluster.programs import PAUSE_IMAGE
from infra.paths import LAB_CONTEXT

__all__ = ["KUBELET_HEALTH", "POLICY_PLUGIN", "PROXY_HEALTH", "kubeconfig", "render"]

POLICY_PLUGIN: Final = "compass-demo-policies"
KUBELET_HEALTH: Final = ("127.0.0.1", 26248)
PROXY_HEALTH: Final = ("127.0.0.1", 26256)

_UNUSED_PLUGINS: Final = (
    "io.containerd.snapshotter.v1.aufs",
    "io.containerd.snapshotter.v1.blockfile",
    "io.containerd.snapshotter.v1.btrfs",
    "io.containerd.snapshotter.v1.devmapper",
    "io.containerd.snapshotter.v1.zfs",
    "io.containerd.tracing.processor.v1.otlp",
    "io.containerd.internal.v1.tracing",
    "io.containerd.internal.v1.opt",
    "io.containerd.nri.v1.nri",
)


def render(layout: Layout, runc: Path, *, systemd: bool) -> dict[str, str]:
    """File name below ``conf`` -> content.

    Args:
        layout: Where the cluster lives.
        runc: The program that containerd starts containers with.
        systemd: Whether systemd manages the machine's cgroups and must be asked for them.
    """
    return {
        "containerd.toml": _containerd(layout, runc, systemd=systemd),
        f"registries/{REGISTRY}/hosts.toml": f'server = "http://{REGISTRY}"\n',
        "cni/10-compass-demo-lab.conflist": json.dumps(_cni(layout), indent=1),
        "kubelet.yaml": _yaml(_kubelet(layout, systemd=systemd)),
        "proxy.yaml": _yaml(_proxy(layout)),
        "registry.yaml": _yaml(_registry(layout)),
        # The machine's own name servers may be on its loopback address, which a pod cannot reach.
        "resolv.conf": "",
        **{f"{user}.kubeconfig": kubeconfig(layout, user) for user in _USERS},
    }


_USERS: Final = ("controller-manager", "scheduler", "kubelet", "proxy")


def kubeconfig(layout: Layout, user: str, *, embedded: bool = False) -> str:
    """A kubeconfig with one context, the lab's; keys and certificates are in it or are read from their files."""

    def read(key: str, name: str) -> dict[str, str]:
        path = layout.keys / name
        return {f"{key}-data": base64.b64encode(path.read_bytes()).decode()} if embedded else {key: str(path)}

    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": LAB_CONTEXT,
                "cluster": {"server": API_URL, **read("certificate-authority", "ca.crt")},
            }
        ],
        "users": [
            {
                "name": f"{LAB_CONTEXT}-{user}",
                "user": {**read("client-certificate", f"{user}.crt"), **read("client-key", f"{user}.key")},
            }
        ],
        "contexts": [{"name": LAB_CONTEXT, "context": {"cluster": LAB_CONTEXT, "user": f"{LAB_CONTEXT}-{user}"}}],
        "current-context": LAB_CONTEXT,
    }
    return _yaml(document)


def _containerd(layout: Layout, runc: Path, *, systemd: bool) -> str:
    def text(value: object) -> str:
        # JSON's strings, lists and booleans are TOML's too.
        return json.dumps(value if isinstance(value, bool | list) else str(value))

    cri = 'plugins."io.containerd.grpc.v1.cri"'
    return f"""version = 2
root = {text(layout.images)}
state = {text(layout.run / "containerd")}
disabled_plugins = {text(list(_UNUSED_PLUGINS))}
[grpc]
  address = {text(layout.containerd_socket)}
[ttrpc]
  address = {text(f"{layout.containerd_socket}.ttrpc")}
[{cri}]
  # Without it no pod starts where this process may not lower a process's score (no CAP_SYS_RESOURCE).
  restrict_oom_score_adj = true
  sandbox_image = {text(PAUSE_IMAGE)}
  disable_hugetlb_controller = true
  tolerate_missing_hugetlb_controller = true
  [{cri}.cni]
    bin_dir = {text(layout.plugins)}
    conf_dir = {text(layout.configs / "cni")}
  [{cri}.registry]
    config_path = {text(layout.configs / "registries")}
  [{cri}.containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"
    [{cri}.containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [{cri}.containerd.runtimes.runc.options]
        BinaryName = {text(runc)}
        Root = {text(layout.run / "runc")}
        SystemdCgroup = {text(systemd)}
"""


def _cni(layout: Layout) -> dict[str, Any]:
    bridge = {
        "type": "bridge",
        "bridge": POD_LINK,
        "isGateway": True,
        "hairpinMode": True,
        # One rule of ours does it for all pods.
        "ipMasq": False,
        "ipam": {
            "type": "host-local",
            "dataDir": str(layout.addresses),
            "ranges": [[{"subnet": POD_NETWORK}]],
            "routes": [{"dst": "0.0.0.0/0"}],
        },
    }
    policies = {"type": POLICY_PLUGIN, "socket": str(layout.policy_socket)}
    return {"cniVersion": "1.0.0", "name": CNI_NETWORK, "plugins": [bridge, policies]}


def _kubelet(layout: Layout, *, systemd: bool) -> dict[str, Any]:
    host, port = KUBELET_HEALTH
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": NODE_ADDRESS,
        "port": KUBELET_PORT,
        "readOnlyPort": 0,
        "healthzBindAddress": host,
        "healthzPort": port,
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(layout.keys / "ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": str(layout.keys / "kubelet-server.crt"),
        "tlsPrivateKeyFile": str(layout.keys / "kubelet-server.key"),
        "cgroupDriver": "systemd" if systemd else "cgroupfs",
        "failSwapOn": False,
        "failCgroupV1": False,
        # The machine's iptables are not this kubelet's: kube-proxy uses nftables.
        "makeIPTablesUtilChains": False,
        "containerRuntimeEndpoint": f"unix://{layout.containerd_socket}",
        "clusterDomain": DOMAIN,
        "clusterDNS": [DNS_ADDRESS],
        "podLogsDir": str(layout.logs / "pods"),
        "volumePluginDir": str(layout.state / "volume-plugins"),
        "resolvConf": str(layout.configs / "resolv.conf"),
        "serializeImagePulls": False,
        "maxParallelImagePulls": 3,
        # A lost node shows after seconds, not a minute.
        "nodeStatusUpdateFrequency": "4s",
        "nodeLeaseDurationSeconds": 16,
        "imageGCHighThresholdPercent": 100,
        "evictionHard": {
            "memory.available": "100Mi",
            "nodefs.available": "1%",
            "imagefs.available": "1%",
            "nodefs.inodesFree": "1%",
        },
    }


def _proxy(layout: Layout) -> dict[str, Any]:
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "clientConnection": {"kubeconfig": str(layout.configs / "proxy.kubeconfig")},
        "hostnameOverride": NODE,
        "mode": "nftables",
        # The default of a second shows as a gap after a rollout.
        "nftables": {"minSyncPeriod": "100ms"},
        "clusterCIDR": POD_NETWORK,
        "bindAddress": NODE_ADDRESS,
        "healthzBindAddress": ":".join(map(str, PROXY_HEALTH)),
        "metricsBindAddress": "127.0.0.1:26249",
        "nodePortAddresses": [NODE_NETWORK],
        # Zero: leave the machine's settings of connection tracking alone.
        "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
    }


def _registry(layout: Layout) -> dict[str, Any]:
    return {
        "version": "0.1",
        "log": {"level": "info", "accesslog": {"disabled": True}},
        "storage": {
            "filesystem": {"rootdirectory": str(layout.registry)},
            "delete": {"enabled": True},
            "cache": {"blobdescriptor": "inmemory"},
        },
        "http": {"addr": REGISTRY, "headers": {"X-Content-Type-Options": ["nosniff"]}},
    }


def _yaml(document: Mapping[str, Any]) -> str:
    return yaml.safe_dump(dict(document), sort_keys=False)
