"""``down``: nothing of the cluster is left on the machine, whatever state it was in.

Nothing here asks the cluster's API, so that a broken cluster is taken down as a healthy one is.
"""

import contextlib
import json
import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any, Final

import psutil

from cluster import machine
from cluster.layout import CNI_NETWORK, POD_LINK, Layout
from cluster.lifecycle import parts_of
from cluster.processes import find, stop
from cluster.programs import Programs
from infra.errors import DemoError
from toolchain.progress import Progress

__all__ = ["halt", "take_down"]

_END_SECONDS: Final = 15
_POLL_SECONDS: Final = 0.05
_NAMESPACES: Final = Path("/run/netns")
_CGROUPS: Final = Path("/sys/fs/cgroup")


def take_down(layout: Layout, programs: Programs, progress: Progress, *, everything: bool = False) -> None:
    """Stop and remove the cluster; images and the registry's content are kept unless everything shall go.

    Raises:
        DemoError: something does not end; the next call goes on.
    """
    halt(layout, programs, progress)
    with progress.step("files"):
        kept = () if everything else (layout.images, layout.registry)
        for path in sorted(layout.root.iterdir()):
            if path not in kept and path.name != "lock":
                _remove(path)
        if everything:
            shutil.rmtree(layout.root)


def halt(layout: Layout, programs: Programs, progress: Progress) -> None:
    """End everything that runs and undo what was changed on the machine; the cluster's files stay as they are.

    Raises:
        DemoError: something does not end.
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
        _kill(_strays(layout, programs))
    with progress.step("mounts, links, rules, settings"):
        _unmount(layout.root)
        if _owns_machine(layout):
            created = _created_paths(layout)
            _remove_cgroups()
            machine.restore(layout)
            _remove_paths(layout, created)


def _owns_machine(layout: Layout) -> bool:
    """Whether links, rules and the like are this cluster's and not one's of another home."""
    return machine.claimed_by() == str(layout.root)


def _end_pods(layout: Layout, programs: Programs) -> None:
    """Kill every process of every pod, and forget the containers."""
    networks = _pod_networks() if _owns_machine(layout) else []
    # A container whose shim was killed belongs to init; its network still tells whose it is.
    inodes = {(_NAMESPACES / name).stat().st_ino for name in networks}
    doomed = {process for process in psutil.process_iter() if _network_of(process) in inodes}
    for shim in _shims(layout):
        with contextlib.suppress(psutil.NoSuchProcess):
            doomed.update(shim.children(recursive=True))
    _kill(doomed)
    if find(layout, "containerd") is not None:
        _forget_containers(layout, programs)
    _kill(_shims(layout))
    for name in networks:
        subprocess.run(["ip", "netns", "delete", name], capture_output=True, check=False)


def _strays(layout: Layout, programs: Programs) -> set[psutil.Process]:
    """Parts that nobody wrote down: a command that was interrupted just after it had started one."""
    commands = {part.command for part in parts_of(layout, programs).values()}
    return {one for one in psutil.process_iter(["cmdline"]) if tuple(one.info.get("cmdline") or ()) in commands}


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
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    deadline = time.monotonic() + _END_SECONDS
    while alive := [process for process in processes if _alive(process)]:
        if time.monotonic() > deadline:
            raise DemoError(f"Processes of the lab cluster do not end: {', '.join(str(p.pid) for p in alive)}.")
        time.sleep(_POLL_SECONDS)


def _alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _shims(layout: Layout) -> set[psutil.Process]:
    """The processes that containerd has put above each pod's."""
    found: set[psutil.Process] = set()
    for process in psutil.process_iter(["cmdline"]):
        # The attribute is there because the iteration asked for it.
        command: list[str] = process.info.get("cmdline") or []
        if command and "containerd-shim" in command[0] and str(layout.containerd_socket) in command:
            found.add(process)
    return found


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


def _remove_paths(layout: Layout, created: list[Path]) -> None:
    for path in created:
        _remove(path)
    # In folders that others use too: what names a pod of ours.
    results = Path("/var/lib/cni/results")
    for result in results.glob(f"{CNI_NETWORK}-*-eth0"):
        container = result.name.removeprefix(f"{CNI_NETWORK}-").removesuffix("-eth0")
        result.unlink()
        (results / f"cni-loopback-{container}-lo").unlink(missing_ok=True)
    for link in Path("/var/log/containers").glob("*.log"):
        if link.is_symlink() and layout.logs in link.readlink().parents:
            link.unlink()


def _remove(path: Path) -> None:
    if path.is_symlink() or path.is_file() or path.is_socket():
        path.unlink()
    elif path.is_dir():
        shutil.rmtree(path)
