"""Settings that an operator changes while the service runs, and which of two changes is the later one.

Replicas tell each other what was changed, setting by setting, and the later change wins in all of them. What nobody
changed stays as each replica's own environment says.
"""

import asyncio
import uuid
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from payment_service.settings import ServiceSettings


class LiveValues(BaseModel):
    """Their values."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    pool_max_size: int = Field(ge=1, le=200)
    pool_acquire_timeout: float = Field(ge=0.05, le=25, allow_inf_nan=False)
    report_batch_size: int = Field(ge=1, le=1000)
    lock_order: Literal["per_route", "canonical"]
    counter_shards: int = Field(ge=1, le=64)
    credential_version: int = Field(ge=1, le=999)


class Change(BaseModel):
    """The last change of one setting.

    Attributes:
        version: One more than that of any change its writer knew of.
        writer: The replica that was asked for it; decides between two of one version.
        value: The new value.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    version: int = Field(ge=1, lt=2**53)
    writer: str = Field(min_length=1, max_length=64)
    value: int | float | Annotated[str, Field(max_length=64)]

    def follows(self, other: "Change | None") -> bool:
        """Whether this one is in force, and not the other.

        Args:
            other: Another change of the same setting; None: there was none.
        """
        return other is None or (self.version, self.writer) > (other.version, other.writer)


class LiveSettings:
    """The values in force. One change at a time; all of it or nothing.

    Args:
        settings: Their values at the start.
    """

    def __init__(self, settings: ServiceSettings) -> None:
        self.current = LiveValues.model_validate(settings.model_dump(include=set(LiveValues.model_fields)))
        self.changes: dict[str, Change] = {}
        self.lock = asyncio.Lock()
        self._writer = uuid.uuid4().hex

    def merged(self, changes: Mapping[str, Any]) -> LiveValues:
        """The present values with some replaced; nothing changes yet.

        Args:
            changes: New values by name.

        Raises:
            pydantic.ValidationError: A name is unknown or a value impossible.
        """
        return LiveValues.model_validate(self.current.model_dump() | dict(changes))

    def signed(self, changes: Mapping[str, Any]) -> dict[str, Change]:
        """Valid new values as changes that come after all that this replica knows of.

        Args:
            changes: New values by name.
        """
        version = 1 + max((change.version for change in self.changes.values()), default=0)
        return {name: Change(version=version, writer=self._writer, value=value) for name, value in changes.items()}

    def later(self, changes: Mapping[str, Change]) -> dict[str, Change]:
        """Those of another replica's changes that this one has yet to follow.

        Args:
            changes: Changes by the name of the setting; names that this version does not know are left out.
        """
        return {
            name: change
            for name, change in changes.items()
            if name in LiveValues.model_fields and change.follows(self.changes.get(name))
        }
