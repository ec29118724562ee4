"""Versions that stand in more than one file agree."""

import re
import tomllib
from pathlib import Path

import pytest

from infra import versions
from infra.paths import REPOSITORY
from toolchain.programs import PROGRAMS

PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
PYTHON = dict(one.split("==") for one in PROJECT["project"]["dependencies"])


def required(module: str) -> dict[str, str]:
    text = (REPOSITORY / "toolchain" / "go" / module / "go.mod").read_text()
    return dict(re.findall(r"^\s*(?:require )?(\S+) v(\S+)", text, flags=re.MULTILINE))


def test_the_engine_the_sdk_and_the_module_are_one_version() -> None:
    assert PYTHON["pulumi"] == versions.PULUMI == required("pulumi")["github.com/pulumi/pulumi/pkg/v3"]


def test_the_docker_plugin_is_the_sdks_version() -> None:
    assert PYTHON["pulumi-docker"] == versions.DOCKER_PLUGIN
    source = (REPOSITORY / "toolchain" / "go" / "docker-plugin" / "main.go").read_text()
    assert f'"{versions.DOCKER_PLUGIN}"' in source


@pytest.mark.parametrize("role", versions.UPSTREAM_IMAGES)
def test_an_upstream_image_is_pinned_to_an_exact_version_and_names_no_registry(role: str) -> None:
    repository, tag = versions.UPSTREAM_IMAGES[role]
    assert re.search(r"\d+\.\d+", tag)
    assert "." not in repository.split("/")[0]


def pins(lock: Path) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9._-]+)==(\S+)", lock.read_text(), flags=re.MULTILINE))


@pytest.mark.parametrize("lock", sorted((REPOSITORY / "requirements").glob("*.txt")), ids=lambda path: path.name)
def test_a_lock_file_pins_by_hash_and_agrees_with_the_development_lock(lock: Path) -> None:
    text = lock.read_text()
    assert text.count("--hash=sha256:") >= len(pins(lock)) > 0
    assert "://" not in text
    everything = pins(REPOSITORY / "requirements" / "dev.txt")
    assert {name: version for name, version in pins(lock).items() if everything.get(name) != version} == {}


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_go_program_has_a_pinned_module(name: str) -> None:
    directory = PROGRAMS[name].directory
    assert (directory / "go.mod").is_file()
    assert (directory / "go.sum").is_file()
