"""``up``: everything of the cluster runs and serves, whatever of it ran before."""

import os
import shutil
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from filelock import FileLock, Timeout

from cluster import configs, machine
from cluster.api import Api, ApiError
from cluster.archive import write_archive
from cluster.certificates import ensure_certificates
from cluster.layout import NODE, Layout
from cluster.manifests import DNS_PATH, manifests
from cluster.parts import make_parts
from cluster.processes import Part, find, start, stop, wait_ready
from cluster.programs import COREDNS_IMAGE, PAUSE_IMAGE, Programs
from infra.errors import DemoError
from toolchain.progress import Progress

__all__ = ["bring_up", "exclusively", "parts_of", "repair"]

_HUNG_SECONDS: Final = 10
"""How long a part that was running before may take to answer before it is started again."""
_READY_SECONDS: Final = 90
_POLL_SECONDS: Final = 0.1
_SOCKET_PATH_LIMIT: Final = 100
"""The kernel's is 107; containerd appends a little."""
_FIRST: Final = ("etcd", "registry", "containerd")
_SECOND: Final = ("controller-manager", "scheduler", "policies", "provisioner")
_THIRD: Final = ("kubelet", "proxy")


def exclusively(layout: Layout) -> FileLock:
    """A lock that one command holds at a time.

    Raises:
        DemoError: another one holds it.
    """
    layout.root.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = FileLock(layout.root / "lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise DemoError("Another ./demo cluster command is at work; wait until it is done.") from None
    return lock


def parts_of(layout: Layout, programs: Programs) -> dict[str, Part]:
    """The parts of the cluster, as they are started on this machine."""
    return make_parts(layout, programs, configs.render(layout, programs.runc, systemd=machine.systemd_cgroups()))


def bring_up(layout: Layout, programs: Programs, progress: Progress) -> list[str]:
    """Start what does not run, wait until everything serves; returns the names of the parts that were started.

    Raises:
        DemoError: a part does not start; one message with its last lines. The next call goes on from there.
    """
    _check_paths(layout)
    with progress.step("links, rules and settings of this machine"):
        machine.claim(layout)
        _make_folders(layout)
        machine.prepare(layout)
        ensure_certificates(layout.keys)
        _write_configs(layout, programs)
        _link_plugins(layout, programs)
    parts = parts_of(layout, programs)
    started: list[str] = []
    # Those that wait for each other at the start: the store before the API, the API before its clients.
    for group in (_FIRST, ("apiserver",), _SECOND, _THIRD):
        if group == ("apiserver",):
            with ThreadPoolExecutor(1) as pool:
                imports = pool.submit(_import_images, layout, programs, progress)
                started += _ensure_all(layout, [parts[name] for name in group], progress)
                imports.result()
            with progress.step("the cluster's own objects"):
                _apply_manifests(Api(layout.keys))
        else:
            started += _ensure_all(layout, [parts[name] for name in group], progress)
    _write_private(layout.kubeconfig, configs.kubeconfig(layout, "admin", embedded=True))
    _wait_for_cluster(layout, progress)
    return started


def repair(layout: Layout, part: Part, say: Callable[[str], None]) -> bool:
    """Make one part run and serve: started if it is dead, hung or not as configured; returns whether it was started.

    Raises:
        DemoError: it does not serve.
    """
    running = find(layout, part.name)
    if running is not None and running.fingerprint == part.fingerprint:
        deadline = time.monotonic() + _HUNG_SECONDS
        while reason := part.ready():
            say(reason)
            if find(layout, part.name) is None or time.monotonic() > deadline:
                break
            time.sleep(_POLL_SECONDS)
        else:
            return False
    stop(layout, part.name)
    start(layout, part)
    wait_ready(layout, part, say)
    return True


def _ensure_all(layout: Layout, parts: list[Part], progress: Progress) -> list[str]:
    stopped = threading.Event()

    def ensure(part: Part) -> bool:
        with progress.step(part.name) as step:

            def say(reason: str) -> None:
                if stopped.is_set():
                    raise DemoError(f"{part.name} was not waited for.")
                step.update(reason)

            return repair(layout, part, say)

    with ThreadPoolExecutor(len(parts)) as pool:
        try:
            done = list(pool.map(ensure, parts))
        except BaseException:
            # One has failed, or the user has enough: the pool's end waits for the others, which need not go on.
            stopped.set()
            raise
    return [part.name for part, was_started in zip(parts, done, strict=True) if was_started]


def _check_paths(layout: Layout) -> None:
    if len(os.fsencode(layout.containerd_socket)) > _SOCKET_PATH_LIMIT or any(c.isspace() for c in str(layout.root)):
        raise DemoError(
            f"The lab cluster cannot live in {layout.root}: sockets need a path without blanks that is shorter "
            f"by {max(0, len(os.fsencode(layout.containerd_socket)) - _SOCKET_PATH_LIMIT)}; set COMPASS_DEMO_HOME."
        )


def _make_folders(layout: Layout) -> None:
    boot, seen = machine.boot(), layout.run / "boot"
    if not seen.exists() or seen.read_text(encoding="ascii") != boot:
        # Sockets, records and addresses in use of another boot mean nothing now.
        for folder in (layout.run, layout.addresses):
            shutil.rmtree(folder, ignore_errors=True)
    for folder in (layout.run, layout.state, layout.logs, layout.configs, layout.images, layout.registry):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    seen.write_text(boot, encoding="ascii")


def _write_configs(layout: Layout, programs: Programs) -> None:
    for name, content in configs.render(layout, programs.runc, systemd=machine.systemd_cgroups()).items():
        path = layout.configs / name
        # kube-proxy ends when its file is written, be it with the same words.
        if not path.exists() or path.read_text(encoding="utf-8") != content:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content, encoding="utf-8")


def _link_plugins(layout: Layout, programs: Programs) -> None:
    """One folder with Debian's plugins and ours: containerd looks in one."""
    layout.plugins.mkdir(exist_ok=True)
    for name in ("bridge", "host-local", "loopback"):
        link = layout.plugins / name
        if not link.is_symlink() or link.readlink() != programs.cni / name:
            link.unlink(missing_ok=True)
            link.symlink_to(programs.cni / name)
    ours = layout.plugins / configs.POLICY_PLUGIN
    source = Path(__file__).with_name("plugin.py").read_text(encoding="utf-8")
    # Isolated and without site-packages: it starts in a hundredth of a second, for every pod.
    temporary = ours.with_suffix(".new")
    temporary.write_text(f"#!{sys.executable} -IS\n{source}", encoding="utf-8")
    temporary.chmod(stat.S_IRWXU)
    temporary.replace(ours)


def _import_images(layout: Layout, programs: Programs, progress: Progress) -> None:
    images = {PAUSE_IMAGE: programs.pause, COREDNS_IMAGE: programs.coredns}
    ctr = (str(programs.ctr), "-a", str(layout.containerd_socket), "-n", "k8s.io")
    listed = subprocess.run([*ctr, "images", "ls", "-q"], capture_output=True, text=True, check=False).stdout.split()
    for reference, program in images.items():
        if reference in listed:
            continue
        with progress.step(f"image {reference.rpartition('/')[2].partition(':')[0]}"):
            archive = layout.run / "image.tar"
            write_archive(archive, reference, program)
            result = subprocess.run(
                [*ctr, "images", "import", str(archive)], capture_output=True, text=True, check=False
            )
            archive.unlink()
            if result.returncode != 0:
                raise DemoError(f"The image {reference} was not imported: {result.stderr.strip()[-300:]}")


def _apply_manifests(api: Api) -> None:
    for path, document in manifests().items():
        api.apply(path, document)


def _wait_for_cluster(layout: Layout, progress: Progress) -> None:
    api = Api(layout.keys)
    conditions = {
        "node ready": lambda: _condition(api, f"/api/v1/nodes/{NODE}", "Ready"),
        "default ServiceAccount": lambda: _exists(api, "/api/v1/namespaces/default/serviceaccounts/default"),
        "DNS ready": lambda: _condition(api, DNS_PATH, "Available"),
    }
    deadline = time.monotonic() + _READY_SECONDS
    for name, reason_of in conditions.items():
        with progress.step(name) as step:
            while reason := _asked(reason_of):
                step.update(reason)
                if time.monotonic() > deadline:
                    raise DemoError(
                        f"The lab cluster is not ready after {_READY_SECONDS} seconds ({name}: {reason}); "
                        f"its logs are in {layout.logs}, and ./demo cluster up tries again."
                    )
                time.sleep(_POLL_SECONDS)


def _asked(reason_of: Callable[[], str]) -> str:
    try:
        return reason_of()
    except ApiError as error:
        return str(error)


def _exists(api: Api, path: str) -> str:
    return "" if api.find(path) else "not there yet"


def _condition(api: Api, path: str, kind: str) -> str:
    found = api.find(path)
    if found is None:
        return "not there yet"
    for condition in found.get("status", {}).get("conditions", ()):
        if condition["type"] == kind:
            return "" if condition["status"] == "True" else str(condition.get("message") or condition.get("reason"))
    return "no condition yet"


def _write_private(path: Path, content: str) -> None:
    temporary = path.with_suffix(".new")
    temporary.unlink(missing_ok=True)
    temporary.touch(mode=0o600)
    temporary.write_text(content, encoding="utf-8")
    shutil.move(temporary, path)
