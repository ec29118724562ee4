"""Images on their way to a registry: what is pushed, what is skipped, and what a refusal becomes."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from fake_cluster import CONFIG
from fake_display import FakeDisplay
from small_topology import BUILT, PULLED
from stubs import always

from images import push
from images.push import push_images, pushed_digests, registry_digests
from infra.errors import EngineError, ImageError
from infra.topology.model import Image
from toolchain.engine import Engine

DIGEST = "sha256:" + "a" * 64
OTHER = Image(repository="demo/other", version="v1", built=True)
REGISTRY = CONFIG.image_registry


class RegistryEngine(Engine):
    """An engine that reaches a registry with some digests."""

    def __init__(self, digests: Mapping[str, str], events: list[dict[str, Any]] | None = None) -> None:  # pyright: ignore[reportMissingSuperCall] # no client
        self.digests = digests
        self.events = events or []
        self.pushed: list[tuple[str, str, str]] = []

    def registry_digest(self, reference: str) -> str | None:
        if "error" in self.digests:
            raise EngineError(self.digests["error"])
        return self.digests.get(reference)

    def push(self, reference: str, *, repository: str, tag: str) -> Iterator[Mapping[str, Any]]:
        self.pushed.append((reference, repository, tag))
        yield from self.events


def use(monkeypatch: pytest.MonkeyPatch, engine: RegistryEngine) -> RegistryEngine:
    monkeypatch.setattr(Engine, "connect", always(engine))
    return engine


def test_only_images_of_ours_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, RegistryEngine({f"{REGISTRY}/demo/web:abc": DIGEST}))
    assert pushed_digests(CONFIG, [PULLED, BUILT, OTHER]) == {BUILT: DIGEST}
    assert registry_digests(CONFIG, [PULLED, BUILT]) == {BUILT: DIGEST}


def test_a_stack_without_images_of_ours_asks_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Engine, "connect", always(None))
    assert pushed_digests(CONFIG, [PULLED]) == {}


def test_missing_images_are_named_with_what_pushes_them(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, RegistryEngine({}))
    with pytest.raises(
        ImageError, match=r"Not in the registry registry.example.com yet: demo/web:abc, demo/other:v1\."
    ):
        registry_digests(CONFIG, [PULLED, BUILT, OTHER])


EVENTS: list[dict[str, Any]] = [
    {"status": "The push refers to repository [x]"},
    {"status": "Pushing", "id": "a", "progressDetail": {"current": 1_000_000, "total": 4_000_000}},
    {"status": "Pushing", "id": "b", "progressDetail": {"current": 2_500_000, "total": 2_000_000}},
    {"status": "Pushing", "id": "a", "progressDetail": {"current": 3_000_000}},
    {"progressDetail": {}, "aux": {"Tag": "abc", "Digest": DIGEST, "Size": 1}},
]


def test_a_push_shows_what_is_sent_and_gives_the_registrys_digest() -> None:
    engine, display = RegistryEngine({}, EVENTS), FakeDisplay()
    assert push_images(CONFIG, [BUILT, OTHER], engine, display) == {BUILT: DIGEST, OTHER: DIGEST}
    assert sorted(engine.pushed) == [
        ("demo/other:v1", f"{REGISTRY}/demo/other", "v1"),
        ("demo/web:abc", f"{REGISTRY}/demo/web", "abc"),
    ]
    assert display.told[:2] == ["start push web", "done push web"]
    assert display.rows[0].detail == "3 of 6 MB"


def test_nothing_to_push_is_nothing_done() -> None:
    assert push_images(CONFIG, [], RegistryEngine({}), FakeDisplay()) == {}


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("dial tcp 10.0.0.1:5000: connect: connection refused", "does not answer: dial tcp 10.0.0.1:5000"),
        ("unauthorized: authentication required", "refuses: unauthorized: authentication required. Log in with docker"),
    ],
)
def test_a_registry_that_does_not_take_an_image_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, said: str, told: str
) -> None:
    engine = RegistryEngine({"error": said}, [{"error": said, "errorDetail": {}}])
    with pytest.raises(ImageError, match=f"The registry registry.example.com .compass-demo:imageRegistry. {told}"):
        push_images(CONFIG, [BUILT], engine, FakeDisplay())
    use(monkeypatch, engine)
    with pytest.raises(ImageError, match=f"The registry registry.example.com .compass-demo:imageRegistry. {told}"):
        pushed_digests(CONFIG, [BUILT])


def test_a_registry_that_gives_no_digest_is_one_sentence() -> None:
    with pytest.raises(ImageError, match="took demo/web:abc and gave it no digest"):
        push_images(CONFIG, [BUILT], RegistryEngine({}, EVENTS[:1]), FakeDisplay())


def test_without_an_engine_an_open_registry_is_asked_directly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(push, "_engine", always(None))
    asked: list[str] = []

    class Answer:
        def __init__(self, status: int) -> None:
            self.status_code, self.headers = status, {"Docker-Content-Digest": DIGEST}

    def head(url: str, **_: object) -> Answer:
        asked.append(url)
        return Answer({"abc": 200, "v1": 404}[url.rpartition("/")[2]])

    monkeypatch.setattr(push.requests, "head", head)
    config = CONFIG.model_copy(update={"image_registry": "127.0.0.1:5000/team"})
    assert pushed_digests(config, [BUILT, OTHER]) == {BUILT: DIGEST}
    assert sorted(asked) == [
        "http://127.0.0.1:5000/v2/team/demo/other/manifests/v1",
        "http://127.0.0.1:5000/v2/team/demo/web/manifests/abc",
    ]
    monkeypatch.setattr(push.requests, "head", always(Answer(401)))
    with pytest.raises(ImageError, match="HTTP 401; asked without a Docker engine, which has the login"):
        pushed_digests(CONFIG, [BUILT])
