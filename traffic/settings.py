"""Settings from the environment, prefix ``TRAFFIC_``; every fault is one sentence."""

from __future__ import annotations

import os
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from traffic.mix import Kind

_PREFIX = "TRAFFIC_"


class SettingsError(Exception):
    """The settings cannot be used; the text is the sentence to show."""


def _check_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
        raise ValueError("must be an absolute http or https URL without query")
    return url.rstrip("/")


def _check_mix(mix: dict[Kind, float]) -> dict[Kind, float]:
    if any(not 0 <= weight <= 1_000_000 for weight in mix.values()):  # noqa: PLR2004 - far beyond any sensible weight
        raise ValueError("a weight must lie between 0 and 1000000")
    return mix


class Settings(BaseSettings):
    """What to send where, and how often.

    Attributes:
        target: base URL of the payment service.
        ready_path: answers 2xx when requests are welcome; nothing is sent before it did once.
        rate: arrivals per second.
        seed: makes the sequence of arrivals; the same seed is the same sequence.
        timeout_seconds: a request that takes longer, counted from its scheduled arrival, is given up.
        max_in_flight: arrivals above this many unanswered requests are shed, and counted.
        mix: weights that replace the default ones, by kind, as JSON: ``{"refund": 0}``.
        customers: ids from 1 to this many exist; 0 learns ids from answers.
        merchants: the same for merchants.
        host: address of ``/health`` and ``/metrics``.
        port: port of these; 0 takes a free one.
        grace_seconds: how long the end waits for answers to what was sent.
        summary_seconds: interval of the summary line.
    """

    model_config = SettingsConfigDict(env_prefix=_PREFIX, frozen=True, extra="forbid")

    target: Annotated[str, AfterValidator(_check_url)] = "http://sample-app:8000"
    ready_path: str = Field(default="/health/ready", pattern=r"^/[!-~]*$")
    rate: float = Field(default=20.0, gt=0, le=2000, allow_inf_nan=False)
    seed: int = Field(default=1, ge=0)
    timeout_seconds: float = Field(default=30.0, gt=0, le=600)
    max_in_flight: int = Field(default=2000, ge=1, le=20_000)
    mix: Annotated[dict[Kind, float], AfterValidator(_check_mix)] = Field(default_factory=dict[Kind, float])
    customers: int = Field(default=0, ge=0)
    merchants: int = Field(default=0, ge=0)
    host: str = "0.0.0.0"  # noqa: S104 - inside a container; what is published is the infrastructure's decision
    port: int = Field(default=8080, ge=0, le=65535)
    grace_seconds: float = Field(default=3.0, ge=0, le=600)
    summary_seconds: float = Field(default=30.0, gt=0)


def load() -> Settings:
    """Read the environment.

    Raises:
        SettingsError: a value does not fit, or a variable with our prefix is not a setting.
    """
    known = {f"{_PREFIX}{name.upper()}" for name in Settings.model_fields}
    unknown = sorted(name for name in os.environ if name.upper().startswith(_PREFIX) and name.upper() not in known)
    if unknown:
        raise SettingsError(f"not a setting: {', '.join(unknown)}; there are {', '.join(sorted(known))}")
    try:
        return Settings()
    except ValidationError as error:
        faults = error.errors(include_input=False, include_url=False, include_context=False)
        raise SettingsError(
            "; ".join(
                f"{_PREFIX}{'.'.join(map(str, fault['loc'])).upper()}: {fault['msg'].removeprefix('Value error, ')}"
                for fault in faults
            )
        ) from None
    except ValueError as error:
        # pydantic-settings: the variable is not the JSON that a mapping needs.
        raise SettingsError(f"{error}".replace("\n", " ")) from None
