"""The version of this provider: that of the SDK whose types it serves, and a part of its own."""

from typing import Final

__all__ = ["VERSION"]

VERSION: Final = "4.34.2-compass.1"
