"""What a cluster could leave behind on a machine, written down so that before and after can be compared."""

import re
import subprocess
from pathlib import Path

import psutil

# Counters and comments move; a table that is there but empty says that somebody has looked at it.
_NO_RULE = re.compile(r"\[\d+:\d+\]|^#.*$|^\*.*$|^COMMIT$|^:[A-Z]+ ACCEPT.*$", re.MULTILINE)
_SETTINGS = ("kernel", "vm", "net/ipv4/ip_forward", "net/bridge", "net/netfilter", "net/ipv4/conf/all")
# These move by themselves, or are the machine's inventory of what just happened.
_MOVING = re.compile(r"random/|ns_last_pid|nf_conntrack_count|panic_on_warn|drop_caches|compact_memory|stat_refresh")


MachineState = dict[str, list[str]]
"""What -> its parts, in a fixed order."""


def machine_state(root: Path) -> MachineState:
    """Everything outside the cluster's own folder that ``down`` must leave as it was."""
    return {
        "iptables": _rules("iptables-save"),
        "ip6tables": _rules("ip6tables-save"),
        # iptables and Docker have their rules in tables of nftables too; those were looked at above.
        "nftables": [table for table in _lines("nft", "list", "tables") if "compass" in table or "kube" in table],
        "links": sorted(re.findall(r"^\d+: ([^:@]+)", "\n".join(_lines("ip", "-o", "link")), re.MULTILINE)),
        "routes": sorted(_lines("ip", "route")),
        "network namespaces": sorted(path.name for path in _children("/run/netns") if path.name.startswith("cni-")),
        "mounts": sorted(line for line in _mounts() if str(root) in line or "cni-" in line),
        "cgroups": sorted(map(str, Path("/sys/fs/cgroup").glob("**/kubepods*"))),
        "settings": sorted(_settings()),
        "processes": sorted(_processes(root)),
        "folders": [
            f"{folder}/{path.name}"
            for folder in (
                "/var/lib",
                "/var/log",
                "/var/lib/cni",
                "/var/lib/cni/results",
                "/var/log/containers",
                "/run",
            )
            for path in _children(folder)
            if re.search(r"kube|cni|pods|containers|compass", path.name)
        ],
    }


def _lines(*command: str) -> list[str]:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()


def _rules(program: str) -> list[str]:
    text = _NO_RULE.sub("", "\n".join(_lines(program)))
    return sorted(line for line in text.splitlines() if line.strip())


def _mounts() -> list[str]:
    return Path("/proc/mounts").read_text().splitlines()


def _children(folder: str) -> list[Path]:
    path = Path(folder)
    return sorted(path.iterdir()) if path.is_dir() else []


def _settings() -> list[str]:
    found: list[str] = []
    for name in _SETTINGS:
        top = Path("/proc/sys", name)
        for path in [top] if top.is_file() else top.rglob("*"):
            if path.is_file() and not _MOVING.search(str(path)):
                try:
                    found.append(f"{path}={path.read_text().strip()}")
                except (OSError, UnicodeDecodeError):
                    continue
    return found


def _processes(root: Path) -> list[str]:
    found: list[str] = []
    for process in psutil.process_iter(["cmdline", "status"]):
        command: list[str] = process.info["cmdline"] or []
        if process.info["status"] != psutil.STATUS_ZOMBIE and any(str(root) in word for word in command):
            found.append(" ".join(command)[:200])
    return found
