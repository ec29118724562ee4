"""Where the Docker engine is, and what a person is told when it does not answer."""

# pyright: reportPrivateUsage=false

import os
from pathlib import Path
from types import SimpleNamespace

import docker.errors
import pytest
import requests
from docker.context import ContextAPI

from infra.errors import EngineError
from toolchain import engine as engine_module
from toolchain import engine_address
from toolchain.engine import Engine, _sentence
from toolchain.engine_address import EngineAddress


@pytest.fixture(autouse=True)
def no_context(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CERT_PATH", "DOCKER_TLS_VERIFY"):
        monkeypatch.delenv(name, raising=False)
    context(monkeypatch, None)


def context(monkeypatch: pytest.MonkeyPatch, host: str | None) -> None:
    current = SimpleNamespace(Host=host, name="the-current") if host is not None else None
    others = {"other": SimpleNamespace(Host="ssh://other", name="other")}

    def get(name: str | None) -> SimpleNamespace | None:
        return others.get(name) if name else current

    monkeypatch.setattr(ContextAPI, "get_context", get)


def test_the_configuration_wins_then_the_environment_then_the_context(monkeypatch: pytest.MonkeyPatch) -> None:
    context(monkeypatch, "unix:///context.sock")
    monkeypatch.setenv("DOCKER_HOST", "unix:///environment.sock")
    assert EngineAddress.resolve("unix:///configured.sock").host == "unix:///configured.sock"
    assert EngineAddress.resolve().host == "unix:///environment.sock"
    monkeypatch.setenv("DOCKER_HOST", "")
    assert EngineAddress.resolve().host == "unix:///context.sock"


def test_a_contexts_address_is_written_as_the_provider_reads_it(monkeypatch: pytest.MonkeyPatch) -> None:
    context(monkeypatch, "http+unix:///run/user/1000/docker.sock")
    assert EngineAddress.resolve().host == "unix:///run/user/1000/docker.sock"


def test_a_context_named_by_the_environment_wins_over_the_current_one(monkeypatch: pytest.MonkeyPatch) -> None:
    context(monkeypatch, "unix:///context.sock")
    monkeypatch.setenv("DOCKER_CONTEXT", "other")
    assert EngineAddress.resolve().host == "ssh://other"
    monkeypatch.setenv("DOCKER_CONTEXT", "gone")
    with pytest.raises(EngineError, match="DOCKER_CONTEXT names the context gone, which does not exist"):
        EngineAddress.resolve()


def test_an_engine_behind_tls_is_asked_with_its_certificates(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://engine:2376")
    assert EngineAddress.resolve().tls is None
    monkeypatch.setenv("DOCKER_TLS_VERIFY", "1")
    monkeypatch.setenv("DOCKER_CERT_PATH", str(tmp_path))
    address = EngineAddress.resolve()
    assert address.certificates == tmp_path
    with pytest.raises(EngineError, match=r"ca\.pem is missing"):
        _ = address.tls
    for name in ("ca", "cert", "key"):
        (tmp_path / f"{name}.pem").touch()
    assert address.tls is not None


@pytest.mark.parametrize("host", [None, ""])
@pytest.mark.parametrize(
    ("system", "default"), [("posix", "unix:///var/run/docker.sock"), ("nt", "npipe:////./pipe/docker_engine")]
)
def test_without_any_of_them_it_is_the_platforms_default(
    monkeypatch: pytest.MonkeyPatch, host: str | None, system: str, default: str
) -> None:
    context(monkeypatch, host)
    monkeypatch.setattr(engine_address, "os", SimpleNamespace(name=system, environ=os.environ))
    assert EngineAddress.resolve().host == default


@pytest.mark.parametrize(
    "text", ["('Connection aborted.', PermissionError(13, 'Permission denied'))", "Access is denied."]
)
def test_an_engine_that_one_may_not_use_is_told_apart(text: str) -> None:
    told = _sentence("unix:///x.sock", docker.errors.DockerException(text))
    assert told.startswith("There is a Docker engine at unix:///x.sock but this user may not use it; add the user")


def test_any_other_failure_is_an_engine_that_does_not_answer() -> None:
    told = _sentence("unix:///x.sock", requests.ConnectionError("no such file"))
    assert told.startswith("No Docker engine answers at unix:///x.sock; install and start")


class Client:
    """A client that fails when it is made or when it is asked."""

    def __init__(self, api: str = "1.41", *, at_start: Exception | None = None, later: Exception | None = None) -> None:
        self.api, self.at_start, self.later = api, at_start, later

    def __call__(self, *, base_url: str, tls: bool, timeout: int, version: str) -> "Client":
        assert (base_url, tls, timeout, version) == ("unix:///x.sock", False, 60, "auto")
        if self.at_start:
            raise self.at_start
        return self

    def version(self) -> dict[str, str]:
        if self.later:
            raise self.later
        return {"ApiVersion": self.api, "Version": "x.y"}


@pytest.mark.parametrize(
    "client",
    [
        Client(at_start=docker.errors.DockerException("no such file")),
        Client(at_start=requests.ConnectionError("refused")),
        Client(later=requests.ReadTimeout("slow")),
    ],
)
def test_an_engine_that_fails_is_a_sentence(monkeypatch: pytest.MonkeyPatch, client: Client) -> None:
    monkeypatch.setattr(engine_module, "DockerClient", client)
    with pytest.raises(EngineError, match=r"^No Docker engine answers at unix:///x.sock; install and start"):
        Engine.connect("unix:///x.sock")


@pytest.mark.parametrize(("api", "accepted"), [("1.40", False), ("1.41", True), ("1.9", False), ("1.51", True)])
def test_an_engine_that_is_too_old_is_refused_by_its_version(
    monkeypatch: pytest.MonkeyPatch, api: str, accepted: bool
) -> None:
    monkeypatch.setattr(engine_module, "DockerClient", Client(api))
    if accepted:
        assert Engine.connect("unix:///x.sock").host == "unix:///x.sock"
    else:
        with pytest.raises(EngineError, match=r"unix:///x.sock is x.y; 20.10 or newer is needed"):
            Engine.connect("unix:///x.sock")
