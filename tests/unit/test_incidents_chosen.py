"""Which incidents CI proves: those that a change touches, a half of the rest that moves on, and the control."""

import subprocess
from pathlib import Path

import pytest

from incidents.catalog import catalog
from tests.integration.incidents.chosen import VARIABLE, Choice, choose

pytestmark = pytest.mark.processes

HEAD = 1_800_000_000
DAY = 86_400


class Repository:
    """A history with a commit for each time that something was touched."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.git("init", "--quiet")

    def git(self, *arguments: str, seconds: int = HEAD) -> None:
        who = ("-c", "user.name=anna", "-c", "user.email=anna@example.com", "-c", "commit.gpgsign=false")
        date = {"GIT_COMMITTER_DATE": f"{seconds} +0000", "PATH": "/usr/local/bin:/usr/bin:/bin"}
        subprocess.run(["git", *who, *arguments], cwd=self.folder, env=date, check=True, capture_output=True)

    def commit(self, path: str, seconds: int) -> None:
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(str(seconds))
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", path, seconds=seconds)

    def choice(self) -> Choice:
        return choose({VARIABLE: "changed"}, self.folder)


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    made = Repository(tmp_path)
    made.commit("incidents/hot_row/recover.sql", HEAD - 2 * DAY)
    return made


def names(choice: Choice) -> list[str]:
    return [one.name for one in choice.incidents]


def test_without_the_variable_it_is_all_of_them() -> None:
    assert names(choose({})) == list(catalog())


def test_names_are_taken_as_they_are() -> None:
    assert names(choose({VARIABLE: "hot-row,index-lost"})) == ["hot-row", "index-lost"]


def test_what_was_changed_within_a_day_comes_with_half_of_the_rest_and_the_control(repository: Repository) -> None:
    repository.commit("incidents/sort_spill/recover.sql", HEAD - DAY + 60)
    repository.commit("incidents/lock_queue/fixes/other/fix.sql", HEAD - 60)
    repository.commit("incidents/runner/engine.py", HEAD - 30)
    repository.commit("README.md", HEAD)
    choice = repository.choice()
    rest = len(catalog()) - 3
    assert {"sort-spill", "lock-queue", "healthy-control"} < set(names(choice))
    assert len(choice.incidents) == 3 + (rest + 1) // 2
    assert names(choice) == [name for name in catalog() if name in names(choice)]
    assert choice.why.startswith("changed within a day: lock-queue, sort-spill; half of the rest, from ")


def test_two_days_see_each_of_them(repository: Repository) -> None:
    assert repository.choice() == repository.choice()
    seen: set[str] = set()
    for days in (1, 2):
        repository.commit("README.md", HEAD + days * DAY)
        seen |= set(names(repository.choice()))
    assert seen == set(catalog())


def test_a_clone_of_one_commit_has_no_changes_and_a_half(repository: Repository, tmp_path: Path) -> None:
    repository.commit("incidents/sort_spill/recover.sql", HEAD)
    repository.git("clone", "--quiet", "--depth=1", f"file://{repository.folder}", str(tmp_path / "clone"))
    choice = choose({VARIABLE: "changed"}, tmp_path / "clone")
    assert choice.why.startswith("changed within a day: none; half of the rest, from ")
    assert len(choice.incidents) == 1 + len(catalog()) // 2


def test_all_may_have_changed(repository: Repository) -> None:
    for one in catalog().values():
        (repository.folder / "incidents" / one.folder.name).mkdir(exist_ok=True)
        (repository.folder / "incidents" / one.folder.name / "recover.sql").write_text("SELECT true;")
    repository.commit("README.md", HEAD)
    assert names(repository.choice()) == list(catalog())


def test_without_a_history_it_is_half_and_says_so(tmp_path: Path) -> None:
    choice = choose({VARIABLE: "changed"}, tmp_path / "nowhere")
    assert "(no history: " in choice.why
    assert len(choice.incidents) == 1 + len(catalog()) // 2
