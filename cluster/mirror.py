"""The objects of one kind, kept up to date by list and watch."""

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from cluster.api import Api, ApiError, Document

__all__ = ["Mirror"]

_RETRY_SECONDS: Final = 0.5


class Mirror(threading.Thread):
    """A thread that follows one list of the API for as long as the process runs, over restarts of the API."""

    def __init__(self, keys: Path, user: str, path: str, changed: Callable[[], None]) -> None:
        super().__init__(name=path, daemon=True)
        self._api = Api(keys, user)
        self._path = path
        self._changed = changed
        self._objects: dict[str, Document] = {}
        self.filled = threading.Event()
        """Set once the list was read for the first time."""

    @property
    def objects(self) -> list[Document]:
        """All of them as they are now."""
        return list(self._objects.values())

    def run(self) -> None:
        """Follow the list."""
        while True:
            try:
                self.follow_once()
            except ApiError as error:
                print(f"{self._path}: {error}", flush=True)
                time.sleep(_RETRY_SECONDS)

    def follow_once(self) -> None:
        """Read the list and follow it until the API ends that.

        Raises:
            ApiError: the API does not answer, or refuses.
        """
        answer = self._api.get(self._path)
        # One assignment: a reader sees the old list or the new one.
        self._objects = {item["metadata"]["uid"]: item for item in answer["items"]}
        self.filled.set()
        self._changed()
        for event in self._api.watch(self._path, answer["metadata"]["resourceVersion"]):
            item = event["object"]
            if event["type"] == "ERROR":
                # The version is too old: read the list again.
                return
            if event["type"] == "BOOKMARK":
                continue
            uid = item["metadata"]["uid"]
            self._objects = (
                {key: value for key, value in self._objects.items() if key != uid}
                if event["type"] == "DELETED"
                else {**self._objects, uid: item}
            )
            self._changed()
