"""Waits until an object is ready, or until it is gone; with the reason when it is not."""

import asyncio
import time
from collections.abc import Collection
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from typing import Final

from kubernetes_provider.faults import ApiFault, NotReady, ProviderFault
from kubernetes_provider.haste import Haste
from kubernetes_provider.kinds import BY_TOKEN, Kind
from kubernetes_provider.objects import Objects, describe
from kubernetes_provider.paths import Object, at, items_at
from kubernetes_provider.pods import Finding, event_about, find_creation, find_pod, pods_of
from kubernetes_provider.readiness import State, state_of
from kubernetes_provider.views import View, Views

__all__ = ["Waiter"]

_LONGEST_LOOK: Final = 5.0
"""Reasons become final with time, without a change that would tell."""
_CLAIM: Final = BY_TOKEN["kubernetes:core/v1:PersistentVolumeClaim"]
_WAITED_FOR: Final = frozenset({"Deployment", "StatefulSet", "Job", "PersistentVolumeClaim"})


@dataclass(slots=True)
class _Patience:
    """Since when one and the same reason has been seen."""

    text: str = ""
    since: float = field(default_factory=time.monotonic)

    def out(self, finding: Finding) -> bool:
        """Whether this reason has been there for so long that it is final."""
        # Numbers of restarts and ages are in the text; who and what is at its beginning.
        text = f"{finding.pod}{finding.text[:60]}"
        if text != self.text:
            self.text, self.since = text, time.monotonic()
        return time.monotonic() - self.since >= finding.patience


@dataclass(frozen=True, slots=True)
class _Surroundings:
    """What lies around a workload and says why it is not ready."""

    pods: View
    events: View
    claims: View


@dataclass(frozen=True, slots=True)
class Waiter:
    """Waits for objects of one cluster."""

    objects: Objects
    views: Views

    async def ready(self, kind: Kind, live: Object, *, seconds: float) -> Object:
        """The object as soon as it is ready.

        Raises:
            NotReady: it will not be, or is not after this time.
            ApiFault: the API server does not let us look.
            Unreachable: the API server went away.
        """
        if kind.name not in _WAITED_FOR or await self._waits_for_consumer(live):
            return live
        namespace, name = live["metadata"]["namespace"], live["metadata"]["name"]
        what = describe(kind, namespace, name)
        until = time.monotonic() + seconds
        patience = _Patience()
        async with AsyncExitStack() as stack:
            core = f"/api/v1/namespaces/{namespace}"
            own = await stack.enter_async_context(self.views.of(kind.collection(namespace), what=kind.plural))
            around = _Surroundings(
                pods=await stack.enter_async_context(self.views.of(f"{core}/pods", what="pods")),
                events=await stack.enter_async_context(self.views.of(f"{core}/events", what="events")),
                claims=await stack.enter_async_context(self.views.of(_CLAIM.collection(namespace), what=_CLAIM.plural)),
            )
            while True:
                change = self.views.next_change()
                if own.fault:
                    raise own.fault
                found = own.objects.get(name)
                if found is None or found["metadata"]["uid"] != live["metadata"]["uid"]:
                    # A collection that others watch already may not show yet what was made a moment ago.
                    found = await self.objects.get(kind, namespace, name)
                    if found is None or found["metadata"]["uid"] != live["metadata"]["uid"]:
                        raise NotReady(f"{what} was deleted by someone else while it was waited for.")
                now: Object = {**found, "kind": kind.name, "apiVersion": kind.api_version}
                # What the watch shows may be older than what was applied.
                seen = now["metadata"].get("generation", 0) >= live["metadata"].get("generation", 0)
                state = state_of(now) if seen else State(ready=False, progress="its controller has not seen it yet")
                if state.ready:
                    return now
                finding = self._find(kind, now, around)
                left = until - time.monotonic()
                if state.failed or left <= 0 or (finding is not None and patience.out(finding)):
                    raise NotReady(await self._sentence(what, state, finding, namespace, seconds if left <= 0 else 0))
                await _wait(change, min(left, _LONGEST_LOOK))

    async def gone(self, kind: Kind, namespace: str | None, name: str, uid: str, *, seconds: float) -> None:
        """Return when the object with this uid is gone.

        Raises:
            NotReady: it is not after this time; says what holds it.
            ApiFault: the API server does not let us look.
            Unreachable: the API server went away.
        """
        until = time.monotonic() + seconds
        what = describe(kind, namespace, name)
        # The rights may be for this one namespace, which only a selector by name fits.
        selector = "" if kind.namespaced else f"metadata.name={name}"
        async with AsyncExitStack() as stack:
            view = await stack.enter_async_context(
                self.views.of(kind.collection(namespace), what=kind.plural, selector=selector)
            )
            haste: Haste | None = None
            if kind.name == "Namespace":
                pods = await stack.enter_async_context(self.views.of(f"/api/v1/namespaces/{name}/pods", what="pods"))
                haste = Haste(self.objects, pods, name)
            while True:
                change = self.views.next_change()
                if view.fault:
                    raise view.fault
                now = view.objects.get(name)
                if now is None or now["metadata"]["uid"] != uid:
                    return
                left = until - time.monotonic()
                if left <= 0:
                    raise NotReady(f"{what} is not gone after {seconds:.0f} s: {_holders(now)}.")
                if haste is not None:
                    await haste.make()
                    left = min(left, haste.pause)
                await _wait(change, left)

    async def _waits_for_consumer(self, live: Object) -> bool:
        """Whether a claim is bound only once a pod uses it, which is made after it."""
        name = at(live, ("spec", "storageClassName"))
        if live["kind"] != _CLAIM.name or not name:
            return False
        try:
            found = await self.objects.storage_class(name)
        except ApiFault:  # no right to look at what belongs to the cluster: the workload tells then
            return True
        return at(found, ("volumeBindingMode",)) == "WaitForFirstConsumer"

    def _find(self, kind: Kind, now: Object, around: _Surroundings) -> Finding | None:
        events = around.events.values()
        if kind is _CLAIM:
            said = event_about(
                events, now["metadata"]["name"], "ProvisioningFailed", "FailedBinding", "ExternalProvisioning"
            )
            return Finding(said, float("inf")) if said else None
        if refused := find_creation(now, events):
            return refused
        found = [
            find_pod(pod, events, around.claims.values(), restarts=kind.name != "Job")
            for pod in pods_of(now, around.pods.values())
        ]
        return min((one for one in found if one), key=lambda one: one.patience, default=None)

    async def _sentence(self, what: str, state: State, finding: Finding | None, namespace: str, seconds: float) -> str:
        after = f" after {seconds:.0f} s" if seconds else ""
        why = f"; {finding.text}" if finding else ""
        text = f"{what} is not ready{after}: {state.failed or state.progress}{why}."
        if finding and finding.container:
            text += await self._last_lines(namespace, finding)
        return text

    async def _last_lines(self, namespace: str, finding: Finding) -> str:
        for previous in (finding.crashed, False):
            with suppress(ProviderFault):
                log = await self.objects.log_tail(namespace, finding.pod, finding.container, previous=previous)
                if log.strip():
                    return f" Its last lines:\n{log.rstrip()}"
        return ""


async def _wait(change: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await change.wait()


def _holders(live: Object) -> str:
    finalizers: Collection[str] = [
        *(live["metadata"].get("finalizers") or []),
        *(items_at(live, "spec", "finalizers")),
    ]
    said = [
        str(condition.get("message"))
        for condition in items_at(live, "status", "conditions")
        if condition.get("status") == "True" and str(condition.get("type")).startswith("Namespace")
    ]
    held = f"the finalizer {', '.join(finalizers)} holds it" if finalizers else "nothing is known to hold it"
    return "; ".join([held, *said]).rstrip(".")
