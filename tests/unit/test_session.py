"""Which stack a command means, and that two commands do not work on one at the same time."""

import os
from pathlib import Path

import pytest
from fake_display import FakeDisplay
from stubs import always

from cli.session import Session, existing_stacks, the_stack
from infra.errors import DemoError
from infra.paths import DemoHome
from toolchain.pulumi_tools import PulumiTools


@pytest.fixture
def home(tmp_path: Path) -> DemoHome:
    return DemoHome(tmp_path / "home")


def bring_up(home: DemoHome, *stacks: str) -> None:
    for stack in stacks:
        home.stack(stack).mkdir(parents=True)
        (home.stack(stack) / "secrets.json").write_text("{}")


def session(home: DemoHome, stack: str = "airgap") -> Session:
    return Session(stack, home, FakeDisplay())


def test_a_stack_exists_from_its_first_up_to_its_destroy(home: DemoHome) -> None:
    assert existing_stacks(home) == []
    bring_up(home, "local", "airgap")
    assert existing_stacks(home) == ["airgap", "local"]
    (home.stack("local") / "secrets.json").unlink()
    assert existing_stacks(home) == ["airgap"]


def test_the_only_stack_is_meant(home: DemoHome) -> None:
    bring_up(home, "airgap")
    assert the_stack(home, None) == "airgap"


def test_a_named_stack_is_meant_whatever_exists(home: DemoHome) -> None:
    bring_up(home, "airgap")
    assert the_stack(home, "local") == "local"


def test_without_a_stack_the_sentence_says_how_to_make_one(home: DemoHome) -> None:
    with pytest.raises(DemoError, match=r"No stack exists yet; ./demo up makes one"):
        the_stack(home, None)


def test_of_several_stacks_one_must_be_named(home: DemoHome) -> None:
    bring_up(home, "local", "airgap")
    with pytest.raises(DemoError, match=r"Several stacks exist \(airgap, local\)"):
        the_stack(home, None)


@pytest.mark.parametrize("name", ["lokal", "", "../airgap"])
def test_an_unknown_name_is_refused_with_the_known_ones(home: DemoHome, name: str) -> None:
    with pytest.raises(DemoError, match="known stacks: airgap, cloud, lab, local"):
        the_stack(home, name)


def test_a_second_command_on_the_same_stack_is_refused(home: DemoHome) -> None:
    with (
        session(home).exclusively(),
        pytest.raises(DemoError, match=r"Another ./demo is working on the stack airgap"),
        session(home).exclusively(),
    ):
        pytest.fail("both work on the stack")


def test_another_stack_may_be_worked_on_meanwhile(home: DemoHome) -> None:
    with session(home, "airgap").exclusively(), session(home, "local").exclusively():
        assert existing_stacks(home) == []


def test_the_stack_is_free_again_after_a_command_that_failed(home: DemoHome) -> None:
    with pytest.raises(DemoError, match="broken"), session(home).exclusively():
        raise DemoError("broken")
    with session(home).exclusively():
        pass


def test_the_home_that_a_command_makes_is_its_owners_alone(home: DemoHome) -> None:
    with session(home).exclusively():
        assert home.root.stat().st_mode & 0o777 == 0o700


def test_pulumi_that_is_not_here_is_a_sentence(home: DemoHome, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PulumiTools, "present", always(None))
    with pytest.raises(DemoError, match=r"Pulumi is not here yet; ./demo up fetches or builds it"):
        _ = session(home).pulumi


def test_the_passphrase_of_other_projects_gives_way_to_the_demos_file(
    home: DemoHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "environ", {"PULUMI_CONFIG_PASSPHRASE": "theirs", "PATH": "/bin"})
    session(home).with_tools(PulumiTools(home.tools, "packages", home))
    assert "PULUMI_CONFIG_PASSPHRASE" not in os.environ
    assert os.environ["PULUMI_CONFIG_PASSPHRASE_FILE"] == str(home.root / "passphrase")
    assert str(home.tools) in os.environ["PATH"].split(os.pathsep)


def test_a_passphrase_stays_where_the_user_has_chosen_a_backend(
    home: DemoHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        os, "environ", {"PULUMI_CONFIG_PASSPHRASE": "theirs", "PULUMI_BACKEND_URL": "file:///x", "HOME": "/home/me"}
    )
    session(home).with_tools(PulumiTools(home.tools, "packages", home))
    assert os.environ["PULUMI_CONFIG_PASSPHRASE"] == "theirs"
    assert os.environ["PULUMI_BACKEND_URL"] == "file:///x"
