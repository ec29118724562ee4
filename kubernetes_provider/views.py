"""What is now in the cluster: collections of objects that are listed once and then kept up to date by a watch.

Many resources wait at the same time and look at the same pods and events, so a collection is watched once for all of
them and for as long as one of them needs it.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, Collection
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Final

import httpx

from kubernetes_provider.access import Access
from kubernetes_provider.faults import Expired, ProviderFault
from kubernetes_provider.paths import Json, Object, items_at

__all__ = ["View", "Views"]

_WATCH_SECONDS: Final = 240
"""The API server ends a watch after this time, and the next one continues."""


@dataclass(slots=True)
class View:
    """The objects of one collection, by name."""

    path: str
    what: str
    selector: str = ""
    objects: dict[str, Object] = field(default_factory=dict[str, Object])
    fault: ProviderFault | None = None
    complete: asyncio.Event = field(default_factory=asyncio.Event)
    users: int = 0
    task: "asyncio.Task[None] | None" = None

    def values(self) -> Collection[Object]:
        """The objects as they are now."""
        return self.objects.values()


class Views:
    """The collections of one cluster that somebody looks at."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._views: dict[tuple[str, str], View] = {}
        self._changed = asyncio.Event()

    @asynccontextmanager
    async def of(self, path: str, *, what: str, selector: str = "") -> AsyncGenerator[View]:
        """A collection that is kept up to date inside of the ``with``; ``selector`` is a field selector.

        Its first list is there when the ``with`` begins. What ends it is in ``fault``, then and later.
        """
        key = (path, selector)
        view = self._views.get(key)
        if view is None or view.fault:
            view = self._views[key] = View(path, what, selector)
            view.task = asyncio.create_task(self._follow(view))
        view.users += 1
        try:
            await view.complete.wait()
            yield view
        finally:
            view.users -= 1
            if not view.users:
                if self._views.get(key) is view:
                    del self._views[key]
                if view.task:
                    view.task.cancel()
                    with suppress(asyncio.CancelledError):
                        await view.task

    def next_change(self) -> asyncio.Event:
        """Is set at the next change in any collection; ask for it before looking, so that none is missed."""
        return self._changed

    def _notify(self) -> None:
        """Wake everybody who waits; who waits from now on waits for the next change."""
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def _follow(self, view: View) -> None:
        try:
            while True:
                version = await self._list(view)
                view.complete.set()
                self._notify()
                await self._watch(view, version)
        except ProviderFault as fault:
            view.fault = fault
            view.complete.set()
            self._notify()

    async def _list(self, view: View) -> str:
        parameters = {"fieldSelector": view.selector} if view.selector else {}
        answer = await self._access.request("GET", view.path, what=view.what, parameters=parameters)
        view.objects = {item["metadata"]["name"]: item for item in items_at(answer, "items")}
        return str(answer["metadata"]["resourceVersion"])

    async def _watch(self, view: View, version: str) -> None:
        """Follow until the API server has forgotten where we were, or is not there; listing again tells which."""
        while version:
            parameters = {
                "watch": "true",
                "resourceVersion": version,
                "allowWatchBookmarks": "true",
                "timeoutSeconds": str(_WATCH_SECONDS),
            }
            if view.selector:
                parameters["fieldSelector"] = view.selector
            try:
                async with self._access.stream(view.path, what=view.what, parameters=parameters) as response:
                    async for line in response.aiter_lines():
                        version = self._take(view, json.loads(line))
                        if not version:
                            return
            except (httpx.TransportError, ValueError, Expired):
                return

    def _take(self, view: View, event: dict[str, Json]) -> str:
        """Take over one event; returns the version that it is of, nothing if the watch has to begin anew."""
        item: Object = event["object"]
        if event["type"] == "ERROR":
            return ""
        metadata: Object = item["metadata"]
        if event["type"] != "BOOKMARK":
            if event["type"] == "DELETED":
                view.objects.pop(metadata["name"], None)
            else:
                view.objects[metadata["name"]] = item
            self._notify()
        return str(metadata["resourceVersion"])
