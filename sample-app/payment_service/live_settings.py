"""Settings that an operator changes while the service runs."""

import asyncio
from typing import Any, Literal

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


class LiveSettings:
    """The values in force. One change at a time; all of it or nothing.

    Args:
        settings: Their values at the start.
    """

    def __init__(self, settings: ServiceSettings) -> None:
        self.current = LiveValues.model_validate(settings.model_dump(include=set(LiveValues.model_fields)))
        self.lock = asyncio.Lock()

    def merged(self, changes: dict[str, Any]) -> LiveValues:
        """The present values with some replaced; nothing changes yet.

        Args:
            changes: New values by name.

        Raises:
            pydantic.ValidationError: A name is unknown or a value impossible.
        """
        return LiveValues.model_validate(self.current.model_dump() | changes)
