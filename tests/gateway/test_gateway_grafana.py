from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from starlette.responses import HTMLResponse

from tests.gateway.support import BEARER, FakeBackend, make_config, running, serving

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from tests.gateway.support import RunningGateway

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
async def _shared_grafana(anyio_backend: str) -> AsyncGenerator[tuple[RunningGateway, FakeBackend]]:  # pyright: ignore[reportUnusedFunction] - a fixture
    assert anyio_backend == "asyncio"
    backend = FakeBackend("grafana")
    backend.always("/", lambda: HTMLResponse("<title>Grafana</title>", headers={"Set-Cookie": "grafana_session=1"}))
    async with serving(backend) as url:
        config = make_config(distribution="upstream", backends__grafana={"url": url, "user": "compass-viewer"})
        async with running(config) as gateway:
            yield gateway, backend


@pytest.fixture
def grafana(_shared_grafana: tuple[RunningGateway, FakeBackend]) -> tuple[RunningGateway, FakeBackend]:
    _shared_grafana[1].seen.clear()
    return _shared_grafana


async def test_a_person_sees_grafana_as_the_viewer_that_the_gateway_asserts(
    grafana: tuple[RunningGateway, FakeBackend],
) -> None:
    gateway, backend = grafana
    response = await gateway.get("main", "/")
    assert "Grafana" in response.text
    assert "set-cookie" not in response.headers
    assert backend.seen[0].headers["x-webauth-user"] == "compass-viewer"


async def test_nobody_can_assert_another_identity(grafana: tuple[RunningGateway, FakeBackend]) -> None:
    gateway, backend = grafana
    forged = {
        "X-WEBAUTH-USER": "admin",
        "X_WEBAUTH_USER": "admin",
        "X-Webauth-Groups": "admins",
        "X-Grafana-Id": "token",
        "X-Grafana-Org-Id": "1",
        "Cookie": "grafana_session=stolen",
    }
    await gateway.get("main", "/d/overview", **forged)
    (seen,) = backend.seen
    assert seen.headers["x-webauth-user"] == "compass-viewer"
    assert not {"x_webauth_user", "x-webauth-groups", "x-grafana-id", "cookie", "authorization"} & {*seen.headers}
    assert seen.headers["x-grafana-org-id"] == "1"


async def test_queries_of_its_pages_pass_and_changes_do_not(grafana: tuple[RunningGateway, FakeBackend]) -> None:
    gateway, backend = grafana
    headers = {**BEARER, "Content-Type": "application/json; charset=utf-8", "Origin": gateway.url("main")}
    queried = await gateway.request("POST", "main", "/api/ds/query?ds_type=loki", headers=headers, content=b"{}")
    assert (queried.status_code, backend.seen[-1].query, backend.seen[-1].body) == (200, "ds_type=loki", b"{}")
    for method, path in [
        ("POST", "/api/dashboards/db"),
        ("DELETE", "/api/dashboards/uid/x"),
        ("POST", "/api/datasources"),
        ("PUT", "/api/user/password"),
    ]:
        response = await gateway.request(method, "main", path, headers=headers, content=b"{}")
        assert response.status_code in {403, 405}, path
    assert len(backend.seen) == 1


async def test_the_gateways_own_paths_stay_its_own(grafana: tuple[RunningGateway, FakeBackend]) -> None:
    gateway, backend = grafana
    assert (await gateway.request("GET", "main", "/ready")).text == "ready\n"
    assert (await gateway.request("GET", "main", "/api/health")).json()["database"] == "ok"
    assert len((await gateway.get("main", "/api/datasources")).json()) == 3
    assert "Payment demo" in (await gateway.get("main", "/status")).text
    assert (await gateway.get("main", "/api/alerts/received")).json()["alerts"] == []
    assert backend.seen == []


async def test_grafana_asks_for_the_token_too(grafana: tuple[RunningGateway, FakeBackend]) -> None:
    gateway, backend = grafana
    assert (await gateway.request("GET", "main", "/")).status_code == 401
    assert (await gateway.request("GET", "main", "/dashboards")).status_code == 401
    # The gateway's own page, not Grafana's.
    assert 'name="token"' in (await gateway.request("GET", "main", "/login")).text
    assert backend.seen == []
