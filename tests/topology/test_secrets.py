"""The secrets' file: made once, private, whole."""

import json
import os
import stat
from pathlib import Path

import pytest

from infra.config import DemoConfig
from infra.errors import ConfigError
from infra.stack_secrets import StackSecrets


def test_secrets_are_made_once_and_kept(tmp_path: Path) -> None:
    first = StackSecrets.load_or_create(tmp_path / "s", ["a", "b"])
    assert StackSecrets.load_or_create(tmp_path / "s", ["b", "a"]) == first
    assert len(set(first.values.values())) == 2
    assert all(len(value) >= 24 for value in first.values.values())


@pytest.mark.skipif(os.name != "posix", reason="modes are a POSIX matter")
def test_the_file_and_its_folder_are_for_the_owner_alone(tmp_path: Path) -> None:
    StackSecrets.load_or_create(tmp_path / "s", ["a"])
    (file,) = (tmp_path / "s").iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


def test_a_new_secret_joins_the_old_ones_in_their_generation(tmp_path: Path) -> None:
    first = StackSecrets.load_or_create(tmp_path, ["a"])
    second = StackSecrets.load_or_create(tmp_path, ["a", "b"])
    assert second.generation == first.generation
    assert second.values["a"] == first.values["a"]
    assert set(second.values) == {"a", "b"}


def test_a_preview_writes_nothing(tmp_path: Path) -> None:
    StackSecrets.ephemeral(["a"])
    assert set(StackSecrets.load_or_foresee(tmp_path, ["a"]).values) == {"a"}
    assert StackSecrets.load(tmp_path) is None
    assert not StackSecrets.exist(tmp_path)


def test_a_preview_of_an_older_stack_keeps_its_secrets_and_foresees_new_ones(tmp_path: Path) -> None:
    first = StackSecrets.load_or_create(tmp_path, ["a"])
    foreseen = StackSecrets.load_or_foresee(tmp_path, ["a", "b"])
    assert (foreseen.generation, foreseen.values["a"]) == (first.generation, first.values["a"])
    assert foreseen.values["b"]
    assert StackSecrets.load(tmp_path) == first


@pytest.mark.parametrize("content", ["", "[]", "{}", json.dumps({"generation": "x", "values": []})])
def test_a_damaged_file_is_a_sentence(tmp_path: Path, content: str) -> None:
    (tmp_path / "secrets.json").write_text(content)
    with pytest.raises(ConfigError, match=r"is damaged; delete it"):
        StackSecrets.load(tmp_path)


def test_values_do_not_appear_in_the_representation(tmp_path: Path) -> None:
    secrets = StackSecrets.load_or_create(tmp_path, ["a"])
    assert secrets.values["a"] not in repr(secrets)


def test_configured_secrets_are_taken_as_they_are_and_keep_their_generation() -> None:
    first = DemoConfig.parse({"gatewayToken": "0123456789abcdef"}, where="x")
    other = DemoConfig.parse({"gatewayToken": "fedcba9876543210"}, where="x")
    made = StackSecrets.configured("cloud", first, ["gateway-token"])
    assert made.values == {"gateway-token": "0123456789abcdef"}
    assert StackSecrets.configured("cloud", other, ["gateway-token"]).generation == made.generation
    with pytest.raises(ConfigError, match="compass-demo:postgresPassword is not set"):
        StackSecrets.configured("cloud", first, ["gateway-token", "postgres-password"])


def test_a_stack_with_configured_secrets_exists_once_it_is_brought_up(tmp_path: Path) -> None:
    directory = tmp_path / "cloud"
    assert not StackSecrets.exist(directory)
    StackSecrets.note_configured(directory)
    StackSecrets.note_configured(directory)
    assert StackSecrets.exist(directory)
    assert StackSecrets.load(directory) is None, "there is nothing to take for secrets"
