"""A stack goes on with the plugin that made it, as its state says, and is destroyed with it."""

import json
from pathlib import Path

import pytest
from fake_display import FakeDisplay

from cli.platforms.kubernetes_plugins import go_on_with, provide
from cli.pulumi_stack import PulumiStack
from infra.errors import DemoError
from toolchain.kubernetes_plugin import BUILTIN_VERSION, OFFICIAL_VERSION, install_builtin, is_installed


def place(home: Path, version: str) -> None:
    target = home / "plugins" / f"resource-kubernetes-v{version}" / "pulumi-resource-kubernetes"
    target.parent.mkdir(parents=True)
    target.write_text("")


def state(folder: Path, version: str) -> None:
    """A local backend with one stack that a plugin of this version made."""
    file = folder / ".pulumi" / "stacks" / "compass-demo" / "test.json"
    file.parent.mkdir(parents=True)
    provider = {"type": "pulumi:providers:kubernetes", "inputs": {"version": version}}
    resources = [{"type": "pulumi:pulumi:Stack"}, provider]
    file.write_text(json.dumps({"version": 3, "checkpoint": {"stack": "test", "latest": {"resources": resources}}}))


def test_the_state_says_which_plugin_made_the_stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PULUMI_BACKEND_URL", f"{tmp_path.as_uri()}?metadata=skip")
    stack = PulumiStack("test", FakeDisplay())
    assert stack.plugin_versions("kubernetes") == set(), "there is no stack yet"
    state(tmp_path, OFFICIAL_VERSION)
    assert stack.plugin_versions("kubernetes") == {OFFICIAL_VERSION}
    assert stack.plugin_versions("docker") == set()


def test_the_same_plugin_goes_on_and_so_does_a_newer_one_of_ours(tmp_path: Path) -> None:
    install_builtin(tmp_path)
    for recorded in (set[str](), {BUILTIN_VERSION}, {"4.0.0-compass.1"}):
        go_on_with("test", recorded, tmp_path)
    assert is_installed(tmp_path, "4.0.0-compass.1"), "the engine deletes with the one that the state names"


def test_a_switch_is_refused_in_one_sentence(tmp_path: Path) -> None:
    install_builtin(tmp_path)
    with pytest.raises(DemoError) as refused:
        go_on_with("test", {OFFICIAL_VERSION}, tmp_path)
    assert str(refused.value).startswith(
        "The stack test was made with Pulumi's own plugin and this machine would go on with the demo's own plugin"
    )
    place(tmp_path, OFFICIAL_VERSION)
    go_on_with("test", {OFFICIAL_VERSION}, tmp_path)
    with pytest.raises(DemoError, match="was made with the demo's own plugin and this machine would go on with Pul"):
        go_on_with("test", {BUILTIN_VERSION}, tmp_path)


def test_a_stack_is_destroyed_by_the_plugin_that_made_it(tmp_path: Path) -> None:
    place(tmp_path, OFFICIAL_VERSION)
    provide("test", {BUILTIN_VERSION}, tmp_path)
    assert is_installed(tmp_path, BUILTIN_VERSION)
    with pytest.raises(DemoError, match=r"own plugin 4.0.0, which is not on this machine; use the machine that made"):
        provide("test", {"4.0.0"}, tmp_path)
