"""The gateway's configuration: one YAML file, validated before anything is opened.

The file is rendered from the topology, so this model is the contract with the infrastructure: unknown keys are
refused, and every fault is one sentence. The token itself is never in the file, only the path of the file that holds
it.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator


class ConfigError(Exception):
    """The configuration cannot be used; the text is the sentence to show."""


def _check_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("must be an absolute http or https URL")
    if parts.username is not None or parts.password is not None:
        raise ValueError("must not carry a user name or password")
    if parts.query or parts.fragment:
        raise ValueError("must not carry a query or fragment")
    return url.rstrip("/")


BaseUrl = Annotated[str, AfterValidator(_check_url)]
ServiceName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,62}$")]
HostPort = Annotated[str, Field(pattern=r"^[a-z0-9.-]+:[0-9]{1,5}$")]
Seconds = Annotated[float, Field(gt=0, le=600)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Listener(_Model):
    """One address that the gateway serves; port 0 takes a free one (tests)."""

    host: str = "0.0.0.0"  # noqa: S104 - inside a container; what is published where is the infrastructure's decision
    port: int = Field(ge=0, le=65535)


class Listeners(_Model):
    """The fronts; the names are the values of the label ``front`` of the gateway's metrics."""

    main: Listener = Listener(port=3000)
    loki: Listener = Listener(port=3100)
    prometheus: Listener = Listener(port=9090)
    traces: Listener = Listener(port=3200)
    internal: Listener = Listener(port=8090)

    def by_name(self) -> dict[str, Listener]:
        """Return the listeners by the name of their front."""
        return {
            "main": self.main,
            "loki": self.loki,
            "prometheus": self.prometheus,
            "traces": self.traces,
            "internal": self.internal,
        }


class Authentication(_Model):
    """Who may ask.

    ``required`` wants the token on every published front; ``loopback-open`` asks nobody and is for a laptop whose
    ports are published on the loopback address only. Operators have a token of their own in either mode: their calls
    are answered alike and not recorded.
    """

    mode: Literal["required", "loopback-open"] = "required"
    token_file: Path | None = None
    operators_token_file: Path | None = None

    @model_validator(mode="after")
    def _token_wanted(self) -> Self:
        if self.mode == "required" and self.token_file is None:
            raise ValueError("mode `required` needs a token_file")
        return self


class Browsers(_Model):
    """What a request may say about where it comes from (DNS rebinding, cross-site requests).

    ``allowed_hosts`` are host names without port, ``*`` for any, ``*.example.org`` for all below; ``allowed_origins``
    are foreign origins (``https://host:port``) that may send state-changing methods, the front's own origin always may.
    With ``login_page`` a browser without the token is led to ``/login``, else it asks for a password itself.
    """

    allowed_hosts: tuple[str, ...] = ("localhost", "127.0.0.1", "[::1]", "gateway")
    allowed_origins: tuple[str, ...] = ()
    login_page: bool = False


class BackendSettings(_Model):
    """One server behind the gateway, and how much of it one gateway may use."""

    url: BaseUrl
    timeout_seconds: Seconds = 30.0
    max_concurrent: int = Field(default=64, ge=1, le=10_000)
    max_response_bytes: int = Field(default=64 * 1024 * 1024, ge=1024)


class TracesSettings(BackendSettings):
    """The store of traces; the dialect of its HTTP API depends on the product."""

    kind: Literal["tempo", "jaeger"]


class GrafanaSettings(BackendSettings):
    """Grafana behind its auth proxy: ``user`` is the identity that the gateway asserts."""

    user: str = Field(default="viewer", pattern=r"^[A-Za-z0-9._@-]{1,64}$")


class Backends(_Model):
    """What the fronts stand for."""

    prometheus: BackendSettings
    loki: BackendSettings
    traces: TracesSettings
    alertmanager: BackendSettings | None = None
    grafana: GrafanaSettings | None = None
    mcp_grafana: BackendSettings | None = None


class ProbeSettings(_Model):
    """How to ask one service whether it answers; without a URL its own container health check does."""

    service: ServiceName
    url: BaseUrl | None
    timeout_seconds: float = Field(default=1.0, gt=0, le=10)


class AgentLimits(_Model):
    """Bounds on one call of an agent's tool; each is named in the error of a call that exceeds it.

    ``points`` is per series and the same as Prometheus's own; ``answer_bytes`` is what a back end may answer, which the
    gateway holds while it turns it into the tool's answer.
    """

    query_bytes: int = Field(default=8 * 1024, ge=64, le=64 * 1024)
    range_seconds: int = Field(default=31 * 24 * 3600, ge=60)
    points: int = Field(default=11_000, ge=10)
    log_lines: int = Field(default=5000, ge=1)
    traces: int = Field(default=200, ge=1, le=1000)
    answer_bytes: int = Field(default=1024 * 1024, ge=1024)


class Limits(_Model):
    """Bounds on what one caller can make the gateway hold, and on how long it takes to stop.

    For ``drain_seconds`` after it was told to stop the gateway is not ready but serves, so that whoever sends requests
    here notices; then what is under way has ``shutdown_seconds``.
    """

    url_bytes: int = Field(default=16 * 1024, ge=512, le=60_000)
    body_bytes: int = Field(default=1024 * 1024, ge=1024)
    connections: int = Field(default=1024, ge=8)
    drain_seconds: float = Field(default=0, ge=0, le=60)
    shutdown_seconds: int = Field(default=6, ge=1, le=300)
    agents: AgentLimits = AgentLimits()


class Alerts(_Model):
    """Where the other replicas' received alerts are: internal listeners, where a name may stand for several."""

    peers: tuple[HostPort, ...] = ()


class Telemetry(_Model):
    """Where the gateway's own spans go: the full URL of an OTLP/HTTP traces endpoint, or nowhere."""

    otlp_endpoint: BaseUrl | None = None


class Setting(_Model):
    """A connection setting for the status page; ``{token}`` in the value stands for the secret and is shown as dots."""

    name: str = Field(pattern=r"^[A-Z][A-Z0-9_]{0,63}$")
    value: str


class Link(_Model):
    """A link for the status page."""

    title: str = Field(min_length=1, max_length=80)
    url: BaseUrl


class StatusPage(_Model):
    """What the status page shows beside live data."""

    refresh_seconds: int = Field(default=10, ge=2, le=3600)
    settings: tuple[Setting, ...] = ()
    links: tuple[Link, ...] = ()


class Config(_Model):
    """The whole file."""

    stack: str = Field(min_length=1, max_length=64)
    distribution: Literal["upstream", "packages"]
    version: str = "0.1.0"
    authentication: Authentication
    browsers: Browsers = Browsers()
    listeners: Listeners = Listeners()
    backends: Backends
    probes: tuple[ProbeSettings, ...] = ()
    limits: Limits = Limits()
    alerts: Alerts = Alerts()
    telemetry: Telemetry = Telemetry()
    status_page: StatusPage = StatusPage()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.distribution == "upstream") != (self.backends.grafana is not None):
            raise ValueError("distribution `upstream` has a grafana back end and `packages` has none")
        if self.backends.mcp_grafana is not None and self.backends.grafana is None:
            raise ValueError("an mcp_grafana back end needs a grafana back end")
        addresses = [(one.host, one.port) for one in self.listeners.by_name().values() if one.port]
        for (host, port), count in Counter(addresses).items():
            if count > 1:
                raise ValueError(f"two listeners use {host}:{port}")
        for service, count in Counter(probe.service for probe in self.probes).items():
            if count > 1:
                raise ValueError(f"two probes are named {service}")
        return self


def load(path: Path) -> Config:
    """Read and validate the file.

    Raises:
        ConfigError: the file cannot be read, is not YAML, or does not fit the model.
    """
    try:
        document: object = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is not YAML: {' '.join(str(error).split())}") from None
    try:
        return Config.model_validate(document)
    except ValidationError as error:
        faults = error.errors(include_input=False, include_url=False, include_context=False)
        sentence = "; ".join(
            f"{'.'.join(map(str, fault['loc'])) or 'the file'}: {fault['msg'].removeprefix('Value error, ')}"
            for fault in faults
        )
        raise ConfigError(f"{path} is not a valid gateway configuration: {sentence}") from None


def read_token(authentication: Authentication) -> str | None:
    """Return the token, or None where nobody is asked for one.

    Raises:
        ConfigError: the token file cannot be read or holds nothing usable.
    """
    if authentication.mode == "loopback-open" or authentication.token_file is None:
        return None
    return _token(authentication.token_file)


def read_operators_token(authentication: Authentication, token: str | None) -> str | None:
    """Return the operators' token, or None where there are no operators.

    Args:
        authentication: names the file.
        token: the other one, for everybody.

    Raises:
        ConfigError: the token file cannot be read, holds nothing usable, or holds the other token: nothing at all would
            be recorded.
    """
    if authentication.operators_token_file is None:
        return None
    found = _token(authentication.operators_token_file)
    if found == token:
        raise ConfigError(
            f"{authentication.operators_token_file} must hold another token than {authentication.token_file}"
        )
    return found


def _token(file: Path) -> str:
    try:
        token = file.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it holds other than ASCII characters"
        raise ConfigError(f"the token file {file} cannot be read: {reason}") from None
    if not token or not token.isprintable() or " " in token:
        raise ConfigError(f"the token file {file} holds no token on one line without blanks")
    return token
