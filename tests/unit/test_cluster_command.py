"""./demo cluster on a machine without a cluster."""

import json
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.main import app
from cluster import programs
from infra.errors import ToolError
from infra.paths import HOME_VARIABLE


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path / "home"))
    return tmp_path / "home"


def test_status_says_that_there_is_none_and_makes_nothing(home: Path) -> None:
    result = CliRunner().invoke(app, ["cluster", "status", "--json"])
    found = json.loads(result.stdout)
    assert (result.exit_code, found["ready"], found["exists"], found["api"]) == (1, False, False, "there is no cluster")
    assert not home.exists()


def test_down_without_a_cluster_is_fine_and_makes_nothing(home: Path) -> None:
    assert CliRunner().invoke(app, ["cluster", "down"]).exit_code == 0
    assert not home.exists()


def test_another_user_than_root_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    result = CliRunner().invoke(app, ["cluster", "up"])
    assert isinstance(result.exception, ToolError)
    assert "needs Linux and root" in str(result.exception)


def test_missing_programs_are_named_as_debian_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    def which(program: str) -> Path | None:
        return None if program in {"nft", "runc"} else Path("/x")

    monkeypatch.setattr(programs, "_which", which)
    assert programs.missing_packages() == ["nftables", "runc"]
