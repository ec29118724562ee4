"""Where the Docker engine is, by the rules of Docker's own command line."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from docker.context import ContextAPI
from docker.context.config import get_tls_dir
from docker.tls import TLSConfig

from infra.errors import EngineError

__all__ = ["EngineAddress"]

_UNIX_DEFAULT: Final = "unix:///var/run/docker.sock"
_WINDOWS_DEFAULT: Final = "npipe:////./pipe/docker_engine"


@dataclass(frozen=True, slots=True)
class EngineAddress:
    """An engine's address, and for one behind TLS the folder of ca.pem, cert.pem and key.pem."""

    host: str
    certificates: Path | None = None

    @classmethod
    def resolve(cls, configured: str = "") -> "EngineAddress":
        """The address by configuration, DOCKER_HOST, DOCKER_CONTEXT, the current context or the platform's default.

        Raises:
            EngineError: DOCKER_CONTEXT names no context.
        """
        if configured or os.environ.get("DOCKER_HOST"):
            return cls(configured or os.environ["DOCKER_HOST"], _certificates_of_the_environment())
        name = os.environ.get("DOCKER_CONTEXT") or None
        context: Any = ContextAPI.get_context(name)
        if context is None and name:
            raise EngineError(
                f"DOCKER_CONTEXT names the context {name}, which does not exist; docker context ls lists them."
            )
        if context is None or not context.Host:
            return cls(_WINDOWS_DEFAULT if os.name == "nt" else _UNIX_DEFAULT)
        certificates = Path(get_tls_dir(context.name, "docker"))
        # docker-py writes socket addresses in a form of its own, which Pulumi's provider does not read.
        host = str(context.Host).replace("http+unix://", "unix://")
        return cls(host, certificates if (certificates / "ca.pem").is_file() else None)

    @property
    def tls(self) -> TLSConfig | None:
        """What docker-py needs for an engine behind TLS.

        Raises:
            EngineError: a file of the certificates is missing.
        """
        if self.certificates is None:
            return None
        ca, certificate, key = (self.certificates / f"{name}.pem" for name in ("ca", "cert", "key"))
        for path in (ca, certificate, key):
            if not path.is_file():
                raise EngineError(f"The Docker engine at {self.host} is to be reached by TLS, but {path} is missing.")
        return TLSConfig(client_cert=(str(certificate), str(key)), ca_cert=str(ca), verify=True)


def _certificates_of_the_environment() -> Path | None:
    """DOCKER_CERT_PATH, and what DOCKER_TLS_VERIFY means without it."""
    chosen = os.environ.get("DOCKER_CERT_PATH")
    if chosen:
        return Path(chosen)
    return Path.home() / ".docker" if os.environ.get("DOCKER_TLS_VERIFY") else None
