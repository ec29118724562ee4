"""Which cluster a stack means: the one that it names, in the file that has it, and no other."""

from pathlib import Path

import pytest
import yaml
from fake_cluster import CONFIG

from infra.errors import ClusterError, ConfigError
from infra.paths import LAB_CONTEXT, DemoHome
from infra.targets.kubernetes.kube import KubeAccess, namespace_name, resolve, resolve_context


def kubeconfig(path: Path, *contexts: str, current: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    listed = [{"name": name, "context": dict[str, str]()} for name in contexts]
    document = {"contexts": listed, "current-context": current}
    path.write_text(yaml.safe_dump(document))
    return path


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DemoHome:
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig(tmp_path / "usual", "shop", "production", current="production")))
    return DemoHome(tmp_path / "home")


def test_the_usual_files_are_taken_where_they_have_the_context(home: DemoHome) -> None:
    assert resolve(CONFIG, home) == KubeAccess(None, "shop")


def test_several_usual_files_count_as_one(home: DemoHome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = [kubeconfig(tmp_path / "a", "one"), tmp_path / "missing", kubeconfig(tmp_path / "b", "shop")]
    monkeypatch.setenv("KUBECONFIG", ":".join(map(str, files)))
    assert resolve(CONFIG, home) == KubeAccess(None, "shop")


def test_the_current_context_is_never_taken_in_place_of_a_missing_key(home: DemoHome) -> None:
    with pytest.raises(ConfigError, match="compass-demo:kubeContext is not set"):
        resolve(CONFIG.model_copy(update={"kube_context": ""}), home)


def test_a_context_that_is_not_there_is_refused_with_the_known_ones(home: DemoHome) -> None:
    with pytest.raises(ClusterError, match=r"no context staging in .*usual; known contexts: production, shop\."):
        resolve(CONFIG.model_copy(update={"kube_context": "staging"}), home)


def test_the_lab_clusters_own_file_comes_before_the_usual_ones(home: DemoHome) -> None:
    kubeconfig(home.lab_kubeconfig, LAB_CONTEXT)
    assert resolve_context(LAB_CONTEXT, None, home) == KubeAccess(home.lab_kubeconfig, LAB_CONTEXT)
    assert resolve(CONFIG, home) == KubeAccess(None, "shop")


def test_a_lab_cluster_that_does_not_run_says_how_to_get_it(home: DemoHome) -> None:
    with pytest.raises(ClusterError, match=r"The lab cluster does not run; ./demo cluster up starts it"):
        resolve_context(LAB_CONTEXT, None, home)


def test_a_chosen_file_is_the_only_one_that_is_looked_into(home: DemoHome, tmp_path: Path) -> None:
    chosen = kubeconfig(tmp_path / "chosen", "other")
    config = CONFIG.model_copy(update={"kubeconfig": str(chosen)})
    with pytest.raises(ClusterError, match=r"no context shop in .*chosen; known contexts: other\."):
        resolve(config, home)
    kubeconfig(chosen, "shop")
    assert resolve(config, home) == KubeAccess(chosen, "shop")


def test_a_chosen_file_that_is_not_there_is_a_sentence(home: DemoHome) -> None:
    with pytest.raises(ConfigError, match="There is no kubeconfig /nowhere/config"):
        resolve(CONFIG.model_copy(update={"kubeconfig": "/nowhere/config"}), home)


@pytest.mark.parametrize("content", ["[", "text", "contexts: 5", "contexts: [{}]", "contexts: [x]"])
def test_a_file_that_is_no_kubeconfig_is_a_sentence(home: DemoHome, tmp_path: Path, content: str) -> None:
    (tmp_path / "bad").write_text(content)
    with pytest.raises(ConfigError, match="bad cannot be read as a kubeconfig"):
        resolve_context("shop", tmp_path / "bad", home)


def test_no_file_at_all_is_a_sentence(home: DemoHome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    with pytest.raises(ClusterError, match=r"no context shop in .*none; it has no contexts.*./demo cluster up"):
        resolve(CONFIG, home)


def test_a_stack_has_a_namespace_of_its_own(home: DemoHome) -> None:
    assert home
    assert namespace_name("test", CONFIG) == "compass-test"
    assert namespace_name("test", CONFIG.model_copy(update={"namespace": "demo"})) == "demo"
