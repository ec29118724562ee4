"""Recipes: the version of an image is a digest of what goes into it."""

import io
import shutil
import tarfile
from pathlib import Path

import pytest

from images import recipe as recipe_module
from images.catalog import images, recipes, upstream_image
from images.pip_settings import pip_settings
from images.recipe import Recipe
from infra.config import DemoConfig, Distribution
from infra.paths import REPOSITORY
from infra.topology.model import Image

PACKAGES = DemoConfig(distribution=Distribution.PACKAGES)
UPSTREAM = DemoConfig(distribution=Distribution.UPSTREAM)


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "images").mkdir()
    shutil.copytree(REPOSITORY / "images" / "python-service", tmp_path / "images" / "python-service")
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "main.py").write_text("print(1)\n")
    monkeypatch.setattr(recipe_module, "REPOSITORY", tmp_path)
    return tmp_path


def sample(**changes: str) -> Recipe:
    return Recipe(name="app", dockerfile="python-service", sources={"app": "app"}, arguments=changes)


def test_the_same_content_has_the_same_version_whatever_its_times_are(checkout: Path) -> None:
    before = sample().version
    (checkout / "app" / "main.py").touch()
    (checkout / "app" / "__pycache__").mkdir()
    (checkout / "app" / "__pycache__" / "main.pyc").write_bytes(b"x")
    assert sample().version == before


def test_content_names_arguments_and_base_change_the_version(checkout: Path) -> None:
    seen = {sample().version, sample(A="1").version, sample(A="2").version}
    seen.add(Recipe(name="app", dockerfile="python-service", base=Image(repository="x", version="1")).version)
    (checkout / "app" / "main.py").write_text("print(2)\n")
    seen.add(sample().version)
    (checkout / "app" / "main.py").rename(checkout / "app" / "other.py")
    seen.add(sample().version)
    assert len(seen) == 6


def test_the_context_is_the_same_bytes_for_the_same_content(checkout: Path) -> None:
    first = sample().context(None).getvalue()
    (checkout / "app" / "main.py").touch()
    assert sample().context(None).getvalue() == first
    with tarfile.open(fileobj=io.BytesIO(first)) as archive:
        assert sorted(archive.getnames()) == ["Dockerfile", "app/main.py"]
        assert {(member.uid, member.mtime, member.mode) for member in archive} == {(0, 0, 0o644)}


def test_every_role_of_upstream_is_official_but_for_our_own_services() -> None:
    found = images(UPSTREAM)
    assert {role for role, image in found.items() if image.built} == {
        "sample-app",
        "traffic",
        "gateway",
        "incident-runner",
    }
    assert found["postgres"].reference == "postgres:18.6"


def test_every_role_of_packages_is_built_here() -> None:
    found = images(PACKAGES)
    assert all(image.built for image in found.values())
    assert {"postgres", "prometheus", "loki", "jaeger", "collector", "alertmanager"} <= set(found)
    assert not {"grafana", "tempo", "mcp-grafana"} & set(found)


def test_a_recipes_base_is_pulled_or_another_recipe() -> None:
    for config in (PACKAGES, UPSTREAM):
        known = {recipe.image for recipe in recipes(config)}
        for recipe in recipes(config):
            assert (
                recipe.base is None
                or recipe.base in known
                or not recipe.base.built
                or recipe.base.repository.endswith("/base")
            )


@pytest.mark.parametrize(
    ("mirror", "reference"),
    [("", "postgres:18.6"), ("registry.example.com/hub", "registry.example.com/hub/library/postgres:18.6")],
)
def test_a_mirror_goes_before_the_name(mirror: str, reference: str) -> None:
    assert upstream_image("postgres", mirror).reference == reference
    assert upstream_image("loki", mirror).reference.startswith(f"{mirror}/grafana/loki:" if mirror else "grafana/loki:")


@pytest.mark.processes
def test_builds_use_the_package_index_of_the_environment_before_the_configured_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    configuration = tmp_path / "pip.conf"
    configuration.write_text("[global]\nindex-url = https://configured.example/simple\n", encoding="utf-8")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(configuration))
    for variable in ("PIP_INDEX_URL", "PIP_TRUSTED_HOST"):
        monkeypatch.delenv(variable, raising=False)
    assert pip_settings() == {"PIP_INDEX_URL": "https://configured.example/simple"}
    monkeypatch.setenv("PIP_INDEX_URL", "https://environment.example/simple")
    monkeypatch.setenv("PIP_TRUSTED_HOST", "environment.example")
    assert pip_settings() == {
        "PIP_INDEX_URL": "https://environment.example/simple",
        "PIP_TRUSTED_HOST": "environment.example",
    }


def test_a_package_index_with_credentials_stays_out_of_the_finished_image() -> None:
    text = (REPOSITORY / "images" / "python-service" / "Dockerfile").read_text(encoding="utf-8")
    *_, final = text.split("\nFROM ")
    assert "PIP_" not in final
    assert "--from=packages" in final
