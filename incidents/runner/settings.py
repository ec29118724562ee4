"""Settings of the runner, from environment variables with the prefix ``RUNNER_``; secrets are files."""

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

__all__ = ["RunnerSettings"]

_SECRETS = Path("/run/secrets")


class RunnerSettings(BaseSettings):
    """Where everything is that the runner talks to."""

    model_config = SettingsConfigDict(env_prefix="RUNNER_", frozen=True, extra="forbid")

    host: str = Field(default="0.0.0.0", description="Address of the API.")  # noqa: S104  # a container's address is not known
    port: int = Field(default=8070, ge=1, le=65535, description="Port of the API.")
    stack: str = Field(default="demo", description="Name of the stack, for messages.")
    state_file: Path = Field(
        default=Path("/var/lib/incident-runner/state.sqlite"),
        description="What is active; not kept in the database.",
    )

    db_host: str = Field(default="postgres", description="Name or address of the PostgreSQL server.")
    db_port: int = Field(default=5432, ge=1, le=65535, description="Its port.")
    db_name: str = Field(default="payments", description="Database of the payment service.")
    app_connection_limit: int = Field(
        default=40, ge=1, le=1000, description="Connection limit of the service's role, as the database task sets it."
    )
    app_admin_url: str = Field(default="http://sample-app:8001", description="Live settings of the payment service.")
    gateway_url: str = Field(default="http://gateway:3000", description="The gateway's Grafana front.")
    prometheus_url: str = Field(default="http://gateway:9090", description="Its Prometheus front.")
    loki_url: str = Field(default="http://gateway:3100", description="Its Loki front.")
    traces_url: str = Field(default="http://gateway:3200", description="Its traces front.")

    dba_password_file: Path = Field(default=_SECRETS / "dba-password", description="The operators' role.")
    owner_password_file: Path = Field(default=_SECRETS / "payments-owner-password", description="Migrations and jobs.")
    app_password_file: Path = Field(
        default=_SECRETS / "payment-app-password",
        description="The service's role; the file `…-2` beside it holds the next credential.",
    )
    presenter_token_file: Path = Field(
        default=_SECRETS / "incident-presenter-token", description="Token of those who run incidents."
    )
    owner_token_file: Path = Field(
        default=_SECRETS / "incident-owner-token", description="Token of who may take over from a presenter."
    )
    gateway_token_file: Path = Field(
        default=_SECRETS / "gateway-operators-token", description="Token for the gateway that leaves no record."
    )

    baseline_seconds: int = Field(default=60, ge=20, le=600, description="Seconds of history in a baseline.")
    alert_seconds: int = Field(default=120, ge=10, le=600, description="Seconds within which an alert must fire.")
    lease_seconds: int = Field(default=900, ge=10, description="Seconds for which a presenter holds the runner.")

    @property
    def next_password_file(self) -> Path:
        """The service's next credential."""
        return self.app_password_file.with_name(f"{self.app_password_file.name}-2")


def read_secret(path: Path) -> str:
    """The content of a secret file, without the newline at its end.

    Raises:
        OSError: it cannot be read.
    """
    return path.read_text(encoding="utf-8").strip("\r\n")
