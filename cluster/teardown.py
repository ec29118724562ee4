"""``down``: nothing of the cluster is left on the machine, whatever state it was in.

Nothing here asks the cluster's API, so that a broken cluster is taken down as a healthy one is.
"""

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any, Final

import psutil

from cluster import machine
from cluster.layout import CNI_NETWORK, POD_LINK, Layout
from cluster.processes import find, stop
from cluster.programs import Programs
from infra.errors import DemoError
from toolchain.progress import Progress

__all__ = ["take_down"]

_END_SECONDS: Final = 15
_POLL_SECONDS: Final = 0.05
_NAMESPACES: Final = Path("/run/netns")
_CGROUPS: Final = Path("/sys/fs/cgroup")


def take_down(layout: Layout, programs: Programs, progress: Progress, *, everything: bool = False) -> None:
    """Stop and remove the cluster; images and the registry's content are kept unless everything shall go.

    Raises:
        DemoError: something does not end; the next call goes on.
    """
    with progress.step("control plane and node"):
        # Those that would start pods again first.
        for name in ("controller-manager", "scheduler", "kubelet", "proxy", "provisioner", "policies"):
            stop(layout, name)
    with progress.step("pods"):
        _end_pods(layout, programs)
    with progress.step("API, store, containerd, registry"):
        for name in ("apiserver", "etcd", "containerd", "registry"):
            stop(layout, name)
    with progress.step("mounts, links, rules, settings"):
        _unmount(layout.root)
        created = _created_paths(layout)
        if machine.claimed_by() == str(layout.root):
            _remove_cgroups()
            machine.restore(layout)
        _remove_paths(created)
    with progress.step("files"):
        kept = () if everything else (layout.images, layout.registry)
        for path in sorted(layout.root.iterdir()) if layout.root.exists() else ():
            if path not in kept and path.name != "lock":
                _remove(path)
        if everything:
            shutil.rmtree(layout.root, ignore_errors=True)


def _end_pods(layout: Layout, programs: Programs) -> None:
    """Kill every process of every pod, and forget the containers."""
    networks = _pod_networks()
    shims = [process for process in psutil.process_iter(["cmdline"]) if _is_shim(process, layout)]
    doomed = {process for shim in shims for process in shim.children(recursive=True)}
    # A container whose shim was killed belongs to init; its network still tells whose it is.
    inodes = {(_NAMESPACES / name).stat().st_ino for name in networks}
    doomed |= {process for process in psutil.process_iter() if _network_of(process) in inodes}
    _kill(doomed)
    if find(layout, "containerd") is not None:
        _forget_containers(layout, programs)
    _kill({process for process in psutil.process_iter(["cmdline"]) if _is_shim(process, layout)})
    for name in networks:
        subprocess.run(["ip", "netns", "delete", name], capture_output=True, check=False)


def _forget_containers(layout: Layout, programs: Programs) -> None:
    """Containerd's records of the containers, and their file systems, which are in the store that is kept."""
    ctr = (str(programs.ctr), "-a", str(layout.containerd_socket), "-n", "k8s.io")

    def call(*arguments: str) -> list[str]:
        try:
            return subprocess.run(
                [*ctr, *arguments], capture_output=True, text=True, timeout=_END_SECONDS, check=False
            ).stdout.split()
        except subprocess.TimeoutExpired:
            return []

    containers = call("containers", "ls", "-q")
    if containers:
        call("tasks", "rm", "-f", *containers)
        call("containers", "rm", *containers)


def _kill(processes: set[psutil.Process]) -> None:
    for process in processes:
        try:
            process.send_signal(signal.SIGKILL)
        except psutil.NoSuchProcess:
            continue
    deadline = time.monotonic() + _END_SECONDS
    while alive := [p for p in processes if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]:
        if time.monotonic() > deadline:
            raise DemoError(f"Processes of pods do not end: {', '.join(str(p.pid) for p in alive)}.")
        time.sleep(_POLL_SECONDS)


def _is_shim(process: psutil.Process, layout: Layout) -> bool:
    # The attribute is there because the iteration asked for it.
    command: list[str] = process.info.get("cmdline") or []
    return bool(command) and "containerd-shim" in command[0] and str(layout.containerd_socket) in command


def _network_of(process: psutil.Process) -> int:
    try:
        return Path(f"/proc/{process.pid}/ns/net").stat().st_ino
    except OSError:
        return 0


def _pod_networks() -> list[str]:
    """Names of the network namespaces with a link to the pods' bridge."""
    links = _ip("link", "show", "master", POD_LINK)
    numbers = {link["link_netnsid"] for link in links if "link_netnsid" in link}
    return [str(one["name"]) for one in _ip("netns", "list") if one.get("id") in numbers]


def _ip(*arguments: str) -> list[dict[str, Any]]:
    answer = subprocess.run(["ip", "-json", *arguments], capture_output=True, text=True, check=False)
    # Without the bridge there is an error; without any namespace there is no output.
    return json.loads(answer.stdout or "[]") if answer.returncode == 0 else []


def _unmount(root: Path) -> None:
    for mount in sorted(_mounts(root), reverse=True):
        subprocess.run(["umount", "--lazy", mount], capture_output=True, check=False)
    if left := _mounts(root):
        # What is mounted there would be deleted with the folder.
        raise DemoError(f"Mounts of the lab cluster cannot be removed: {', '.join(left)}.")


def _mounts(root: Path) -> list[str]:
    lines = Path("/proc/mounts").read_text(encoding="utf-8").splitlines()
    return [mount for mount in (line.split()[1] for line in lines) if mount.startswith(f"{root}/")]


def _remove_cgroups() -> None:
    if machine.systemd_cgroups():
        subprocess.run(["systemctl", "stop", "kubepods.slice"], capture_output=True, check=False)
    for top in (*_CGROUPS.glob("kubepods*"), *_CGROUPS.glob("*/kubepods*")):
        for folder, _, _ in os.walk(top, topdown=False):
            # A group with processes stays: it is not one of ours, all of which were ended.
            _try_rmdir(Path(folder))


def _try_rmdir(folder: Path) -> None:
    try:
        folder.rmdir()
    except OSError:
        return


def _created_paths(layout: Layout) -> list[Path]:
    """Folders outside the demo's home that were not there before the cluster."""
    try:
        before: dict[str, Any] = json.loads((layout.run / "machine.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    return [path for path in machine.PATHS if str(path) not in before["paths"]]


def _remove_paths(created: list[Path]) -> None:
    for path in created:
        _remove(path)
    for leftover in Path("/var/lib/cni/results").glob(f"{CNI_NETWORK}-*"):
        leftover.unlink()
    for link in Path("/var/log/containers").glob("*.log"):
        if link.is_symlink() and not link.exists():
            link.unlink()


def _remove(path: Path) -> None:
    if path.is_symlink() or path.is_file() or path.is_socket():
        path.unlink()
    elif path.is_dir():
        shutil.rmtree(path)
