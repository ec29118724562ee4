"""A session whose topology, engine and Pulumi are what a test wants."""

from pathlib import Path
from typing import Any

from fake_display import FakeDisplay
from small_topology import TOPOLOGY

from cli.platforms.docker import DockerPlatform
from cli.session import Session
from infra.paths import DemoHome


def fake_session(home: Path, stack: str = "test", **parts: Any) -> Session:
    """``parts`` are values of the session's cached properties: ``topology``, ``engine``, ``pulumi``, ``platform``."""
    session = Session(stack, DemoHome(home), FakeDisplay())
    session.__dict__.update({"topology": TOPOLOGY, "platform": DockerPlatform(session), **parts})
    return session
