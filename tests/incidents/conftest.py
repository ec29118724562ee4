"""The runner with everything around it replaced, but its state file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import structlog

from tests.incidents.support import Runner, make_runner

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """The event loop that the runner is written for."""
    return "asyncio"


@pytest.fixture(autouse=True)
def _quiet() -> Generator[None]:  # pyright: ignore[reportUnusedFunction] - a fixture
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    yield
    structlog.reset_defaults()


@pytest.fixture
def runner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Runner:
    """A healthy stack, and a runner with one incident."""
    return make_runner(tmp_path, monkeypatch)
