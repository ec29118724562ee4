from __future__ import annotations

import pytest

from traffic.mix import Kind
from traffic.settings import SettingsError, load


def test_the_defaults_are_those_of_the_contract() -> None:
    settings = load()
    assert (settings.target, settings.rate, settings.timeout_seconds, settings.port) == (
        "http://sample-app:8000",
        20,
        30,
        8080,
    )


def test_everything_can_be_set_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRAFFIC_TARGET", "http://127.0.0.1:8000/")
    monkeypatch.setenv("TRAFFIC_RATE", "200")
    monkeypatch.setenv("TRAFFIC_MIX", '{"refund": 0, "pay": 10}')
    settings = load()
    assert (settings.target, settings.rate) == ("http://127.0.0.1:8000", 200)
    assert settings.mix == {Kind.REFUND: 0, Kind.PAY: 10}


@pytest.mark.parametrize(
    ("name", "value", "part"),
    [
        ("RATE", "0", "TRAFFIC_RATE: Input should be greater than 0"),
        ("RATE", "many", "TRAFFIC_RATE: Input should be a valid number"),
        ("RATE", "nan", "TRAFFIC_RATE: Input should be a finite number"),
        ("TARGET", "sample-app:8000", "TRAFFIC_TARGET: must be an absolute http or https URL"),
        ("PORT", "70000", "TRAFFIC_PORT: Input should be less than or equal to 65535"),
        ("MIX", '{"refnd": 1}', "TRAFFIC_MIX.REFND"),
        ("MIX", '{"refund": -1}', "TRAFFIC_MIX: a weight must lie between"),
        ("MIX", "refund=0", "mix"),
        ("SEED", "-1", "TRAFFIC_SEED"),
        ("READY_PATH", "health", "TRAFFIC_READY_PATH"),
        ("RTAE", "20", "not a setting: TRAFFIC_RTAE; there are TRAFFIC_CUSTOMERS"),
    ],
)
def test_every_fault_is_one_sentence_that_names_the_variable(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, part: str
) -> None:
    monkeypatch.setenv(f"TRAFFIC_{name}", value)
    with pytest.raises(SettingsError) as caught:
        load()
    assert part in str(caught.value)
    assert "\n" not in str(caught.value)
