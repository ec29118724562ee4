"""The database password: a file, read again for each new connection."""

from pathlib import Path

from payment_service.settings import read_password


class Credential:
    """Knows which file is in force.

    Args:
        path: The file of version 1.
        version: Version N > 1 is the file ``PATH-N`` if it exists, else the same file, which may have been replaced.
    """

    def __init__(self, path: Path, version: int) -> None:
        self._path = path
        self.version = version

    def read(self) -> str:
        """The password now.

        Raises:
            SettingsError: The file cannot be read.
        """
        return read_password(self._file(self.version))

    def check(self, version: int) -> None:
        """Make sure that a version can be read before it comes into force.

        Args:
            version: The version.

        Raises:
            SettingsError: Its file cannot be read.
        """
        read_password(self._file(version))

    def _file(self, version: int) -> Path:
        own = self._path.with_name(f"{self._path.name}-{version}")
        return own if version > 1 and own.exists() else self._path
