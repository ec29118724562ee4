"""``demo reap``: deletes demos whose time to live is over, wherever they were brought up from."""

import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.prompt import Confirm

from infra.config import TargetKind, load_stack_config, stack_names
from infra.errors import ClusterError, ConfigError, DemoError
from infra.paths import REPOSITORY, DemoHome
from infra.targets.kubernetes.client import KubeClient
from infra.targets.kubernetes.kube import KubeAccess, resolve, resolve_context
from infra.targets.kubernetes.lifetime import expiry
from infra.targets.kubernetes.objects import PART_OF, PROJECT_NAME, STACK, labels, name_of

__all__ = ["expired", "reap_clusters"]


def reap_clusters(
    home: DemoHome,
    context: str | None,
    kubeconfig: Path | None,
    say: Callable[[str], None],
    *,
    yes: bool,
    dry_run: bool,
) -> None:
    """Delete what has expired in one cluster, or in all that the checkout's stacks name.

    Raises:
        DemoError: no cluster is named, or one does not answer.
    """
    accesses = [resolve_context(context, kubeconfig, home)] if context else list(dict.fromkeys(_named(home)))
    if not accesses:
        raise DemoError("No stack of this checkout names a context that the kubeconfig has; name one with --context.")
    for access in accesses:
        _reap(KubeClient.connect(access), access, say, yes=yes, dry_run=dry_run)


def expired(namespaces: list[dict[str, Any]], now: datetime) -> list[tuple[dict[str, Any], datetime]]:
    """The namespaces whose time is over, with the moment when it was; those that are going already are left out."""
    moments = ((namespace, expiry(namespace)) for namespace in namespaces)
    return [
        (namespace, moment)
        for namespace, moment in moments
        if moment is not None and moment <= now and not namespace["metadata"].get("deletionTimestamp")
    ]


def _named(home: DemoHome) -> Iterator[KubeAccess]:
    for stack in stack_names(REPOSITORY):
        config = load_stack_config(REPOSITORY, stack)
        if config.target is TargetKind.KUBERNETES:
            try:
                yield resolve(config, home)
            except (ClusterError, ConfigError):
                # Of several stacks most are for other machines.
                continue


def _reap(client: KubeClient, access: KubeAccess, say: Callable[[str], None], *, yes: bool, dry_run: bool) -> None:
    now = datetime.now(UTC)
    found = expired(client.items("/api/v1/namespaces", labelSelector=f"{PART_OF}={PROJECT_NAME}"), now)
    if not found:
        say(f"No demo in the context {access.context} has outlived its time.")
        return
    for namespace, moment in found:
        name = name_of(namespace)
        hours = (now - moment).total_seconds() / 3600
        say(f"The namespace {name} (stack {labels(namespace).get(STACK, '?')}) is {hours:.1f} h over its time.")
        if dry_run:
            continue
        if not yes and not (sys.stdin.isatty() and Confirm.ask(f"Delete {name} with all its data?")):
            say(f"{name} stays; --yes deletes it without asking.")
            continue
        client.delete(f"/api/v1/namespaces/{name}")
        say(f"{name} is being deleted; ./demo destroy on the machine that made it clears its state away.")
