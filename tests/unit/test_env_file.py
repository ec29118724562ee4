"""The settings file: who may read it, what is in it, and that ``destroy`` will find it."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from fake_session import fake_session

from cli.env_file import connection_settings, renew_env_files, write_env_file, written_files
from cli.session import Session
from infra.errors import DemoError
from infra.topology.settings import compass_settings

NAMES = [setting.name for setting in compass_settings()]
OUTPUTS: dict[str, Any] = {
    **{name: f"outside-{name}" for name in NAMES},
    "inside": {name: f"inside-{name}" for name in NAMES},
    "network": "compass-test",
    "topology": {"services": {}},
}


class FakePulumi:
    def __init__(self, outputs: dict[str, Any]) -> None:
        self.values = outputs

    def outputs(self) -> dict[str, Any]:
        return self.values


@pytest.fixture
def session(tmp_path: Path) -> Session:
    session = fake_session(tmp_path / "home", pulumi=FakePulumi(OUTPUTS))
    session.home.stack("test").mkdir(parents=True)
    return session


def test_every_setting_is_one_line_after_the_comment(session: Session, tmp_path: Path) -> None:
    settings = write_env_file(session, tmp_path / ".env", inside=False)
    comment, *lines = (tmp_path / ".env").read_text().splitlines()
    assert comment.startswith("# Connection settings of the COMPASS demo, stack test.")
    assert lines == [f"{name}=outside-{name}" for name in NAMES]
    assert settings == {name: f"outside-{name}" for name in NAMES}


def test_the_inside_file_says_how_to_join_the_network(session: Session, tmp_path: Path) -> None:
    write_env_file(session, tmp_path / "agent.env", inside=True)
    lines = (tmp_path / "agent.env").read_text().splitlines()
    assert "docker run --network compass-test --env-file agent.env" in lines[1]
    assert lines[2:] == [f"{name}=inside-{name}" for name in NAMES]
    write_env_file(session, tmp_path / "agent.env", inside=False)
    assert "docker run" not in (tmp_path / "agent.env").read_text()


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX")
@pytest.mark.parametrize("existing", [None, 0o644, 0o666])
def test_the_file_is_its_owners_alone_even_if_it_was_open_to_all(
    session: Session, tmp_path: Path, existing: int | None
) -> None:
    path = tmp_path / ".env"
    if existing is not None:
        path.write_text("# Connection settings of the COMPASS demo, stack other.\n" + "OLD=1\n" * 100)
        path.chmod(existing)
    write_env_file(session, path, inside=False)
    assert path.stat().st_mode & 0o777 == 0o600
    assert "OLD" not in path.read_text()


def test_a_file_of_somebody_else_is_neither_overwritten_nor_deleted(session: Session, tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_text("API_KEY=1\n")
    with pytest.raises(DemoError, match=r"exists and is not the demo's; name another file with --file"):
        write_env_file(session, path, inside=False)
    assert path.read_text() == "API_KEY=1\n"
    path.unlink()
    write_env_file(session, path, inside=False)
    directory = session.home.stack(session.stack)
    assert written_files(directory) == [path]
    path.write_text("API_KEY=1\n")
    assert written_files(directory) == []


def test_every_written_file_is_remembered_once_by_its_full_path(
    session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for path in (Path(".env"), tmp_path / "other.env", tmp_path / ".env"):
        write_env_file(session, path, inside=False)
    assert written_files(session.home.stack("test")) == [tmp_path / ".env", tmp_path / "other.env"]


def test_without_a_record_or_with_a_damaged_one_no_file_was_written(session: Session, tmp_path: Path) -> None:
    directory = session.home.stack("test")
    assert written_files(directory) == []
    (directory / "env-files.json").write_text("[")
    assert written_files(directory) == []
    write_env_file(session, tmp_path / ".env", inside=False)
    assert json.loads((directory / "env-files.json").read_text()) == [str(tmp_path / ".env")]


def test_files_are_renewed_each_in_its_own_way(
    session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert renew_env_files(session) == []
    outside, inside = tmp_path / ".env", tmp_path / "inside.env"
    write_env_file(session, outside, inside=False)
    write_env_file(session, inside, inside=True)
    for where in (OUTPUTS, OUTPUTS["inside"]):
        monkeypatch.setitem(where, "GRAFANA_URL", f"{where['GRAFANA_URL']}-moved")
    assert renew_env_files(session) == [outside, inside]
    assert "GRAFANA_URL=outside-GRAFANA_URL-moved\n" in outside.read_text()
    assert "GRAFANA_URL=inside-GRAFANA_URL-moved\n" in inside.read_text()
    assert "docker run" in inside.read_text()


def test_a_file_that_cannot_be_written_is_not_remembered(session: Session, tmp_path: Path) -> None:
    with pytest.raises(DemoError, match=r"\.env cannot be written: No such file or directory\."):
        write_env_file(session, tmp_path / "missing" / ".env", inside=False)
    assert written_files(session.home.stack("test")) == []


@pytest.mark.parametrize("inside", [True, False])
def test_a_stack_that_was_never_complete_has_no_settings_and_says_so(tmp_path: Path, inside: bool) -> None:
    session = fake_session(tmp_path, pulumi=FakePulumi({}))
    with pytest.raises(DemoError, match=r"The stack test is not complete; run ./demo up test first"):
        connection_settings(session, inside=inside)
