"""Images built here on their way to a cluster: pushed to its registry once, and named by digest from then on."""

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import docker.errors
import requests

from infra.config import PROJECT, DemoConfig
from infra.errors import EngineError, ImageError
from infra.topology.model import Image
from toolchain.engine import Engine
from toolchain.progress import Progress

__all__ = ["push_images", "pushed_digests", "registry_digests"]

_MANIFESTS: Final = ", ".join(
    (
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.docker.distribution.manifest.v2+json",
    )
)
_ANSWER_SECONDS: Final = 10
_PARALLEL: Final = 8
_PUSHES: Final = 2
"""Images at once: compressing a layer takes one core."""
_FOUND: Final = 200
_MISSING: Final = 404


def pushed_digests(config: DemoConfig, images: Iterable[Image]) -> dict[Image, str]:
    """The digests of those of our images that the stack's registry has.

    A version is a digest of what goes into the image, so one that is there need not be pushed again, whoever made it.

    Raises:
        ImageError: the registry does not answer, or refuses.
    """
    built = [image for image in images if image.built]
    if not built:
        return {}
    engine = _engine(config)
    with ThreadPoolExecutor(_PARALLEL) as pool:
        futures = {image: pool.submit(_digest, config.image_registry, image, engine) for image in built}
        answers = {image: future.result() for image, future in futures.items()}
    return {image: digest for image, digest in answers.items() if digest}


def registry_digests(config: DemoConfig, images: Iterable[Image]) -> Mapping[Image, str]:
    """The digest of every image of ours in the stack's registry.

    Raises:
        ImageError: some are not there, or the registry does not answer.
    """
    built = [image for image in images if image.built]
    found = pushed_digests(config, built)
    missing = [image.reference for image in built if image not in found]
    if missing:
        raise ImageError(
            f"Not in the registry {config.image_registry} yet: {', '.join(missing)}. "
            "Run ./demo up, or ./demo images and then pulumi up."
        )
    return found


def push_images(config: DemoConfig, images: Iterable[Image], engine: Engine, progress: Progress) -> dict[Image, str]:
    """Push images that this machine has; returns the digests that the registry gave them.

    Raises:
        ImageError: the registry does not answer, or refuses.
    """
    pending = list(images)
    # The first alone: the others share layers with it, which the engine would send again for each at the same time.
    first = {image: _push(config.image_registry, image, engine, progress) for image in pending[:1]}
    with ThreadPoolExecutor(_PUSHES) as pool:
        futures = {image: pool.submit(_push, config.image_registry, image, engine, progress) for image in pending[1:]}
        return first | {image: future.result() for image, future in futures.items()}


def _push(registry: str, image: Image, engine: Engine, progress: Progress) -> str:
    layers: dict[str, tuple[int, int]] = {}
    with progress.step(f"push {image.repository.rpartition('/')[2]}") as step:
        try:
            for event in engine.push(image.reference, repository=f"{registry}/{image.repository}", tag=image.version):
                if "error" in event:
                    raise ImageError(_refusal(registry, str(event["error"])))
                detail: dict[str, Any] = event.get("progressDetail") or {}
                if event.get("status") == "Pushing" and detail.get("total"):
                    # The engine counts what it has read, which is a little more than there is.
                    layers[str(event["id"])] = (min(detail["current"], detail["total"]), detail["total"])
                    sent, total = (sum(values) for values in zip(*layers.values(), strict=True))
                    step.update(f"{sent / 1e6:.0f} of {total / 1e6:.0f} MB", done=sent, total=total)
                aux: dict[str, Any] = event.get("aux") or {}
                if "Digest" in aux:
                    return str(aux["Digest"])
        except docker.errors.APIError as error:
            raise ImageError(_refusal(registry, str(error.explanation or error))) from None
        except requests.RequestException:
            raise ImageError(f"The Docker engine stopped answering while it should push {image.reference}.") from None
    raise ImageError(f"The registry {registry} took {image.reference} and gave it no digest.")


def _engine(config: DemoConfig) -> Engine | None:
    """The engine has the registry's credentials; a machine without one can still ask a registry that wants none."""
    try:
        return Engine.connect(config.docker_host)
    except EngineError:
        return None


def _digest(registry: str, image: Image, engine: Engine | None) -> str | None:
    if engine is None:
        return _digest_without_engine(registry, image)
    try:
        return engine.registry_digest(f"{registry}/{image.reference}")
    except EngineError as error:
        raise ImageError(_refusal(registry, str(error))) from None
    except requests.RequestException:
        raise ImageError(f"The registry {registry} does not answer the Docker engine in time.") from None


def _digest_without_engine(registry: str, image: Image) -> str | None:
    host, _, path = registry.partition("/")
    # As engines do: a registry on the loopback address needs no TLS.
    scheme = "http" if host.partition(":")[0] in {"localhost", "127.0.0.1"} else "https"
    repository = f"{path}/{image.repository}" if path else image.repository
    try:
        answer = requests.head(
            f"{scheme}://{host}/v2/{repository}/manifests/{image.version}",
            headers={"Accept": _MANIFESTS},
            timeout=_ANSWER_SECONDS,
        )
    except requests.RequestException as error:
        raise ImageError(_refusal(registry, type(error).__name__)) from None
    if answer.status_code == _FOUND:
        return answer.headers["Docker-Content-Digest"]
    if answer.status_code == _MISSING:
        return None
    raise ImageError(
        _refusal(registry, f"HTTP {answer.status_code}; asked without a Docker engine, which has the login")
    )


def _refusal(registry: str, said: str) -> str:
    words = said.strip().rstrip(".")
    if "connection refused" in words or "no such host" in words or "Timeout" in words or words == "ConnectionError":
        return f"The registry {registry} ({PROJECT}:imageRegistry) does not answer: {words}."
    return (
        f"The registry {registry} ({PROJECT}:imageRegistry) refuses: {words}. "
        f"Log in with docker login {registry.partition('/')[0]} if it wants that."
    )
