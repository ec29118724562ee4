"""Create, read, update and delete, as Pulumi means them."""

import asyncio
import os
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from kubernetes_provider.access import Access
from kubernetes_provider.differences import Difference, live_difference
from kubernetes_provider.faults import ApiFault, Invalid, NoNamespace, NotReady, ProviderFault, Unreachable
from kubernetes_provider.kinds import Kind
from kubernetes_provider.manifests import Manifest, inputs_of, outputs, parse_id, same_owner
from kubernetes_provider.objects import Objects, describe
from kubernetes_provider.paths import Object, at
from kubernetes_provider.readiness import state_of
from kubernetes_provider.views import Views
from kubernetes_provider.waiting import Waiter
from kubernetes_provider.wire import UNKNOWN, plain

__all__ = ["Operations", "Partial", "Result"]

T = TypeVar("T")

_DEFAULT_SECONDS: Final = 600.0
_SKIP: Final = "pulumi.com/skipAwait"
_SECONDS: Final = "pulumi.com/timeoutSeconds"
_DELETE_UNREACHABLE: Final = "PULUMI_K8S_DELETE_UNREACHABLE"


@dataclass(frozen=True, slots=True)
class Result:
    """A resource's id and outputs; both empty if there is no such object."""

    id: str
    outputs: Object
    inputs: Object


class Partial(ProviderFault):
    """The object was made or changed, but is not ready; carries what goes into the state all the same."""

    def __init__(self, reason: str, result: Result) -> None:
        super().__init__(reason)
        self.result = result


@dataclass(slots=True)
class Operations:
    """The operations on the objects of one cluster."""

    access: Access
    delete_unreachable: bool = False
    _objects: Objects = field(init=False)
    _waiter: Waiter = field(init=False)
    _waits: "set[asyncio.Task[Any]]" = field(init=False, default_factory=set["asyncio.Task[Any]"])
    _made: set[str] = field(init=False, default_factory=set[str])
    """Uids of what this run created."""
    _taken: set[str] = field(init=False, default_factory=set[str])
    """Those among them that were there before: a create took them over."""

    def __post_init__(self) -> None:
        self._objects = Objects(self.access)
        self._waiter = Waiter(self._objects, Views(self.access))
        self.delete_unreachable |= os.environ.get(_DELETE_UNREACHABLE, "").lower() in {"1", "t", "true"}

    def cancel(self) -> None:
        """End all waiting; what was made is reported as not ready."""
        for task in self._waits:
            task.cancel()

    async def diff(self, kind: Kind, old_inputs: Object, new_inputs: Object) -> Difference:
        """What an update would change.

        Raises:
            ProviderFault: the API server refuses the new inputs, or cannot be asked.
        """
        return await live_difference(self._objects, kind, plain(old_inputs), plain(new_inputs))

    async def preview(self, kind: Kind, inputs: Object, known: Object) -> Object:
        """The outputs that can be told before a create or update.

        ``known`` are the present ones, empty before a create.

        Raises:
            ProviderFault: the API server would refuse it.
        """
        manifest = Manifest.of(kind, inputs)
        if manifest.known:
            live = await self._objects.get(kind, manifest.namespace, manifest.name)
            self._refuse_foreign(kind, inputs, live, known)
            try:
                await self._objects.apply(manifest, dry_run=True)
            except NoNamespace:
                pass  # it is made in the same run
            except Invalid:
                if live is None or known:
                    raise  # a leftover that cannot be changed is replaced
        if known:
            return {**known, **inputs, "metadata": {**known.get("metadata", {}), **inputs["metadata"]}}
        return _expected(kind, inputs)

    async def put(self, kind: Kind, inputs: Object, known: Object, *, seconds: float) -> Result:
        """Create or update the object and wait until it is ready, for at most ``seconds`` (0: the default).

        An object that exists and is not ours is refused; what a killed run of the same stack left is taken over. A job
        that has failed never runs again, so another one takes its place.

        Raises:
            Partial: it was applied, but is not ready.
            ProviderFault: it was not applied.
        """
        manifest = Manifest.of(kind, inputs)
        seconds = seconds or _annotated_seconds(manifest)
        live = await self._objects.get(kind, manifest.namespace, manifest.name)
        if live and live["metadata"].get("deletionTimestamp"):
            await self._until(self._gone(kind, live, seconds))
            live = None
        self._refuse_foreign(kind, inputs, live, known)
        if live and kind.name == "Job" and state_of(live).failed:
            await self._remove(kind, live, seconds)
            live = None
        applied = await self._apply(manifest, leftover=None if known else live, seconds=seconds)
        if not known:
            self._remember(applied, live)
        if manifest.annotation(_SKIP) != "true":
            try:
                applied = await self._until(self._waiter.ready(kind, applied, seconds=seconds))
            except ProviderFault as fault:
                raise Partial(str(fault), await self._latest(manifest, applied, inputs)) from fault
        return Result(manifest.id, outputs(applied, inputs), inputs)

    async def read(self, kind: Kind, identity: str, inputs: Object) -> Result:
        """The object as it is now. Without ``inputs`` it is an import, and they are made from the object.

        Raises:
            Partial: it is there, but not ready.
            ProviderFault: the API server cannot be asked.
        """
        namespace, name = parse_id(kind, identity)
        try:
            live = await self._objects.get(kind, namespace, name)
        except Unreachable:
            if self.delete_unreachable:
                return Result("", {}, {})
            raise
        if live is None:
            return Result("", {}, {})
        known = inputs or inputs_of(live)
        result = Result(f"{namespace}/{name}" if namespace else name, outputs(live, known), known)
        state = state_of(live)
        # A claim may wait for its first consumer; whoever uses it says if that fails.
        if inputs and kind.owns_pods and not state.ready and Manifest.of(kind, inputs).annotation(_SKIP) != "true":
            raise Partial(f"{describe(kind, namespace, name)} is not ready: {state.failed or state.progress}.", result)
        return result

    async def delete(self, kind: Kind, identity: str, known: Object, *, seconds: float) -> None:
        """Delete the object and wait until it is gone, for at most ``seconds`` (0: the default).

        Raises:
            NotReady: it is not gone in time; says what holds it.
            ProviderFault: the API server refused it or cannot be asked.
        """
        namespace, name = parse_id(kind, identity)
        seconds = seconds or _DEFAULT_SECONDS
        try:
            live = await self._objects.get(kind, namespace, name)
            if live is not None and self._ours(live, known) and not self._wanted_again(live, known):
                await self._remove(kind, live, seconds)
        except Unreachable:
            if not self.delete_unreachable:
                raise

    async def _apply(self, manifest: Manifest, *, leftover: Object | None, seconds: float) -> Object:
        try:
            return await self._objects.apply(manifest)
        except Invalid:
            # A claim holds data, which nobody asked to delete.
            if leftover is None or manifest.kind.name == "PersistentVolumeClaim":
                raise
        await self._remove(manifest.kind, leftover, seconds)
        return await self._objects.apply(manifest)

    async def _remove(self, kind: Kind, live: Object, seconds: float) -> None:
        metadata = live["metadata"]
        if await self._objects.delete(kind, metadata.get("namespace"), metadata["name"], uid=metadata["uid"]):
            await self._until(self._gone(kind, live, seconds))

    def _remember(self, applied: Object, leftover: Object | None) -> None:
        uid = applied["metadata"]["uid"]
        self._made.add(uid)
        if leftover and leftover["metadata"]["uid"] == uid:
            self._taken.add(uid)

    def _wanted_again(self, live: Object, known: Object) -> bool:
        """Whether what is to be deleted is only an older entry of the state for what this run has just created.

        The engine deletes what an update that failed has left behind at the end of the next one, which may have gone
        back to it.
        """
        uid = live["metadata"]["uid"]
        if uid in self._taken:
            self._taken.discard(uid)  # a second deletion is that of the new entry
            return True
        return uid in self._made and at(plain(known), ("metadata", "uid")) != uid

    async def _latest(self, manifest: Manifest, applied: Object, inputs: Object) -> Result:
        live: Object | None = None
        with suppress(ProviderFault):  # what was applied has to do then
            live = await self._objects.get(manifest.kind, manifest.namespace, manifest.name)
        return Result(manifest.id, outputs(live or applied, inputs), inputs)

    async def _gone(self, kind: Kind, live: Object, seconds: float) -> None:
        metadata = live["metadata"]
        await self._waiter.gone(kind, metadata.get("namespace"), metadata["name"], metadata["uid"], seconds=seconds)

    async def _until(self, waiting: Coroutine[Any, Any, T]) -> T:
        """Wait in a task of its own, which ``cancel`` ends."""
        task = asyncio.create_task(waiting)
        self._waits.add(task)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if not task.cancelled():
                task.cancel()  # the engine has gone away
                raise
            raise NotReady("The run was cancelled while it was waited for.") from None
        finally:
            self._waits.discard(task)

    def _refuse_foreign(self, kind: Kind, inputs: Object, live: Object | None, known: Object) -> None:
        if live is None or self._ours(live, known) or same_owner(inputs, live):
            return
        metadata = live["metadata"]
        raise ApiFault(
            f"{describe(kind, metadata.get('namespace'), metadata['name'])} exists already and was not made "
            "by this stack; it is left alone. Delete it, or take it over with `pulumi import`."
        )

    @staticmethod
    def _ours(live: Object, known: Object) -> bool:
        """Whether a live object is the one in the state, or was made in its place by the same stack."""
        return bool(known) and (
            at(plain(known), ("metadata", "uid")) == live["metadata"]["uid"] or same_owner(known, live)
        )


def _annotated_seconds(manifest: Manifest) -> float:
    text = manifest.annotation(_SECONDS)
    try:
        return float(text) if text else _DEFAULT_SECONDS
    except ValueError:
        raise ProviderFault(f"The annotation {_SECONDS} of {manifest.id} is no number of seconds: {text!r}.") from None


def _expected(kind: Kind, inputs: Object) -> Object:
    """The outputs of an object that is to be made: what the API server decides is unknown."""
    unknown = dict.fromkeys(("uid", "resourceVersion", "creationTimestamp"), UNKNOWN)
    expected = {"status": UNKNOWN, **inputs, "metadata": {**unknown, **inputs["metadata"]}}
    if kind.name == "Service" and isinstance(inputs.get("spec"), dict):
        expected["spec"] = {"clusterIP": UNKNOWN, **inputs["spec"]}
    return expected
