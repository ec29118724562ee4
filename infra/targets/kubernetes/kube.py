"""Which cluster a stack means: the context is always explicit.

What a kubeconfig calls its current context is a person's working place, and may be production.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from infra.config import PROJECT, DemoConfig
from infra.errors import ClusterError, ConfigError
from infra.paths import LAB_CONTEXT, REPOSITORY, DemoHome

__all__ = ["KubeAccess", "known_contexts", "namespace_name", "resolve", "resolve_context"]


@dataclass(frozen=True, slots=True)
class KubeAccess:
    """A cluster and a user of it."""

    kubeconfig: Path | None
    """``None`` means the usual files: $KUBECONFIG, else ~/.kube/config."""
    context: str


def resolve(config: DemoConfig, home: DemoHome) -> KubeAccess:
    """The access that a stack's configuration names.

    Raises:
        ConfigError: it names no context, or a file that cannot be read.
        ClusterError: the context is in none of the files; the known ones are listed.
    """
    if not config.kube_context:
        raise ConfigError(
            f"{PROJECT}:kubeContext is not set; a stack on Kubernetes names its context "
            "(kubectl config get-contexts lists them) and never uses the current one."
        )
    chosen = REPOSITORY / Path(config.kubeconfig).expanduser() if config.kubeconfig else None
    return resolve_context(config.kube_context, chosen, home)


def resolve_context(context: str, kubeconfig: Path | None, home: DemoHome) -> KubeAccess:
    """The access by a context, in a chosen file, in the lab cluster's own, or in the usual ones.

    Raises:
        ConfigError: a file cannot be read.
        ClusterError: the context is in none of the files; the known ones are listed.
    """
    if kubeconfig is not None:
        if not kubeconfig.is_file():
            raise ConfigError(f"There is no kubeconfig {kubeconfig}.")
        return _within(context, known_contexts([kubeconfig]), KubeAccess(kubeconfig, context), str(kubeconfig))
    lab = home.lab_kubeconfig
    if context in known_contexts([lab]):
        return KubeAccess(lab, context)
    if context == LAB_CONTEXT:
        raise ClusterError("The lab cluster does not run; ./demo cluster up starts it (Linux, as root).")
    files = _usual_files()
    shown = os.pathsep.join(map(str, files))
    return _within(context, known_contexts(files), KubeAccess(None, context), shown)


def known_contexts(files: Iterable[Path]) -> list[str]:
    """The contexts in kubeconfig files; files that are not there have none.

    Raises:
        ConfigError: a file is not a kubeconfig.
    """
    found: list[str] = []
    for file in files:
        try:
            document: Any = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
            found.extend(str(context["name"]) for context in document.get("contexts") or ())
        except FileNotFoundError:
            continue
        except (OSError, UnicodeDecodeError, yaml.YAMLError, AttributeError, KeyError, TypeError):
            raise ConfigError(f"{file} cannot be read as a kubeconfig.") from None
    return found


def _within(context: str, known: list[str], access: KubeAccess, where: str) -> KubeAccess:
    if context in known:
        return access
    listed = f"known contexts: {', '.join(sorted(known))}" if known else "it has no contexts"
    raise ClusterError(
        f"There is no context {context} in {where}; {listed}. Set {PROJECT}:kubeContext to the one that is meant, "
        "or ./demo cluster up for a cluster on this machine (the stack lab)."
    )


def _usual_files() -> list[Path]:
    chosen = os.environ.get("KUBECONFIG")
    names = chosen.split(os.pathsep) if chosen else ["~/.kube/config"]
    return [Path(name).expanduser() for name in names if name]


def namespace_name(stack: str, config: DemoConfig) -> str:
    """The namespace of a stack: one for each."""
    return config.namespace or f"compass-{stack}"
