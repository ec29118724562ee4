"""Makes a namespace that is being deleted go as soon as its pods allow, instead of half a minute later.

The controller of namespaces begins five seconds after the deletion, and then sleeps for half of the longest grace that
any pod has, however soon all are gone. A change of the namespace wakes it.
"""

import math
import time
from dataclasses import dataclass, field
from typing import Final

from kubernetes_provider.faults import ProviderFault
from kubernetes_provider.kinds import BY_TOKEN
from kubernetes_provider.objects import Objects
from kubernetes_provider.views import View

__all__ = ["Haste"]

_WAKE_SECONDS: Final = 2.0
_NAMESPACE: Final = BY_TOKEN["kubernetes:core/v1:Namespace"]


@dataclass(slots=True)
class Haste:
    """What can be done for one namespace that is going; without the rights to it, its controller does it later."""

    objects: Objects
    pods: View
    namespace: str
    pause: float = _WAKE_SECONDS
    _told: set[str] = field(default_factory=set[str])
    _woken: float = -math.inf

    async def make(self) -> None:
        """Tell every pod to end, which nothing may replace any more, and wake the controller."""
        for name, pod in list(self.pods.objects.items()):
            uid = str(pod["metadata"]["uid"])
            if uid not in self._told:
                self._told.add(uid)
                await self._try_to_end(name)
        if time.monotonic() - self._woken >= _WAKE_SECONDS:
            self._woken = time.monotonic()
            await self._try_to_wake()

    async def _try_to_end(self, pod: str) -> None:
        try:
            await self.objects.end_pod(self.namespace, pod)
        except ProviderFault:
            return

    async def _try_to_wake(self) -> None:
        try:
            await self.objects.touch(_NAMESPACE, None, self.namespace)
        except ProviderFault:
            return
