"""The secrets of a stack: generated once, kept in a 0600 file beside the local state."""

import json
import os
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.config import PROJECT, DemoConfig
from infra.errors import ConfigError

__all__ = ["StackSecrets"]

_FILE = "secrets.json"
_CONFIGURED = "configured"
"""The generation of configured secrets, and the file that stands where generated ones would be."""


@dataclass(frozen=True, slots=True, repr=False)
class StackSecrets:
    """Secret values by name, and the generation they belong to.

    The generation is not secret. It labels volumes that hold data made with these secrets, so that a lost
    file replaces the volume instead of leaving a database that nobody can log in to.
    """

    generation: str
    values: Mapping[str, str]

    @classmethod
    def ephemeral(cls, names: Iterable[str]) -> "StackSecrets":
        """Fresh secrets that are written nowhere, for previews of a stack that does not exist yet."""
        return cls(secrets.token_hex(4), {name: secrets.token_urlsafe(24) for name in sorted(names)})

    @classmethod
    def configured(cls, stack: str, config: DemoConfig, names: Iterable[str]) -> "StackSecrets":
        """The secrets that the stack's configuration holds.

        Their generation never changes: whoever sets another password keeps the data.

        Raises:
            ConfigError: some are not set.
        """
        values = {name: config.secret(name) for name in sorted(names)}
        missing = [f"{PROJECT}:{config.secret_key(name)}" for name, value in values.items() if value is None]
        if missing:
            raise ConfigError(
                f"The stack {stack} takes its secrets from its configuration, and {', '.join(missing)} "
                f"{'is' if len(missing) == 1 else 'are'} not set: "
                f"pulumi config set --stack {stack} --secret {missing[0]}, and so on for each."
            )
        return cls(_CONFIGURED, {name: value for name, value in values.items() if value is not None})

    @staticmethod
    def exist(directory: Path) -> bool:
        """Whether the stack has been brought up and not destroyed since."""
        return (directory / _FILE).is_file() or (directory / _CONFIGURED).is_file()

    @staticmethod
    def note_configured(directory: Path) -> None:
        """Keep in mind that a stack is brought up, whose secrets are kept elsewhere: it counts among the existing."""
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        (directory / _CONFIGURED).touch()

    @classmethod
    def load(cls, directory: Path) -> "StackSecrets | None":
        """The stack's secrets, or ``None`` if it has none yet.

        Raises:
            ConfigError: the file is damaged.
        """
        path = directory / _FILE
        try:
            document: Any = json.loads(path.read_text(encoding="utf-8"))
            return cls(str(document["generation"]), {str(k): str(v) for k, v in document["values"].items()})
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError, AttributeError):
            raise ConfigError(
                f"{path} is damaged; delete it to make new secrets (the demo's data is then made anew)."
            ) from None

    @classmethod
    def load_or_foresee(cls, directory: Path, names: Iterable[str]) -> "StackSecrets":
        """What ``load_or_create`` would return but for the values of missing ones, written nowhere: for previews."""
        present = cls.load(directory)
        missing = set(names) - set(present.values if present else ())
        fresh = cls.ephemeral(missing)
        return cls(present.generation, {**fresh.values, **present.values}) if present else fresh

    @classmethod
    def load_or_create(cls, directory: Path, names: Iterable[str]) -> "StackSecrets":
        """The stack's secrets; missing ones are generated and written before anything uses them."""
        present = cls.load(directory)
        missing = sorted(set(names) - set(present.values if present else ()))
        if present and not missing:
            return present
        fresh = cls.ephemeral(missing)
        merged = cls(present.generation, {**present.values, **fresh.values}) if present else fresh
        _write(merged, directory)
        return merged

    def with_override(self, name: str, value: str | None) -> "StackSecrets":
        """The same secrets with one of them taken from the configuration, if it is set there."""
        return self if value is None else StackSecrets(self.generation, {**self.values, name: value})


def _write(secrets_of_stack: StackSecrets, directory: Path) -> None:
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = directory / f"{_FILE}.{os.getpid()}"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump({"generation": secrets_of_stack.generation, "values": dict(secrets_of_stack.values)}, file, indent=1)
    temporary.replace(directory / _FILE)
