"""Files of a pod's containers: one ConfigMap and one Secret for each workload, mounted file by file."""

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Final

from pulumi_kubernetes.core import v1

from infra.stack_secrets import StackSecrets
from infra.targets.base import UnsupportedSpec
from infra.targets.kubernetes.naming import config_name, secrets_name
from infra.topology.model import Container, File, SecretFile, Workload

__all__ = ["CONFIG", "SECRETS", "config_data", "digest", "file_mounts", "file_volumes", "secret_data"]

CONFIG: Final = "config"
SECRETS: Final = "secrets"
"""Names of the pod's volumes; the topology's own volumes have names of their own."""
_CONFIG_LIMIT: Final = 1024 * 1024
"""Bytes that a cluster keeps in one ConfigMap."""
_KEY: Final = re.compile(r"[A-Za-z0-9._-]{1,253}")
_SECRET_MODE: Final = 0o440
"""Readable by the pod's group, which is the container's own."""
_CONFIG_MODE: Final = 0o444


def config_data(workload: Workload) -> dict[str, str]:
    """Key -> content of a workload's ConfigMap.

    Raises:
        UnsupportedSpec: they are too large, or two paths have the same key with different content.
    """
    data: dict[str, str] = {}
    for container in workload.members:
        for file in container.files:
            if isinstance(file, File):
                key = _key(container, file.path)
                if data.setdefault(key, file.content) != file.content:
                    raise UnsupportedSpec(container.name, f"the file {file.path}", "another file has the same key")
    size = sum(len(key) + len(content.encode()) for key, content in data.items())
    if size > _CONFIG_LIMIT:
        raise UnsupportedSpec(workload.name, "the size of its files", f"{size} bytes, {_CONFIG_LIMIT} fit a ConfigMap")
    return data


def secret_data(workload: Workload, secrets: StackSecrets) -> dict[str, str]:
    """Name of the secret -> its value, of all that a workload's containers hold."""
    return {
        file.secret.name: secrets.values[file.secret.name]
        for container in workload.members
        for file in container.files
        if isinstance(file, SecretFile)
    }


def file_mounts(container: Container) -> list[v1.VolumeMountArgs]:
    """Where a container sees its files. Each is mounted by itself: nothing else of their folders is hidden."""
    return [
        v1.VolumeMountArgs(
            name=CONFIG if isinstance(file, File) else SECRETS,
            mount_path=file.path,
            sub_path=_key(container, file.path) if isinstance(file, File) else file.secret.name,
            read_only=True,
        )
        for file in container.files
    ]


def file_volumes(workload: Workload) -> list[v1.VolumeArgs]:
    """The pod's volumes for files, those that it needs."""
    files = [file for container in workload.members for file in container.files]
    volumes: list[v1.VolumeArgs] = []
    if any(isinstance(file, File) for file in files):
        source = v1.ConfigMapVolumeSourceArgs(name=config_name(workload.name), default_mode=_CONFIG_MODE)
        volumes.append(v1.VolumeArgs(name=CONFIG, config_map=source))
    if any(isinstance(file, SecretFile) for file in files):
        secret = v1.SecretVolumeSourceArgs(secret_name=secrets_name(workload.name), default_mode=_SECRET_MODE)
        volumes.append(v1.VolumeArgs(name=SECRETS, secret=secret))
    return volumes


def digest(data: Mapping[str, str]) -> str:
    """A digest that changes with any content; of secrets too, which are too long to be guessed from it."""
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()[:16]


def _key(container: Container, path: str) -> str:
    """A path as a key: they may hold no slash."""
    key = path.strip("/").replace("/", ".")
    if not _KEY.fullmatch(key):
        raise UnsupportedSpec(container.name, f"the file {path}", "only letters, digits, dots, hyphens and underscores")
    return key
