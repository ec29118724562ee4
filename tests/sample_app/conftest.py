"""Fixtures: one PostgreSQL for the session, seeded once; each module gets a copy of the seeded database."""

from __future__ import annotations

import asyncio
import logging
import uuid
from typing import TYPE_CHECKING

import pytest
import structlog
from payment_service.database.provision import provision

from tests.sample_app.postgres import NoServerError, make_server
from tests.sample_app.support import Place

if TYPE_CHECKING:
    from collections.abc import Generator

    from tests.sample_app.postgres import Server

TEMPLATE = "payments_template"
SECRETS = ("payments-owner-password", "payment-app-password", "postgres-exporter-password", "dba-password")


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """The event loop that the service is written for."""
    return "asyncio"


@pytest.fixture(scope="package", autouse=True)
def _logging() -> Generator[None]:  # pyright: ignore[reportUnusedFunction] - a fixture
    """The service configures logging for its process; other packages' tests run in the same one."""
    handlers = list(logging.getLogger().handlers)
    yield
    logging.getLogger().handlers[:] = handlers
    structlog.reset_defaults()


@pytest.fixture(scope="session")
def postgres_server() -> Generator[Server]:
    """A running PostgreSQL."""
    try:
        server = make_server()
    except NoServerError as error:
        pytest.skip(str(error))
    try:
        server.start()
        yield server
    finally:
        server.remove()


@pytest.fixture(scope="session")
def template(postgres_server: Server, tmp_path_factory: pytest.TempPathFactory) -> Place:
    """The seeded database that others are copied from. Nobody connects to it."""
    secrets = tmp_path_factory.mktemp("secrets")
    (secrets / "postgres-password").write_text(postgres_server.password, encoding="utf-8")
    for name in SECRETS:
        (secrets / name).write_text(f"the {name}\n", encoding="utf-8")
    place = Place(server=postgres_server, secrets=secrets, database=TEMPLATE)
    asyncio.run(provision(place.task_settings()))
    return place


def _copy(template: Place) -> Generator[Place]:
    name = f"payments_{uuid.uuid4().hex[:12]}"

    async def run(statement: str) -> None:
        async with template.connect(database="postgres") as connection:
            await connection.execute(statement)

    asyncio.run(run(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}"))
    yield Place(server=template.server, secrets=template.secrets, database=name)
    asyncio.run(run(f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.fixture(scope="module")
def place(template: Place) -> Generator[Place]:
    """A seeded database for the tests of a module."""
    yield from _copy(template)


@pytest.fixture
def own_place(template: Place) -> Generator[Place]:
    """A seeded database for one test."""
    yield from _copy(template)
