"""The stack's configuration: documented in Pulumi.yaml, validated here and nowhere else."""

import difflib
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Self

import pydantic
import pydantic.alias_generators
import yaml
from pydantic import Field

from infra.errors import ConfigError

__all__ = [
    "PROJECT",
    "DemoConfig",
    "Distribution",
    "GatewayAuthentication",
    "SecretsSource",
    "TargetKind",
    "load_stack_config",
    "stack_names",
]

PROJECT = "compass-demo"
_PROVIDERS = frozenset({"pulumi", "docker", "kubernetes"})
"""Namespaces of the engine and of the providers."""
_SECRETS = (
    "gateway_token",
    "postgres_password",
    "payments_owner_password",
    "payment_app_password",
    "postgres_exporter_password",
    "dba_password",
    "payment_app_password_2",
    "gateway_operators_token",
    "incident_presenter_token",
    "incident_owner_token",
)
"""Fields that are secret; with hyphens, the names of the secrets in the topology."""
_CLUSTER_ONLY = (
    "sample_app_replicas",
    "sample_app_max_replicas",
    "gateway_replicas",
    "ingress_host",
    "time_to_live_hours",
)
"""Fields whose promise Docker does not keep."""
_OTHERS_NAMESPACES = frozenset({"default"})

HostPort = Annotated[int, Field(ge=1, le=65535)]
Replicas = Annotated[int, Field(ge=1, le=10)]
Registry = Annotated[str, Field(pattern=r"^([a-z0-9.-]+(:[0-9]+)?(/[a-z0-9._-]+)*)?$")]
"""A registry with an optional port and path; no scheme."""
DnsLabel = Annotated[str, Field(pattern=r"^([a-z]([a-z0-9-]{0,61}[a-z0-9])?)?$")]
DnsName = Annotated[
    str, Field(pattern=r"^([a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*)?$", max_length=253)
]
LabelValue = Annotated[str, Field(pattern=r"^([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?$")]
"""What Kubernetes takes as the value of a label."""


class TargetKind(StrEnum):
    """Where the topology is rendered to."""

    DOCKER = "docker"
    KUBERNETES = "kubernetes"


class Distribution(StrEnum):
    """Where the images come from."""

    UPSTREAM = "upstream"
    """Official images, pulled."""
    PACKAGES = "packages"
    """Every image built on this machine from Debian, PyPI and Go packages."""


class GatewayAuthentication(StrEnum):
    """Who may use the gateway's fronts."""

    REQUIRED = "required"
    LOOPBACK_OPEN = "loopback-open"


class SecretsSource(StrEnum):
    """Where the stack's secrets come from."""

    GENERATED = "generated"
    """Made once on this machine, kept in a file that nobody else can read."""
    CONFIG = "config"
    """Encrypted in the stack's configuration, for a stack that several people bring up."""


class DemoConfig(pydantic.BaseModel):
    """All keys of a stack. Names in Pulumi.yaml are camelCase; the descriptions live there."""

    model_config = pydantic.ConfigDict(
        alias_generator=pydantic.alias_generators.to_camel, extra="forbid", frozen=True, populate_by_name=True
    )

    target: TargetKind = TargetKind.DOCKER
    distribution: Distribution = Distribution.UPSTREAM
    image_mirror: Registry = ""
    docker_host: str = ""
    kube_context: str = ""
    kubeconfig: str = ""
    namespace: DnsLabel = ""
    image_registry: Registry = ""
    storage_class: DnsName = ""
    ingress_host: DnsName = ""
    ingress_class: DnsName = ""
    ingress_issuer: DnsName = ""
    sample_app_replicas: Replicas = 1
    sample_app_max_replicas: Annotated[int, Field(ge=0, le=10)] = 0
    gateway_replicas: Replicas = 1
    owner: LabelValue = ""
    cost_center: LabelValue = ""
    time_to_live_hours: Annotated[int, Field(ge=0, le=8760)] = 0
    allow_local_state: bool = False
    secrets_source: SecretsSource = SecretsSource.GENERATED
    gateway_authentication: GatewayAuthentication = GatewayAuthentication.REQUIRED
    gateway_token: pydantic.SecretStr | None = None
    postgres_password: pydantic.SecretStr | None = None
    payments_owner_password: pydantic.SecretStr | None = None
    payment_app_password: pydantic.SecretStr | None = None
    postgres_exporter_password: pydantic.SecretStr | None = None
    dba_password: pydantic.SecretStr | None = None
    payment_app_password_2: pydantic.SecretStr | None = None
    gateway_operators_token: pydantic.SecretStr | None = None
    incident_presenter_token: pydantic.SecretStr | None = None
    incident_owner_token: pydantic.SecretStr | None = None
    seed_payments: Annotated[int, Field(ge=10_000, le=20_000_000)] = 1_000_000
    traffic_rate: Annotated[int, Field(ge=1, le=1000)] = 20
    traffic_seed: int = 1
    port_offset: Annotated[int, Field(ge=0, le=50_000)] = 0
    grafana_port: HostPort = 3000
    traces_port: HostPort = 3200
    loki_port: HostPort = 3100
    prometheus_port: HostPort = 9090
    otlp_grpc_port: HostPort = 4317
    otlp_http_port: HostPort = 4318
    app_port: HostPort = 8000
    postgres_port: HostPort = 5432
    runner_port: HostPort = 8070

    @pydantic.field_validator(*_SECRETS, mode="before")
    @classmethod
    def _empty_secret_is_none(cls, secret: object) -> object:
        return secret or None

    @pydantic.field_validator(*_SECRETS)
    @classmethod
    def _secret_is_usable(cls, secret: pydantic.SecretStr | None) -> pydantic.SecretStr | None:
        # The token travels in a URL's userinfo (TEMPO_URL) and in a header: one alphabet that needs no escaping in
        # either. A shorter secret could be guessed from the digest of it that rolls the pods.
        if secret is not None:
            value = secret.get_secret_value()
            if len(value) < 16 or not value.isascii() or not all(c.isalnum() or c in "-_" for c in value):  # noqa: PLR2004
                msg = "must be at least 16 letters, digits, hyphens or underscores"
                raise ValueError(msg)
        return secret

    @pydantic.model_validator(mode="after")
    def _ports_stay_in_range(self) -> Self:
        highest = max(getattr(self, name) for name in type(self).model_fields if name.endswith("_port"))
        if highest + self.port_offset > 65535:  # noqa: PLR2004
            msg = f"portOffset {self.port_offset} moves port {highest} past 65535"
            raise ValueError(msg)
        return self

    @pydantic.model_validator(mode="after")
    def _target_can_do_it(self) -> Self:
        if self.target is TargetKind.DOCKER:
            wanted = [
                type(self).model_fields[name].alias or name
                for name in _CLUSTER_ONLY
                if getattr(self, name) != type(self).model_fields[name].default
            ]
            if wanted:
                msg = f"the target docker cannot honour {', '.join(wanted)}; leave out what is for kubernetes alone"
                raise ValueError(msg)
        elif self.gateway_authentication is not GatewayAuthentication.REQUIRED:
            msg = "gatewayAuthentication must be required on kubernetes: others than you reach the gateway there"
            raise ValueError(msg)
        if self.sample_app_max_replicas and self.sample_app_max_replicas < self.sample_app_replicas:
            msg = f"sampleAppMaxReplicas {self.sample_app_max_replicas} is below sampleAppReplicas"
            raise ValueError(msg)
        if self.namespace in _OTHERS_NAMESPACES or self.namespace.startswith("kube-"):
            msg = f"the namespace {self.namespace} is the cluster's own; the demo deletes its namespace with the stack"
            raise ValueError(msg)
        return self

    def secret(self, name: str) -> str | None:
        """The configured value of a secret (``gateway-token``), if there is one."""
        value: pydantic.SecretStr | None = getattr(self, name.replace("-", "_"))
        return value.get_secret_value() if value else None

    @staticmethod
    def secret_key(name: str) -> str:
        """The configuration key of a secret."""
        return pydantic.alias_generators.to_camel(name.replace("-", "_"))

    def host_port(self, field: str) -> int:
        """The loopback port for a ``*_port`` field, offset included."""
        return int(getattr(self, field)) + self.port_offset

    @classmethod
    def parse(cls, values: Mapping[str, Any], *, where: str) -> "DemoConfig":
        """Validate the project's keys (without the ``compass-demo:`` prefix).

        Args:
            values: key -> value, strings as Pulumi hands them out or YAML scalars.
            where: what the person should edit, for the message.

        Raises:
            ConfigError: one line for each key that is unknown or wrong.
        """
        try:
            return cls.model_validate(dict(values), by_alias=True, by_name=False)
        except pydantic.ValidationError as error:
            raise ConfigError("\n".join(_sentences(cls, error, where))) from None


def _sentences(model: type[pydantic.BaseModel], error: pydantic.ValidationError, where: str) -> list[str]:
    known = [field.alias or name for name, field in model.model_fields.items()]
    secret = {model.model_fields[name].alias for name in _SECRETS}
    sentences: list[str] = []
    for fault in error.errors(include_url=False, include_context=False):
        key = str(fault["loc"][0]) if fault["loc"] else ""
        if fault["type"] == "extra_forbidden":
            near = difflib.get_close_matches(key, known, n=1)
            hint = f"did you mean {PROJECT}:{near[0]}?" if near else f"known keys: {', '.join(sorted(known))}."
            sentences.append(f"{where}: unknown key {PROJECT}:{key}; {hint}")
        elif key:
            shown = "" if key in secret else f" (found {fault['input']!r})"
            sentences.append(f"{where}: {PROJECT}:{key}: {fault['msg'].removeprefix('Value error, ')}{shown}.")
        else:
            sentences.append(f"{where}: {fault['msg'].removeprefix('Value error, ')}.")
    return sentences


def stack_names(repository: Path) -> list[str]:
    """Stacks that have a ``Pulumi.<name>.yaml`` in the checkout."""
    return sorted(path.name.split(".")[1] for path in repository.glob("Pulumi.*.yaml"))


def load_stack_config(repository: Path, stack: str) -> DemoConfig:
    """Read ``Pulumi.<stack>.yaml`` over the defaults, before any engine runs.

    A value that Pulumi encrypted cannot be read here; it is left at its default, the program sees the real one.

    Raises:
        ConfigError: no such stack, unreadable YAML, or a wrong key or value.
    """
    path = repository / f"Pulumi.{stack}.yaml"
    if not path.is_file():
        raise ConfigError(
            f"Unknown stack {stack!r}: there is no {path.name}; known stacks: {', '.join(stack_names(repository))}."
        )
    try:
        document: Any = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except yaml.YAMLError as error:
        raise ConfigError(f"{path.name}: not valid YAML: {' '.join(str(error).split())}.") from None
    config: Any = document.get("config") if isinstance(document, dict) else None  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType] # YAML is untyped
    values: dict[str, Any] = {}
    if isinstance(config, dict):
        for name, value in config.items():  # pyright: ignore[reportUnknownVariableType] # YAML is untyped
            namespace, _, key = str(name).rpartition(":")  # pyright: ignore[reportUnknownArgumentType]
            encrypted = isinstance(value, dict) and "secure" in value
            if namespace not in (PROJECT, "", *_PROVIDERS):
                raise ConfigError(f"{path.name}: unknown namespace {namespace} in {name}; ours is {PROJECT}.")
            if namespace not in _PROVIDERS and not encrypted:
                values[key] = value
    return DemoConfig.parse(values, where=path.name)
