from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import yaml

from gateway.config import Authentication, ConfigError, load, read_token
from tests.gateway.support import make_config

if TYPE_CHECKING:
    from pathlib import Path

VALID: dict[str, object] = {
    "stack": "airgap",
    "distribution": "packages",
    "authentication": {"mode": "required", "token_file": "/run/secrets/gateway-token"},
    "backends": {
        "prometheus": {"url": "http://prometheus:9090"},
        "loki": {"url": "http://loki:3100/"},
        "traces": {"kind": "jaeger", "url": "http://jaeger:16686"},
    },
}


def write(tmp_path: Path, document: object) -> Path:
    path = tmp_path / "gateway.yaml"
    path.write_text(document if isinstance(document, str) else yaml.safe_dump(document))
    return path


def test_a_small_file_is_filled_with_the_ports_of_the_contract(tmp_path: Path) -> None:
    config = load(write(tmp_path, VALID))
    assert {front: one.port for front, one in config.listeners.by_name().items()} == {
        "main": 3000,
        "loki": 3100,
        "prometheus": 9090,
        "traces": 3200,
        "internal": 8090,
    }
    assert config.backends.loki.url == "http://loki:3100", "a trailing slash would be sent twice"


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"stakc": "x"}, "stakc: Extra inputs are not permitted"),
        ({"distribution": "debian"}, "distribution: Input should be 'upstream' or 'packages'"),
        ({"distribution": "upstream"}, "distribution `upstream` has a grafana back end and `packages` has none"),
        ({"authentication": {"mode": "required"}}, "authentication: mode `required` needs a token_file"),
        ({"authentication": {"mode": "none"}}, "authentication.mode: Input should be"),
        ({"listeners": {"loki": {"port": 9090}}}, "two listeners use 0.0.0.0:9090"),
        ({"listeners": {"loki": {"port": 70000}}}, "listeners.loki.port: Input should be less than or equal to 65535"),
        ({"probes": [{"service": "a", "url": None}, {"service": "a", "url": None}]}, "two probes are named a"),
        ({"probes": [{"service": "a"}]}, "probes.0.url: Field required"),
        ({"telemetry": {"otlp_endpoint": "collector:4318"}}, "telemetry.otlp_endpoint: must be an absolute http"),
        ({"backends": {}}, "backends.prometheus: Field required; backends.loki: Field required"),
    ],
)
def test_every_fault_is_one_sentence_that_names_the_key(tmp_path: Path, change: dict[str, object], part: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(write(tmp_path, {**VALID, **change}))
    assert part in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("url", ["ftp://x", "http://user:pw@x", "http://x/?a=b", "/path", "http://"])
def test_an_address_that_is_not_plainly_a_server_is_refused(tmp_path: Path, url: str) -> None:
    backends = {"prometheus": {"url": url}, "loki": {"url": "http://l"}, "traces": {"kind": "tempo", "url": "http://t"}}
    with pytest.raises(ConfigError, match=r"backends\.prometheus\.url: must"):
        load(write(tmp_path, {**VALID, "backends": backends}))


@pytest.mark.parametrize(
    ("text", "part"),
    [("a: [", "is not YAML"), ("- 1", "the file: Input should be"), ("", "the file: Input should be")],
)
def test_what_is_no_mapping_is_one_sentence(tmp_path: Path, text: str, part: str) -> None:
    with pytest.raises(ConfigError, match=part) as caught:
        load(write(tmp_path, text))
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path / "absent.yaml")


def test_the_token_is_read_without_its_newline(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("abc\n")
    assert read_token(Authentication(token_file=tmp_path / "token")) == "abc"


@pytest.mark.parametrize("text", ["", "\n", "two words", "line\nbreak", "\x00"])
def test_a_token_file_without_a_usable_token_is_refused_without_showing_it(tmp_path: Path, text: str) -> None:
    (tmp_path / "token").write_text(text)
    with pytest.raises(ConfigError, match="token file") as caught:
        read_token(Authentication(token_file=tmp_path / "token"))
    assert "words" not in str(caught.value)


def test_a_missing_token_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        read_token(Authentication(token_file=tmp_path / "absent"))


def test_an_open_gateway_reads_no_token(tmp_path: Path) -> None:
    assert read_token(Authentication(mode="loopback-open", token_file=tmp_path / "absent")) is None


def test_upstream_has_a_grafana_with_an_identity() -> None:
    config = make_config(distribution="upstream", backends__grafana={"url": "http://grafana:3000"})
    assert config.backends.grafana is not None
    assert config.backends.grafana.user == "viewer"
