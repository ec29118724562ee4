"""What the cluster changes on the machine around it, and how that is undone: links, rules, settings of the kernel."""

import ipaddress
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any, Final

from cluster.layout import (
    CLAIM_FILE,
    NAT_TABLE,
    NODE_ADDRESS,
    NODE_LINK,
    NODE_NETWORK,
    POD_LINK,
    POD_NETWORK,
    POLICY_TABLE,
    SERVICE_NETWORK,
    Layout,
)
from infra.errors import DemoError

__all__ = ["PATHS", "boot", "claim", "claimed_by", "nft", "prepare", "restore", "systemd_cgroups"]

_SETTINGS: Final = (
    # Ours.
    "net.ipv4.ip_forward",
    "net.bridge.bridge-nf-call-iptables",
    # The kubelet's.
    "vm.overcommit_memory",
    "vm.panic_on_oom",
    "kernel.panic",
    "kernel.panic_on_oops",
    "kernel.keys.root_maxkeys",
    "kernel.keys.root_maxbytes",
)
PATHS: Final = tuple(
    Path(path)
    for path in (
        "/var/lib/kubelet",
        "/var/lib/kubelet/device-plugins",
        "/var/lib/cni",
        "/var/lib/cni/results",
        "/var/log/containers",
        "/var/log/pods",
        "/run/containerd/s",
    )
)
"""Folders that kubelet, containerd and CNI make outside the demo's home and cannot be told not to."""

_COMMENT: Final = ("-m", "comment", "--comment", "compass-demo-lab")
_FORWARD: Final = (
    ("FORWARD", "-i", POD_LINK, *_COMMENT, "-j", "ACCEPT"),
    ("FORWARD", "-o", POD_LINK, *_COMMENT, "-j", "ACCEPT"),
)
"""Docker sets the policy of this chain to DROP."""
_TABLES: Final = (
    ("ip", "kube-proxy"),
    ("ip6", "kube-proxy"),
    ("ip", NAT_TABLE),
    ("inet", POLICY_TABLE),
)
_CGROUPS: Final = Path("/sys/fs/cgroup")
_ENVIRONMENT: Final = {**os.environ, "PATH": f"{os.environ.get('PATH', '')}:/usr/local/sbin:/usr/sbin:/sbin"}


def claimed_by() -> str:
    """The root of the cluster that has this machine's addresses; empty if none has."""
    try:
        return CLAIM_FILE.read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def claim(layout: Layout) -> None:
    """Take the machine's addresses for this cluster.

    Raises:
        DemoError: the cluster of another home has them, or another kubelet runs here.
    """
    owner = claimed_by()
    if owner == str(layout.root):
        return
    if owner:
        raise DemoError(
            f"The lab cluster in {owner} has this machine's addresses; there can be one at a time. "
            f"Stop it first: COMPASS_DEMO_HOME={Path(owner).parent} ./demo cluster down"
        )
    if reason := _occupied():
        raise DemoError(f"The lab cluster cannot run here: {reason}.")
    CLAIM_FILE.write_text(f"{layout.root}\n", encoding="utf-8")


def boot() -> str:
    """What tells this boot of the machine from any other."""
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def _occupied() -> str:
    """Who else has what the cluster needs; empty if nobody has."""
    for family in ("ip", "ip6"):
        if _run("nft", "list", "table", family, "kube-proxy").returncode == 0:
            return "another Kubernetes runs on this machine (it has a kube-proxy's rules); use that one"
    for top in (*_CGROUPS.glob("kubepods*"), *_CGROUPS.glob("*/kubepods*")):
        if any(path.read_text(encoding="ascii") for path in top.rglob("cgroup.procs")):
            return f"another Kubernetes runs on this machine (it has pods in {top}); use that one"
    ours = [ipaddress.IPv4Network(network) for network in (NODE_NETWORK, POD_NETWORK, SERVICE_NETWORK)]
    routes: list[dict[str, Any]] = json.loads(_run("ip", "-json", "-4", "route").stdout or "[]")
    for route in routes:
        if route["dst"] == "default" or route.get("dev") in {NODE_LINK, POD_LINK}:
            continue
        # A wider route, as a company's network has, yields to ours.
        taken = ipaddress.IPv4Network(route["dst"])
        if any(taken.subnet_of(one) for one in ours):
            return f"it uses {', '.join(map(str, ours))}, and this machine has a route to {taken} ({route.get('dev')})"
    return ""


def prepare(layout: Layout) -> None:
    """Make the links, rules and settings; what was there before is written down first, once.

    Raises:
        DemoError: the machine refuses one of them.
    """
    _load_modules()
    record = layout.run / "machine.json"
    if not record.exists():
        before = {
            "settings": {name: value for name in _SETTINGS if (value := _setting(name)) is not None},
            "paths": [str(path) for path in PATHS if path.exists()],
        }
        record.write_text(json.dumps(before), encoding="utf-8")
    for name, value in (("net.ipv4.ip_forward", "1"), ("net.bridge.bridge-nf-call-iptables", "1")):
        _set(name, value)
    if not Path(f"/sys/class/net/{NODE_LINK}").exists():
        _must("ip", "link", "add", NODE_LINK, "type", "bridge")
    _must("ip", "address", "replace", f"{NODE_ADDRESS}/24", "dev", NODE_LINK)
    _must("ip", "link", "set", NODE_LINK, "up")
    # A service's address that has no rule yet must not leave by the default route: somebody may answer there.
    _must("ip", "route", "replace", SERVICE_NETWORK, "dev", NODE_LINK, "src", NODE_ADDRESS)
    for rule in _FORWARD:
        if _run("iptables", "-w", "-C", *rule).returncode != 0:
            _must("iptables", "-w", "-I", *rule)
    nft(
        f"table ip {NAT_TABLE} {{}}\ndelete table ip {NAT_TABLE}\n"
        f"table ip {NAT_TABLE} {{\n chain postrouting {{\n"
        "  type nat hook postrouting priority srcnat; policy accept;\n"
        f'  ip saddr {POD_NETWORK} oifname != "{POD_LINK}" masquerade\n }}\n}}\n'
    )


def restore(layout: Layout) -> None:
    """Undo what ``prepare`` and the parts did; what is gone already is fine."""
    for family, table in _TABLES:
        _run("nft", "delete", "table", family, table)
    for rule in _FORWARD:
        while _run("iptables", "-w", "-D", *rule).returncode == 0:
            pass
    for link in (POD_LINK, NODE_LINK):
        _run("ip", "link", "delete", link)
    try:
        before: dict[str, Any] = json.loads((layout.run / "machine.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        # A cluster that never came as far, or one from before a reboot, which undid it all.
        before = {}
    for name, value in before.get("settings", {}).items():
        if _setting(name) != value:
            _set(name, value)
    CLAIM_FILE.unlink(missing_ok=True)


def systemd_cgroups() -> bool:
    """Whether systemd owns the cgroup tree (version 2) and must make the pods' groups."""
    return Path("/run/systemd/system").exists() and Path("/sys/fs/cgroup/cgroup.controllers").exists()


def nft(ruleset: str) -> None:
    """Apply nftables commands, all or none.

    Raises:
        DemoError: they are refused.
    """
    result = subprocess.run(
        ["nft", "-f", "-"], input=ruleset, capture_output=True, text=True, env=_ENVIRONMENT, check=False
    )
    if result.returncode != 0:
        raise DemoError(f"nft refused the rules: {result.stderr.strip()[:500]}")


def _setting(name: str) -> str | None:
    try:
        return _setting_path(name).read_text(encoding="ascii").strip()
    except OSError:
        return None


def _set(name: str, value: str) -> None:
    if _setting(name) == value:
        return
    try:
        _setting_path(name).write_text(value, encoding="ascii")
    except OSError as error:
        raise DemoError(f"The kernel's setting {name} cannot be made {value}: {error.strerror}.") from None


def _setting_path(name: str) -> Path:
    return Path("/proc/sys", *name.split("."))


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, env=_ENVIRONMENT, check=False)


def _load_modules() -> None:
    """What the kernel must be able to do; built in, or loaded by Docker already, on most machines."""
    overlay = "overlay" in Path("/proc/filesystems").read_text(encoding="ascii").split()
    missing = [
        name
        for name, there in (("br_netfilter", Path("/proc/sys/net/bridge").exists()), ("overlay", overlay))
        if not there
    ]
    if missing and (shutil.which("modprobe") is None or _run("modprobe", "--all", *missing).returncode != 0):
        raise DemoError(f"The kernel lacks {' and '.join(missing)}; load it (modprobe {' '.join(missing)}).")


def _must(*command: str) -> None:
    result = _run(*command)
    if result.returncode != 0:
        raise DemoError(f"{' '.join(command)} failed: {result.stderr.strip()[:300]}")
