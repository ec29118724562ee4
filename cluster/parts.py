"""What the cluster consists of, in the order in which it starts."""

import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import requests

from cluster.api import Api
from cluster.configs import KUBELET_HEALTH, PROXY_HEALTH
from cluster.layout import (
    API_PORT,
    ETCD_PEER_PORT,
    ETCD_PORT,
    NODE,
    NODE_ADDRESS,
    REGISTRY,
    SERVICE_NETWORK,
    Layout,
)
from cluster.processes import Part, find
from cluster.programs import Programs
from infra.paths import REPOSITORY

__all__ = ["PART_NAMES", "make_parts"]

PART_NAMES: Final = (
    "etcd",
    "registry",
    "containerd",
    "apiserver",
    "controller-manager",
    "scheduler",
    "policies",
    "provisioner",
    "kubelet",
    "proxy",
)
"""In the order of their start."""

_CONTROLLERS_PORT: Final = 26257
_SCHEDULER_PORT: Final = 26259


def make_parts(layout: Layout, programs: Programs, configs: Mapping[str, str]) -> dict[str, Part]:
    """Name -> part, in the order of their start; ``configs`` is what ``cluster.configs.render`` made."""
    parts = (
        _etcd(layout, programs),
        Part(
            name="registry",
            command=(str(programs.registry), "serve", str(layout.configs / "registry.yaml")),
            configuration=configs["registry.yaml"],
            ready=lambda: _answers(f"http://{REGISTRY}/v2/"),
        ),
        Part(
            name="containerd",
            command=(str(programs.containerd), "--config", str(layout.configs / "containerd.toml")),
            configuration=configs["containerd.toml"],
            ready=lambda: _containerd_answers(programs.ctr, layout.containerd_socket),
            keeps_proxy=True,
        ),
        _apiserver(layout, programs),
        _controllers(layout, programs),
        Part(
            name="scheduler",
            command=(
                str(programs.kubernetes),
                "kube-scheduler",
                *_client(layout, "scheduler"),
                *_server(layout, "scheduler", _SCHEDULER_PORT),
                "--leader-elect=false",
            ),
            ready=lambda: _answers(f"https://127.0.0.1:{_SCHEDULER_PORT}/healthz", layout.keys / "ca.crt"),
        ),
        _ours(layout, "policies", lambda: _accepts(layout.policy_socket)),
        _ours(layout, "provisioner", lambda: _announced(layout, "provisioner")),
        Part(
            name="kubelet",
            command=(
                str(programs.kubernetes),
                "kubelet",
                f"--config={layout.configs / 'kubelet.yaml'}",
                f"--kubeconfig={layout.configs / 'kubelet.kubeconfig'}",
                f"--hostname-override={NODE}",
                f"--node-ip={NODE_ADDRESS}",
                f"--root-dir={layout.state / 'kubelet'}",
                f"--cert-dir={layout.keys}",
            ),
            configuration=configs["kubelet.yaml"],
            ready=lambda: _answers(f"http://{_address(KUBELET_HEALTH)}/healthz"),
        ),
        Part(
            name="proxy",
            command=(str(programs.kubernetes), "kube-proxy", f"--config={layout.configs / 'proxy.yaml'}"),
            configuration=configs["proxy.yaml"],
            ready=lambda: _answers(f"http://{_address(PROXY_HEALTH)}/livez"),
        ),
    )
    return {part.name: part for part in parts}


def _etcd(layout: Layout, programs: Programs) -> Part:
    client, peer = f"https://127.0.0.1:{ETCD_PORT}", f"https://127.0.0.1:{ETCD_PEER_PORT}"
    keys = layout.keys
    return Part(
        name="etcd",
        command=(
            str(programs.etcd),
            f"--name={NODE}",
            f"--data-dir={layout.state / 'etcd'}",
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster={NODE}={peer}",
            "--client-cert-auth",
            f"--trusted-ca-file={keys / 'ca.crt'}",
            f"--cert-file={keys / 'etcd.crt'}",
            f"--key-file={keys / 'etcd.key'}",
            "--peer-client-cert-auth",
            f"--peer-trusted-ca-file={keys / 'ca.crt'}",
            f"--peer-cert-file={keys / 'etcd.crt'}",
            f"--peer-key-file={keys / 'etcd.key'}",
            # A lab survives a killed process; after a power cut it may have to be made anew.
            "--unsafe-no-fsync",
            "--logger=zap",
        ),
        ready=lambda: _answers(f"{client}/health", keys / "ca.crt", (keys / "etcd.crt", keys / "etcd.key")),
    )


def _apiserver(layout: Layout, programs: Programs) -> Part:
    keys = layout.keys
    api: list[Api] = []

    def ready() -> str:
        # Made when first asked: the certificates must be there by then.
        if not api:
            api.append(Api(keys, timeout_seconds=3))
        return api[0].not_ready()

    return Part(
        name="apiserver",
        command=(
            str(programs.kubernetes),
            "kube-apiserver",
            f"--etcd-servers=https://127.0.0.1:{ETCD_PORT}",
            f"--etcd-cafile={keys / 'ca.crt'}",
            f"--etcd-certfile={keys / 'apiserver-to-etcd.crt'}",
            f"--etcd-keyfile={keys / 'apiserver-to-etcd.key'}",
            f"--bind-address={NODE_ADDRESS}",
            f"--advertise-address={NODE_ADDRESS}",
            f"--secure-port={API_PORT}",
            f"--service-cluster-ip-range={SERVICE_NETWORK}",
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
            f"--client-ca-file={keys / 'ca.crt'}",
            f"--tls-cert-file={keys / 'apiserver.crt'}",
            f"--tls-private-key-file={keys / 'apiserver.key'}",
            "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
            f"--service-account-key-file={keys / 'sa.pub'}",
            f"--service-account-signing-key-file={keys / 'sa.key'}",
            f"--kubelet-certificate-authority={keys / 'ca.crt'}",
            f"--kubelet-client-certificate={keys / 'apiserver-to-kubelet.crt'}",
            f"--kubelet-client-key={keys / 'apiserver-to-kubelet.key'}",
            "--kubelet-preferred-address-types=InternalIP",
            "--allow-privileged=true",
            "--anonymous-auth=false",
            "--profiling=false",
        ),
        ready=ready,
    )


def _controllers(layout: Layout, programs: Programs) -> Part:
    keys = layout.keys
    return Part(
        name="controller-manager",
        command=(
            str(programs.kubernetes),
            "kube-controller-manager",
            *_client(layout, "controller-manager"),
            *_server(layout, "controller-manager", _CONTROLLERS_PORT),
            f"--service-account-private-key-file={keys / 'sa.key'}",
            f"--root-ca-file={keys / 'ca.crt'}",
            f"--cluster-signing-cert-file={keys / 'ca.crt'}",
            f"--cluster-signing-key-file={keys / 'ca.key'}",
            "--use-service-account-credentials=true",
            "--leader-elect=false",
            f"--flex-volume-plugin-dir={layout.state / 'volume-plugins'}",
            # The defaults are for large clusters: here a fresh namespace would wait seconds for its ServiceAccount,
            # a claim as long for its volume, and a lost node would show after most of a minute.
            "--kube-api-qps=300",
            "--kube-api-burst=600",
            "--pvclaimbinder-sync-period=2s",
            "--node-monitor-grace-period=20s",
            # etcd 3.4 cannot serve it; without this each client tries it first, and says so.
            "--feature-gates=WatchListClient=false",
        ),
        ready=lambda: _answers(f"https://127.0.0.1:{_CONTROLLERS_PORT}/healthz", keys / "ca.crt"),
    )


def _ours(layout: Layout, name: str, ready: Callable[[], str]) -> Part:
    """A part that is Python: started again when its code has changed."""
    sources = sorted((REPOSITORY / "cluster").glob("*.py"))
    return Part(
        name=name,
        command=(sys.executable, "-m", f"cluster.{name}", str(layout.root)),
        configuration="\0".join(path.read_text(encoding="utf-8") for path in sources),
        environment={"PYTHONPATH": str(REPOSITORY), "PYTHONUNBUFFERED": "1"},
        ready=ready,
    )


def _client(layout: Layout, user: str) -> tuple[str, ...]:
    path = layout.configs / f"{user}.kubeconfig"
    return (f"--kubeconfig={path}", f"--authentication-kubeconfig={path}", f"--authorization-kubeconfig={path}")


def _server(layout: Layout, user: str, port: int) -> tuple[str, ...]:
    return (
        "--bind-address=127.0.0.1",
        f"--secure-port={port}",
        f"--tls-cert-file={layout.keys / f'{user}.crt'}",
        f"--tls-private-key-file={layout.keys / f'{user}.key'}",
    )


def _answers(url: str, authority: Path | None = None, client: tuple[Path, Path] | None = None) -> str:
    """Why the address does not answer with success; an empty string when it does."""
    with requests.Session() as session:
        session.trust_env = False
        try:
            answer = session.get(
                url,
                timeout=3,
                verify=str(authority) if authority else True,
                cert=(str(client[0]), str(client[1])) if client else None,
            )
        except (requests.RequestException, OSError):
            return f"{url} does not answer"
    return "" if answer.ok else f"{url} answers {answer.status_code}"


def _announced(layout: Layout, name: str) -> str:
    """A part that listens nowhere writes its process number when it serves."""
    running, path = find(layout, name), layout.run / f"{name}.ready"
    serves = running is not None and path.exists() and path.read_text(encoding="ascii") == str(running.pid)
    return "" if serves else "it reads its lists"


def _accepts(path: Path) -> str:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(3)
        try:
            client.connect(str(path))
        except OSError as error:
            return f"{path.name}: {error.strerror}"
    return ""


def _containerd_answers(ctr: Path, path: Path) -> str:
    if reason := _accepts(path):
        return reason
    try:
        result = subprocess.run(
            [str(ctr), "-a", str(path), "version"], capture_output=True, timeout=10, text=True, check=False
        )
    except subprocess.TimeoutExpired:
        return "it does not answer"
    return "" if result.returncode == 0 else result.stderr.strip()[-200:] or "it does not answer"


def _address(pair: tuple[str, int]) -> str:
    return f"{pair[0]}:{pair[1]}"
