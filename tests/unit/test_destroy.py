"""Deleting what a stack left: all of it, and nothing of another one."""

# pyright: reportPrivateUsage=false

import json
import shutil
from pathlib import Path

import pytest
from fake_display import FakeDisplay
from stubs import always

from cli import destroy
from cli.destroy import _remove_records, _remove_state, _remove_tree, remove_tools_and_images
from infra.errors import DemoError
from infra.paths import DemoHome
from infra.topology.model import Image
from toolchain.engine import Engine

PROJECT = "compass-demo"


def state_of(stack: str, project: str = PROJECT) -> set[str]:
    """What a local backend keeps of a stack, as Pulumi lays it out."""
    return {
        f"stacks/{project}/{stack}.json",
        f"stacks/{project}/{stack}.json.bak",
        f"stacks/{project}/{stack}.json.attrs",
        f"stacks/{project}/{stack}.json.gz",
        f"history/{project}/{stack}/{stack}-17000.history.json",
        f"history/{project}/{stack}/{stack}-17000.checkpoint.json",
        f"backups/{project}/{stack}/{stack}.17000.json",
        f"locks/organization/{project}/{stack}/1234.json",
    }


def write(home: DemoHome, *files: str) -> None:
    for name in files:
        path = home.state / ".pulumi" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}")


def files(home: DemoHome) -> set[str]:
    root = home.state / ".pulumi"
    return {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}


@pytest.fixture
def home(tmp_path: Path) -> DemoHome:
    return DemoHome(tmp_path / "home")


@pytest.mark.parametrize(
    ("stack", "other"),
    [("airgap", "airgap2"), ("airgap2", "airgap"), ("airgap", "airgap-json"), ("air", "airgap"), ("airgap", "local")],
)
def test_all_of_a_stack_goes_and_another_one_keeps_everything(home: DemoHome, stack: str, other: str) -> None:
    write(home, *state_of(stack), *state_of(other), "meta.yaml")
    _remove_state(home, stack)
    assert files(home) == state_of(other) | {"meta.yaml"}
    assert not list((home.state / ".pulumi").rglob(stack)), "an empty folder is left"


def test_the_engine_s_own_records_of_a_stack_go_and_those_of_others_stay(home: DemoHome) -> None:
    logs, workspaces = home.pulumi_home / "logs", home.pulumi_home / "workspaces"
    gone = f"organization+{PROJECT}+airgap-20261130T102633.log"
    kept = {f"organization+{PROJECT}+airgap-2-20261130T102633.log", "organization+other+airgap-20261130T102633.log"}
    for name in (gone, *kept):
        logs.mkdir(parents=True, exist_ok=True)
        (logs / name).write_text("")
    chosen = {
        "ours": {f"{home.state.as_uri()}?metadata=skip": f"organization/{PROJECT}/airgap"},
        "another": {home.state.as_uri(): f"organization/{PROJECT}/airgap-2"},
        "elsewhere": {"file:///elsewhere": f"organization/{PROJECT}/airgap"},
    }
    workspaces.mkdir(parents=True)
    for name, stacks in chosen.items():
        (workspaces / f"{PROJECT}-{name}-workspace.json").write_text(json.dumps({"stacks": stacks}))
    (workspaces / f"{PROJECT}-broken-workspace.json").write_text("{")
    _remove_records(home, "airgap")
    assert {path.name for path in logs.iterdir()} == kept
    left = {path.name.removeprefix(f"{PROJECT}-").removesuffix("-workspace.json") for path in workspaces.iterdir()}
    assert left == {"another", "elsewhere", "broken"}


@pytest.mark.parametrize("stack", ["stacks", "history", "locks", "organization", PROJECT])
def test_a_stack_that_is_named_like_a_folder_of_the_backend_takes_no_other_with_it(home: DemoHome, stack: str) -> None:
    write(home, *state_of(stack), *state_of("airgap"))
    _remove_state(home, stack)
    assert files(home) == state_of("airgap")


def test_a_stack_of_that_name_in_another_project_is_kept(home: DemoHome) -> None:
    write(home, *state_of("airgap"), *state_of("airgap", "website"))
    _remove_state(home, "airgap")
    assert files(home) == state_of("airgap", "website")


def test_a_stack_without_state_leaves_nothing_to_remove(home: DemoHome) -> None:
    _remove_state(home, "airgap")
    write(home, *state_of("airgap"))
    _remove_state(home, "local")
    assert files(home) == state_of("airgap")


def test_read_only_folders_are_made_writable_before_they_are_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "home"
    folder = root / "cache" / "go-mod" / "m@v1" / "deep"
    folder.mkdir(parents=True)
    (folder / "x.go").write_text("package x\n")
    (folder / "x.go").chmod(0o444)
    for one in (folder, folder.parent):
        one.chmod(0o555)
    modes: list[int] = []

    def remove(path: Path) -> None:
        # As root anything can be removed; the modes are what another user depends on.
        modes.extend(one.stat().st_mode & 0o700 for one in path.rglob("*") if one.is_dir())
        rmtree(path)

    rmtree = shutil.rmtree
    monkeypatch.setattr(destroy.shutil, "rmtree", remove)
    _remove_tree(root)
    assert modes == [0o700] * 4
    assert not root.exists()


def test_a_link_is_removed_and_what_it_leads_to_is_kept_as_it_was(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("x")
    outside.chmod(0o555)
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "link").symlink_to(outside)
    _remove_tree(tmp_path / "home")
    assert not (tmp_path / "home").exists()
    assert outside.stat().st_mode & 0o777 == 0o555
    assert (outside / "precious").read_text() == "x"
    outside.chmod(0o755)


def test_a_tree_that_is_not_there_is_removed_already(tmp_path: Path) -> None:
    _remove_tree(tmp_path / "never")
    assert list(tmp_path.iterdir()) == []


class ImageEngine(Engine):
    def __init__(self) -> None:  # pyright: ignore[reportMissingSuperCall] # no client
        self.asked: list[str] = []
        self.images_removed: list[str] = []

    def images_labelled(self, label: str) -> list[str]:
        self.asked.append(label)
        return ["id-1", "id-2"]

    def remove_image(self, image: str, *, all_names: bool = False) -> None:
        assert all_names == image.startswith("id-"), "an official image may have a name that is not ours to remove"
        self.images_removed.append(image)


def test_the_tools_of_a_stack_that_exists_are_kept(home: DemoHome) -> None:
    home.stack("airgap").mkdir(parents=True)
    (home.stack("airgap") / "secrets.json").write_text("{}")
    engine = ImageEngine()
    with pytest.raises(DemoError, match=r"Stacks still exist \(airgap\); destroy them first"):
        remove_tools_and_images(home, engine, (), FakeDisplay())
    assert engine.images_removed == []
    assert home.root.exists()


def test_all_of_the_demo_goes_images_and_home(home: DemoHome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(destroy, "REPOSITORY", tmp_path / "checkout")
    monkeypatch.setattr(destroy, "existing_stacks", always(list[str]()))
    (tmp_path / "checkout" / ".ruff_cache").mkdir(parents=True)
    (tmp_path / "checkout" / "README.md").write_text("x")
    write(home, *state_of("airgap"))
    engine = ImageEngine()
    remove_tools_and_images(home, engine, (Image(repository="postgres", version="18"),), FakeDisplay())
    assert engine.images_removed == ["id-1", "id-2", "postgres:18"]
    assert not home.root.exists()
    assert [path.name for path in (tmp_path / "checkout").iterdir()] == ["README.md"]


def test_the_official_images_of_every_stack_are_known_and_none_of_ours() -> None:
    found = {image.reference for image in destroy.upstream_images()}
    assert any(name.startswith("postgres:") for name in found)
    assert any(name.startswith("grafana/grafana:") for name in found)
    assert not any(name.startswith("compass-demo/") for name in found)
