"""Which Kubernetes plugin is chosen, and the launcher of ours."""

import subprocess
import tomllib
from pathlib import Path

import pytest

from infra.paths import REPOSITORY, DemoHome
from toolchain import kubernetes_plugin
from toolchain.kubernetes_plugin import BUILTIN_VERSION, OFFICIAL_VERSION, chosen_version, ensure, install_builtin
from toolchain.progress import Silent
from toolchain.pulumi_tools import PulumiTools


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PulumiTools:
    monkeypatch.setenv("PULUMI_HOME", str(tmp_path / "pulumi home"))
    return PulumiTools(tmp_path / "bin", "packages", DemoHome(tmp_path))


def place_official(home: Path) -> None:
    target = home / "plugins" / f"resource-kubernetes-v{OFFICIAL_VERSION}" / "pulumi-resource-kubernetes"
    target.parent.mkdir(parents=True)
    target.write_text("")


def fake_pulumi(tools: PulumiTools, script: str) -> PulumiTools:
    tools.directory.mkdir()
    tools.executable.write_text(f"#!/bin/sh\n{script}\n")
    tools.executable.chmod(0o755)
    return PulumiTools(tools.directory, "path", tools.home)


def test_the_versions_follow_the_sdk() -> None:
    pinned = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["dependencies"]
    assert f"pulumi-kubernetes=={OFFICIAL_VERSION}" in pinned
    assert BUILTIN_VERSION.startswith(f"{OFFICIAL_VERSION}-")


def test_the_real_plugin_is_preferred(tools: PulumiTools) -> None:
    install_builtin(tools.pulumi_home)
    assert chosen_version(tools.pulumi_home) == BUILTIN_VERSION
    place_official(tools.pulumi_home)
    assert chosen_version(tools.pulumi_home) == OFFICIAL_VERSION


def test_an_engine_from_packages_gets_ours_without_a_download(tools: PulumiTools) -> None:
    ensure(tools, Silent())
    assert chosen_version(tools.pulumi_home) == BUILTIN_VERSION


def test_the_real_plugin_is_downloaded_where_it_can_be(tools: PulumiTools) -> None:
    folder = f'"$PULUMI_HOME/plugins/resource-kubernetes-v{OFFICIAL_VERSION}"'
    ensure(fake_pulumi(tools, f"mkdir -p {folder} && touch {folder}/pulumi-resource-kubernetes"), Silent())
    assert chosen_version(tools.pulumi_home) == OFFICIAL_VERSION


def test_ours_takes_over_where_the_download_fails_and_stays(tools: PulumiTools) -> None:
    failing = fake_pulumi(tools, f"echo asked >> {tools.home.root}/asked; exit 1")
    ensure(failing, Silent())
    ensure(failing, Silent())
    assert chosen_version(tools.pulumi_home) == BUILTIN_VERSION
    assert (tools.home.root / "asked").read_text() == "asked\n"


def test_the_launcher_follows_interpreter_and_checkout(tools: PulumiTools, monkeypatch: pytest.MonkeyPatch) -> None:
    launcher = install_builtin(tools.pulumi_home)
    before = launcher.stat().st_mtime_ns
    install_builtin(tools.pulumi_home)
    assert launcher.stat().st_mtime_ns == before
    monkeypatch.setattr(kubernetes_plugin, "REPOSITORY", Path("/elsewhere/it's here"))
    install_builtin(tools.pulumi_home)
    assert "/elsewhere/it" in launcher.read_text()


def test_the_launcher_serves_and_leaves_on_the_engines_signal(tools: PulumiTools, tmp_path: Path) -> None:
    command = [str(install_builtin(tools.pulumi_home)), "127.0.0.1:1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path, text=True) as process:
        assert process.stdout
        assert int(process.stdout.readline()) > 0
        process.terminate()
        assert process.wait(timeout=20) == 0
