"""Where the state may lie: what several people share is not kept in one person's files."""

import json
from pathlib import Path
from typing import Any

import pytest
from stubs import always

from infra import program
from infra.backend import backend_url, require_shared_state
from infra.config import DemoConfig, TargetKind, load_stack_config
from infra.errors import ConfigError
from infra.paths import HOME_VARIABLE, REPOSITORY, DemoHome
from infra.stack_secrets import StackSecrets
from infra.topology.model import Topology

CLOUD = load_stack_config(REPOSITORY, "cloud")
LOCAL = {"PULUMI_BACKEND_URL": "file:///home/me/state"}


def test_a_stack_on_a_cluster_refuses_a_local_backend() -> None:
    with pytest.raises(ConfigError) as raised:
        require_shared_state("cloud", CLOUD, LOCAL)
    assert "The stack cloud would keep its state in files on this machine" in str(raised.value)
    assert "compass-demo:allowLocalState" in str(raised.value)


@pytest.mark.parametrize("url", ["s3://bucket", "gs://bucket", "azblob://box", "https://api.pulumi.com"])
def test_any_other_backend_is_shared(url: str) -> None:
    require_shared_state("cloud", CLOUD, {"PULUMI_BACKEND_URL": url})


def test_local_state_may_be_allowed_and_is_usual_on_docker() -> None:
    require_shared_state("cloud", CLOUD.model_copy(update={"allow_local_state": True}), LOCAL)
    require_shared_state("local", DemoConfig(target=TargetKind.DOCKER), LOCAL)
    require_shared_state("lab", load_stack_config(REPOSITORY, "lab"), LOCAL)


def test_without_a_variable_the_login_counts(tmp_path: Path) -> None:
    environment = {"PULUMI_HOME": str(tmp_path)}
    assert backend_url(environment) == ""
    (tmp_path / "credentials.json").write_text(json.dumps({"current": "file://~"}))
    with pytest.raises(ConfigError, match="allowLocalState"):
        require_shared_state("cloud", CLOUD, environment)
    (tmp_path / "credentials.json").write_text("[]")
    assert backend_url(environment) == ""


def test_the_cloud_stack_refuses_to_go_on_without_its_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_target(*_: Any) -> None:
        pytest.fail("the cluster was asked although the secrets are missing")

    monkeypatch.setattr(program, "make_target", no_target)
    monkeypatch.setenv("PULUMI_BACKEND_URL", "s3://bucket")
    token = {"gateway_token": "0123456789abcdef"}
    with pytest.raises(ConfigError) as raised:
        program.build("cloud", DemoConfig.model_validate({**CLOUD.model_dump(), **token}), dry_run=True)
    message = str(raised.value)
    assert "compass-demo:postgresPassword" in message
    assert "compass-demo:gatewayToken" not in message
    assert "pulumi config set --stack cloud --secret" in message
    assert "\n" not in message


@pytest.mark.parametrize("dry_run", [False, True])
def test_a_stack_with_configured_secrets_is_known_from_its_first_update_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, dry_run: bool
) -> None:
    class Target:
        def check(self, *_: object, **__: object) -> None:
            """Nothing is wrong."""

        def deploy(self, topology: Topology, secrets: StackSecrets) -> None:
            assert set(topology.secrets) == set(secrets.values)
            raise KeyboardInterrupt

    monkeypatch.setattr(program, "make_target", always(Target()))
    monkeypatch.setenv("PULUMI_BACKEND_URL", "s3://bucket")
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path))
    given = {field: "0123456789abcdef" for field in DemoConfig.model_fields if field.endswith(("_token", "_password"))}
    given["payment_app_password_2"] = "0123456789abcdef"
    with pytest.raises(KeyboardInterrupt):
        program.build("cloud", DemoConfig.model_validate({**CLOUD.model_dump(), **given}), dry_run=dry_run)
    assert StackSecrets.exist(DemoHome(tmp_path).stack("cloud")) is not dry_run


def test_the_cloud_stack_refuses_local_state_before_anything_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PULUMI_BACKEND_URL", "file:///tmp/x")
    with pytest.raises(ConfigError, match="would keep its state in files"):
        program.build("cloud", CLOUD, dry_run=True)
