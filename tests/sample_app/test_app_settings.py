"""Settings: what the environment may say, and how it is told what it may not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from payment_service.credential import Credential
from payment_service.database import scram
from payment_service.database.seed import fingerprint, parse_steps, read_sql
from payment_service.live_settings import LiveSettings
from payment_service.settings import ServiceSettings, SettingsError, TaskSettings, load, read_password


@pytest.fixture(autouse=True)
def _empty_environment(monkeypatch: pytest.MonkeyPatch) -> None:  # pyright: ignore[reportUnusedFunction] - a fixture
    for name in list(os.environ):
        if name.startswith("PAYMENT_"):
            monkeypatch.delenv(name)


def test_an_empty_environment_gives_the_defaults_of_the_stack() -> None:
    settings = load(ServiceSettings)
    assert (settings.port, settings.admin_port, settings.db_host, settings.db_name) == (
        8000,
        8001,
        "postgres",
        "payments",
    )
    assert settings.app_password_file == Path("/run/secrets/payment-app-password")
    assert settings.pool_acquire_timeout == 20
    assert settings.otlp_endpoint is None


def test_every_setting_is_described() -> None:
    for kind in (ServiceSettings, TaskSettings):
        assert not [name for name, field in kind.model_fields.items() if not field.description]


def test_every_fault_is_one_sentence_and_all_are_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAYMENT_PORT", "70000")
    monkeypatch.setenv("PAYMENT_OTLP_ENDPOINT", "collector:4318")
    monkeypatch.setenv("PAYMENT_DB_HOTS", "x")
    with pytest.raises(SettingsError) as caught:
        load(ServiceSettings)
    lines = str(caught.value).splitlines()
    assert lines[0] == "PAYMENT_DB_HOTS is not a setting. Did you mean PAYMENT_DB_HOST?"
    assert len(lines) == 3
    assert any(
        line.startswith("PAYMENT_PORT is '70000': Input should be less than or equal to 65535. (") for line in lines
    )
    assert any(line.startswith("PAYMENT_OTLP_ENDPOINT is 'collector:4318': ") for line in lines)


def test_the_settings_of_the_task_are_known_to_the_service_and_the_other_way_round(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PAYMENT_SEED_PAYMENTS", "20000")
    monkeypatch.setenv("PAYMENT_POOL_MAX_SIZE", "5")
    assert load(ServiceSettings).pool_max_size == 5
    assert load(TaskSettings).seed_payments == 20_000


@pytest.mark.parametrize("value", ["9999", "20000001", "many", "1e6x"])
def test_a_seed_of_an_impossible_size_is_refused(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("PAYMENT_SEED_PAYMENTS", value)
    with pytest.raises(SettingsError, match="PAYMENT_SEED_PAYMENTS is"):
        load(TaskSettings)


@pytest.mark.parametrize("value", ["payments; drop", "Payments", "", "1a"])
def test_a_database_name_that_needs_quoting_is_refused(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("PAYMENT_DB_NAME", value)
    with pytest.raises(SettingsError, match="PAYMENT_DB_NAME is"):
        load(TaskSettings)


def test_a_secret_is_read_without_its_newline_and_never_empty(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("  pass word \r\n", encoding="utf-8")
    assert read_password(secret) == "  pass word "
    secret.write_text("\n", encoding="utf-8")
    with pytest.raises(SettingsError, match="is empty"):
        read_password(secret)
    secret.write_bytes(b"\xff\xfe")
    with pytest.raises(SettingsError, match="not UTF-8"):
        read_password(secret)
    with pytest.raises(SettingsError, match="cannot be read: Is a directory"):
        read_password(tmp_path)


def test_a_credential_version_names_its_own_file_if_there_is_one(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("one", encoding="utf-8")
    (tmp_path / "password-3").write_text("three", encoding="utf-8")
    credential = Credential(tmp_path / "password", 1)
    assert credential.read() == "one"
    credential.version = 2
    assert credential.read() == "one"
    credential.version = 3
    assert credential.read() == "three"
    (tmp_path / "password-3").write_text("changed", encoding="utf-8")
    assert credential.read() == "changed", "read again each time"


def test_live_settings_start_with_the_configured_values() -> None:
    live = LiveSettings(ServiceSettings(pool_max_size=7, lock_order="canonical", counter_shards=3))
    assert live.current.pool_max_size == 7
    assert live.merged({"counter_shards": 5}).model_dump() == live.current.model_dump() | {"counter_shards": 5}
    assert live.current.counter_shards == 3


def test_a_verifier_matches_its_password_only() -> None:
    verifier = scram.make_verifier("geheim")
    assert verifier.startswith("SCRAM-SHA-256$4096:")
    assert "geheim" not in verifier
    assert scram.matches("geheim", verifier)
    assert not scram.matches("Geheim", verifier)
    assert not scram.matches("geheim", None)
    assert not scram.matches("geheim", "md5abc")
    assert scram.make_verifier("geheim") != verifier, "salted"


def test_a_verifier_is_the_one_of_the_standard() -> None:
    """The example of RFC 7677."""
    verifier = scram.make_verifier("pencil", salt=bytes.fromhex("5b6d99689d12358eeca04b14123 6fa81".replace(" ", "")))
    assert verifier == (
        "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:"
        "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
    )


def test_the_seed_is_cut_into_its_steps() -> None:
    steps = {step.name: step for step in parse_steps(read_sql("seed.sql"))}
    assert steps["ledger entries"].after == ("payments",)
    assert steps["vacuum payments"].statements == ("VACUUM (ANALYZE) payments",)
    assert all(statement for step in steps.values() for statement in step.statements)


def test_a_step_that_waits_for_a_later_one_is_refused() -> None:
    with pytest.raises(ValueError, match="'b' must have a name of its own and come after"):
        parse_steps("-- step: a\nSELECT 1;\n-- step: b, after: c\nSELECT 2;\n-- step: c\nSELECT 3;\n")


def test_the_fingerprint_changes_with_seed_and_history() -> None:
    assert len({fingerprint(1, None), fingerprint(2, None), fingerprint(1, 1.0)}) == 3
    assert fingerprint(1, None) == fingerprint(1, None)
