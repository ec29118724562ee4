"""``python -m cluster.provisioner ROOT``: a volume for each claim of the class ``lab``, as long as it exists."""

import os
import shutil
import sys
import threading
from pathlib import Path
from typing import Final

from cluster.api import Api, ApiError
from cluster.layout import Layout
from cluster.mirror import Mirror
from cluster.volumes import Make, Remove, decide, volume_document

__all__: list[str] = []

_USER: Final = "provisioner"
_RETRY_SECONDS: Final = 2
_LISTS: Final = {
    "claims": "/api/v1/persistentvolumeclaims",
    "volumes": "/api/v1/persistentvolumes",
    "pods": "/api/v1/pods",
    "classes": "/apis/storage.k8s.io/v1/storageclasses",
}


def main() -> None:
    """Follow the lists for ever."""
    layout = Layout(Path(sys.argv[1]))
    layout.volumes.mkdir(mode=0o711, parents=True, exist_ok=True)
    changed = threading.Event()
    lists = {name: Mirror(layout.keys, _USER, path, changed.set) for name, path in _LISTS.items()}
    for mirror in lists.values():
        mirror.start()
    for mirror in lists.values():
        mirror.filled.wait()
    (layout.run / "provisioner.ready").write_text(str(os.getpid()), encoding="ascii")
    api, retry = Api(layout.keys, _USER), None
    while True:
        changed.wait(retry)
        changed.clear()
        retry = None
        actions = decide(**{name: mirror.objects for name, mirror in lists.items()})
        for action in actions:
            try:
                _do(action, layout, api)
            except (ApiError, OSError) as error:
                print(f"{action.volume}: {error}", flush=True)
                retry = _RETRY_SECONDS


def _do(action: Make | Remove, layout: Layout, api: Api) -> None:
    """Carry out one action; each may be repeated, for the lists lag behind what was done."""
    folder, path = layout.volumes / action.volume, f"/api/v1/persistentvolumes/{action.volume}"
    if isinstance(action, Remove):
        # First the data: a volume object that is gone is forgotten here.
        if folder.exists():
            shutil.rmtree(folder)
        api.delete(path)
        print(f"{action.volume}: removed", flush=True)
        return
    if not folder.exists():
        # Ready before anyone can see it under its name.
        fresh = folder.with_name(f".{action.volume}")
        fresh.mkdir(exist_ok=True)
        os.chown(fresh, action.owner.user, action.owner.group)
        fresh.chmod(action.owner.mode)
        fresh.rename(folder)
    api.apply(path, volume_document(action, str(folder)))
    owner = f"{action.owner.user}:{action.owner.group} {action.owner.mode:o}"
    print(f"{action.volume}: made for {action.namespace}/{action.claim}, {owner}", flush=True)


if __name__ == "__main__":
    main()
