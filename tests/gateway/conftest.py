"""One gateway before one set of fake back ends for all tests that need nothing special."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
import structlog
from hypothesis import HealthCheck, settings

from tests.gateway.support import FakeBackend, make_config, running, serving

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from tests.gateway.support import RunningGateway

# How fast inputs are made depends on the machine and on who else works on it.
settings.register_profile("any-machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any-machine")


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """The event loop that the gateway is written for."""
    return "asyncio"


@pytest.fixture(scope="session", autouse=True)
def _quiet() -> None:  # pyright: ignore[reportUnusedFunction] - a fixture
    # What the gateway logs is tested by its own tests; here it would only hide what a test prints.
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())


@dataclass
class Stack:
    """A gateway and what is behind it."""

    gateway: RunningGateway
    prometheus: FakeBackend
    loki: FakeBackend
    jaeger: FakeBackend
    alertmanager: FakeBackend

    def forget(self) -> None:
        """Start with back ends that were never asked."""
        for backend in (self.prometheus, self.loki, self.jaeger, self.alertmanager):
            backend.seen.clear()
            backend.answers.clear()


@pytest.fixture(scope="session")
async def _shared_stack(anyio_backend: str) -> AsyncGenerator[Stack]:  # pyright: ignore[reportUnusedFunction] - a fixture
    assert anyio_backend == "asyncio"
    names = ("prometheus", "loki", "jaeger", "alertmanager")
    prometheus, loki, jaeger, alertmanager = (FakeBackend(name) for name in names)
    async with (
        serving(prometheus) as prometheus.url,
        serving(loki) as loki.url,
        serving(jaeger) as jaeger.url,
        serving(alertmanager) as alertmanager.url,
        running(
            make_config(
                backends__prometheus={"url": prometheus.url},
                backends__loki={"url": loki.url},
                backends__traces={"kind": "jaeger", "url": jaeger.url},
                backends__alertmanager={"url": alertmanager.url},
                probes=[
                    {"service": "prometheus", "url": f"{prometheus.url}/-/ready"},
                    {"service": "loki", "url": f"{loki.url}/ready"},
                    {"service": "postgres", "url": None},
                ],
                status_page__settings=[
                    {"name": "GRAFANA_URL", "value": "http://127.0.0.1:3000"},
                    {"name": "TEMPO_URL", "value": "http://compass:{token}@127.0.0.1:3200"},
                ],
            )
        ) as gateway,
    ):
        yield Stack(gateway, prometheus, loki, jaeger, alertmanager)


@pytest.fixture
def stack(_shared_stack: Stack) -> Stack:
    """The shared gateway, with back ends that remember nothing of other tests."""
    _shared_stack.forget()
    return _shared_stack
