"""Puts changes of live settings into force in this process."""

from collections.abc import Mapping, Sequence
from typing import Any

from payment_service.credential import Credential
from payment_service.live_settings import Change, LiveSettings, LiveValues
from payment_service.store.pool import ConnectionPool

_RENEWING = frozenset({"pool_max_size", "credential_version"})


class LiveChanges:
    """Applies them, one at a time, each wholly or not at all.

    Args:
        live: The settings.
        credential: The database password.
        pools: The pools that follow the settings; the first is the one that requests use.
    """

    def __init__(self, live: LiveSettings, credential: Credential, pools: Sequence[ConnectionPool]) -> None:
        self._live = live
        self._credential = credential
        self._pools = pools

    @property
    def values(self) -> LiveValues:
        """The values in force."""
        return self._live.current

    @property
    def known(self) -> Mapping[str, Change]:
        """The last change of each setting that was ever changed, by its name."""
        return self._live.changes

    async def make(self, changes: Mapping[str, Any]) -> LiveValues:
        """Do what an operator asked this replica for.

        Args:
            changes: New values by name.

        Returns:
            All values, as they are now.

        Raises:
            pydantic.ValidationError: A name is unknown or a value impossible.
            SettingsError: The file of a new credential cannot be read.
        """
        async with self._live.lock:
            # Validated before it is signed: what is signed goes to all replicas.
            self._live.merged(changes)
            await self._apply(self._live.signed(changes))
            return self._live.current

    async def adopt(self, changes: Mapping[str, Change]) -> None:
        """Follow what another replica was asked for, as far as it is later than what is known here.

        Args:
            changes: The last change of each setting that the other replica knows of.

        Raises:
            pydantic.ValidationError: A value is impossible in this version of the service.
            SettingsError: The file of a new credential cannot be read.
        """
        async with self._live.lock:
            later = self._live.later(changes)
            if later:
                await self._apply(later)

    async def _apply(self, changes: Mapping[str, Change]) -> None:
        values = self._live.merged({name: change.value for name, change in changes.items()})
        self._credential.check(values.credential_version)
        self._live.current = values
        self._live.changes.update(changes)
        self._credential.version = values.credential_version
        requests = self._pools[0]
        requests.acquire_timeout = values.pool_acquire_timeout
        if _RENEWING.intersection(changes):
            await requests.renew(max_size=values.pool_max_size)
            for pool in self._pools[1:]:
                await pool.renew(max_size=pool.max_size)
