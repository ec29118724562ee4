"""Which image plays which role, for each distribution."""

from collections.abc import Mapping
from typing import Final

from images.recipe import Recipe
from images.rootfs import base_image
from infra import versions
from infra.config import DemoConfig, Distribution
from infra.topology.model import Image

__all__ = ["images", "recipes"]

_OWN: Final = {
    # role -> its Python packages, each with its folder in the checkout
    "sample-app": {"payment_service": "sample-app/payment_service"},
    "traffic": {"traffic": "traffic"},
    "gateway": {"gateway": "gateway"},
    # It opens sessions as the service does.
    "incident-runner": {"incidents": "incidents", "payment_service": "sample-app/payment_service"},
}
"""The services that this repository writes; built on both distributions."""

_OWN_DATA: Final = {"incident-runner": "/var/lib/incident-runner"}
"""Folders of theirs that their user must be able to write to."""

_PROGRAMS: Final = {
    # role -> folder that its user must be able to write to, or "" for none
    "prometheus": "/prometheus",
    "loki": "/loki",
    "jaeger": "/badger",
    "collector": "/var/lib/collector",
    "postgres-exporter": "",
}
"""Go programs of the packages distribution, each alone in its image."""


def images(config: DemoConfig) -> Mapping[str, Image]:
    """Role -> image of the stack's distribution."""
    own = {recipe.name: recipe.image for recipe in recipes(config)}
    if config.distribution is Distribution.PACKAGES:
        return own
    return {role: upstream_image(role, config.image_mirror) for role in versions.UPSTREAM_IMAGES} | own


def recipes(config: DemoConfig) -> tuple[Recipe, ...]:
    """The images that this stack needs built here, bases first."""
    if config.distribution is Distribution.UPSTREAM:
        python = upstream_image("python", config.image_mirror)
        return tuple(_own(role, python) for role in _OWN)
    base = base_image()
    python = Recipe(name="python", dockerfile="python", base=base)
    # Once: each look at it reads every file that goes into it.
    interpreter = python.image
    return (
        python,
        Recipe(name="postgres", dockerfile="postgres", base=base),
        Recipe(name="alertmanager", dockerfile="alertmanager", base=base),
        *(_program(role, folder) for role, folder in _PROGRAMS.items()),
        *(_own(role, interpreter) for role in _OWN),
    )


def upstream_image(role: str, mirror: str) -> Image:
    """An official image, through the mirror if there is one."""
    repository, version = versions.UPSTREAM_IMAGES[role]
    if mirror:
        # Official images live in the namespace "library", which only the default registry lets one leave out.
        repository = f"{mirror.rstrip('/')}/{repository if '/' in repository else f'library/{repository}'}"
    return Image(repository=repository, version=version)


def _own(role: str, base: Image) -> Recipe:
    return Recipe(
        name=role,
        dockerfile="python-service",
        base=base,
        sources={
            "requirements.txt": f"requirements/{role}.txt",
            **{f"app/{package}": folder for package, folder in _OWN[role].items()},
        },
        arguments={"DATA": _OWN_DATA[role]} if role in _OWN_DATA else {},
    )


def _program(role: str, folder: str) -> Recipe:
    return Recipe(name=role, dockerfile="go-program", program=role, arguments={"DATA": folder} if folder else {})
