"""Settings of the service, from environment variables with the prefix ``PAYMENT_``.

Passwords are never values: a setting names the file that holds one, and the file is read again for each use.
"""

import difflib
import os
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, Field, HttpUrl, ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, SettingsConfigDict

PREFIX = "PAYMENT_"

Port = Annotated[int, Field(ge=1, le=65535)]
Seconds = Annotated[float, Field(gt=0, le=3600, allow_inf_nan=False)]


class SettingsError(Exception):
    """The environment does not make sense. Its text has one sentence for each fault."""


def _require_http_url(value: str) -> str:
    HttpUrl(value)
    return value.rstrip("/")


HttpBase = Annotated[str, AfterValidator(_require_http_url)]


class DatabaseAddress(BaseSettings):
    """Where the database is: what the service and the task that makes the database share."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid")

    db_host: str = Field(default="postgres", min_length=1, description="Name or address of the PostgreSQL server.")
    db_port: Port = Field(default=5432, description="Port of the PostgreSQL server.")
    db_name: str = Field(default="payments", pattern=r"^[a-z_][a-z0-9_]{0,62}$", description="Database of the service.")
    db_ssl: Literal["disable", "prefer", "require"] = Field(default="disable", description="TLS towards PostgreSQL.")
    app_password_file: Path = Field(
        default=Path("/run/secrets/payment-app-password"), description="File with the password of the service's role."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Least severe log line written."
    )


class ServiceSettings(DatabaseAddress):
    """Settings of the service itself."""

    host: str = Field(default="0.0.0.0", description="Address of the public and the admin port.")  # noqa: S104  # a container's address is not known
    port: Port = Field(default=8000, description="Public port.")
    admin_port: Port = Field(default=8001, description="Internal port: live settings.")
    db_user: str = Field(default="payment_app", min_length=1, description="Role to log in as.")

    pool_min_size: int = Field(default=2, ge=0, le=50, description="Connections opened before the first request.")
    pool_max_size: int = Field(default=12, ge=1, le=200, description="Most connections; a live setting.")
    pool_acquire_timeout: float = Field(
        default=20.0,
        ge=0.05,
        le=25,
        allow_inf_nan=False,
        description="Seconds a request waits for a connection; a live setting.",
    )
    pool_max_waiting: int = Field(
        default=2000, ge=1, description="Requests that may wait for a connection before others are refused."
    )
    connect_timeout: Seconds = Field(default=5.0, description="Seconds until an attempt to connect is given up.")
    connection_max_age: Seconds = Field(
        default=300.0, description="Seconds after which a pooled connection is replaced (plus or minus a quarter)."
    )
    connection_idle_lifetime: Seconds = Field(
        default=120.0, description="Seconds after which an unused connection is closed."
    )
    statement_timeout: Seconds = Field(default=20.0, description="Seconds a statement may take.")
    request_timeout: Seconds = Field(default=29.0, description="Seconds after which a request is answered with 504.")

    breaker_threshold: int = Field(
        default=5, ge=1, le=1000, description="Connection errors in a row that open the circuit breaker."
    )
    breaker_open_seconds: Seconds = Field(
        default=2.0, description="Seconds it stays open before one request tries again."
    )
    retry_attempts: int = Field(default=4, ge=1, le=10, description="Attempts at an operation that is safe to repeat.")

    report_batch_size: int = Field(
        default=1, ge=1, le=1000, description="Merchants the settlement report reads at a time; a live setting."
    )
    lock_order: Literal["per_route", "canonical"] = Field(
        default="per_route",
        description="Order in which refunds lock rows: as they come across them, or accounts first; a live setting.",
    )
    counter_shards: int = Field(
        default=1, ge=1, le=64, description="Rows over which a merchant's daily total is spread; a live setting."
    )
    credential_version: int = Field(
        default=1,
        ge=1,
        le=999,
        description="Version N > 1 reads the file `…-N` beside the password file, if there is one; a live setting.",
    )
    acquirer_timeout: Seconds = Field(default=25.0, description="Seconds to wait for an acquirer.")
    refund_window_hours: int = Field(default=24, ge=1, le=2160, description="Hours in which a payment can be refunded.")
    velocity_max_hourly: int = Field(
        default=1000, ge=1, description="Payments of one customer in an hour above which further ones are declined."
    )
    velocity_max_minor: int = Field(
        default=5_000_000_00,
        ge=1,
        description="Sum of a customer's payments in 90 days above which further ones are declined (cents).",
    )

    retention_enabled: bool = Field(
        default=True, description="Whether this replica takes part in pruning payments beyond the seed."
    )
    retention_share: float = Field(
        default=0.05, gt=0, le=1, description="Payments kept beyond the seed, as a share of the seed's number."
    )
    retention_interval: Seconds = Field(default=2.0, description="Seconds between two rounds of pruning.")
    retention_batch: int = Field(default=500, ge=1, le=10_000, description="Payments pruned in one transaction.")
    retention_days: int = Field(
        default=30, ge=1, le=365, description="Days for which totals and settlement runs since the seed are kept."
    )

    drain_seconds: float = Field(
        default=1.0, ge=0, le=60, description="Seconds for which requests are still accepted after SIGTERM."
    )
    shutdown_timeout: Seconds = Field(
        default=30.0, description="Seconds for which accepted requests may take to finish after that."
    )

    traces_enabled: bool = Field(default=True, description="Whether requests are traced.")
    otlp_endpoint: HttpBase | None = Field(
        default=None, description="Base URL of an OTLP/HTTP receiver for traces and logs; none: not sent."
    )
    otlp_interval: float = Field(default=0.08, gt=0, le=60, description="Seconds between two batches.")
    metrics_enabled: bool = Field(default=True, description="Whether requests are measured.")
    environment: str = Field(
        default="demo", min_length=1, max_length=63, description="deployment.environment.name in telemetry."
    )
    instance_id: str | None = Field(
        default=None, max_length=255, description="service.instance.id in telemetry; else the host name."
    )

    peers: str = Field(
        default="",
        pattern=r"^([a-z0-9.-]+:[0-9]{1,5}(,[a-z0-9.-]+:[0-9]{1,5})*)?$",
        description="Admin ports of all replicas, as HOST:PORT with commas between; a name may stand for several.",
    )

    incident_runner_url: HttpBase | None = Field(
        default=None, description="Where POST /trigger-incident is forwarded to; none: answered with 503."
    )
    incident_runner_token_file: Path | None = Field(default=None, description="File with the bearer token for it.")


class TaskSettings(DatabaseAddress):
    """Settings of the task that makes the database."""

    superuser: str = Field(default="postgres", min_length=1, description="Superuser to log in as.")
    superuser_password_file: Path = Field(
        default=Path("/run/secrets/postgres-password"), description="File with its password."
    )
    owner_password_file: Path = Field(
        default=Path("/run/secrets/payments-owner-password"), description="File with the password of `payments_owner`."
    )
    exporter_password_file: Path = Field(
        default=Path("/run/secrets/postgres-exporter-password"),
        description="File with the password of `postgres_exporter`.",
    )
    dba_password_file: Path = Field(
        default=Path("/run/secrets/dba-password"), description="File with the password of `dba`, the operators' role."
    )
    connect_wait: Seconds = Field(default=60.0, description="Seconds to wait for the server to accept connections.")
    app_connection_limit: int = Field(default=40, ge=1, le=1000, description="Connection limit of the service's role.")
    exporter_connection_limit: int = Field(
        default=5, ge=1, le=100, description="Connection limit of the exporter's role."
    )
    dba_connection_limit: int = Field(default=20, ge=1, le=100, description="Connection limit of the operators' role.")
    seed_payments: int = Field(default=1_000_000, ge=10_000, le=20_000_000, description="Payments to seed.")
    seed_number: int = Field(default=1, ge=0, le=2**62, description="Seed of the generated data.")
    seed_history_end: float | None = Field(
        default=None,
        ge=1e9,
        le=4e9,
        description="Unix time at which the generated history ends; else when seeding started.",
    )
    seed_workers: int = Field(default=2, ge=1, le=8, description="Steps of the seed that run side by side.")


S = TypeVar("S", bound=BaseSettings)


def load(kind: type[S]) -> S:
    """Read settings from the environment.

    Args:
        kind: The settings class.

    Raises:
        SettingsError: With one sentence for each value that is wrong and each unknown variable.
    """
    known = {PREFIX + name.upper() for cls in (ServiceSettings, TaskSettings) for name in cls.model_fields}
    faults = [_unknown(name, known) for name in sorted(os.environ) if name.startswith(PREFIX) and name not in known]
    try:
        settings = kind()
    except ValidationError as error:
        faults += [_sentence(kind, fault) for fault in error.errors(include_url=False)]
        raise SettingsError("\n".join(faults)) from None
    if faults:
        raise SettingsError("\n".join(faults))
    return settings


def _unknown(name: str, known: set[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f"{name} is not a setting." + (f" Did you mean {near[0]}?" if near else "")


def _sentence(kind: type[BaseModel], fault: ErrorDetails) -> str:
    field = str(fault["loc"][0]) if fault["loc"] else ""
    described = kind.model_fields[field].description if field in kind.model_fields else None
    text = f"{PREFIX}{field.upper()} is {fault['input']!r}: {fault['msg'].rstrip('.')}."
    return f"{text} ({described})" if described else text


def read_password(path: Path) -> str:
    """Read a secret file; the newline at its end is not part of it.

    Args:
        path: The file.

    Raises:
        SettingsError: It cannot be read, or is empty.
    """
    try:
        secret = path.read_text(encoding="utf-8").strip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise SettingsError(f"The secret file {path} cannot be read: {reason}.") from None
    if not secret:
        raise SettingsError(f"The secret file {path} is empty.")
    return secret
